/* Built programs on disk, one file each.
 *
 *   "motley program 1\n"   magic
 *   key bytes, binary bytes    uint64 each
 *   key                        everything the binary depends on, compared whole
 *   binary
 *   checksum                   uint64, of all that comes before it
 *
 * A file that is not exactly this is a miss.  Files are put in place by rename, so a reader sees a whole
 * one or none, however many ranks write it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "device/program.h"

#define MAGIC "motley program 1\n"

struct header {
    char magic[24];
    uint64_t key_bytes, binary_bytes;
};

/* Another rank that builds the same program is waited for this long at most. */
static const double LOCK_SECONDS = 60, LOCK_NAP_SECONDS = 5e-3;

static int path_of(const struct motley__device *device, const char *key, const char *ending, char **path)
{
    if (!device->cache)
        return MOTLEY_E_IO;
    return motley__format(path, NULL, "%s/%016" PRIx64 ".%s", device->cache, motley__hash_text(key), ending);
}

/* The binary within the file's bytes, NULL when anything is not as it must be. */
static const char *valid(const char *bytes, size_t count, const char *key, size_t *binary_bytes)
{
    struct header header;
    uint64_t checksum, key_bytes = strlen(key);
    if (count < sizeof header + sizeof checksum)
        return NULL;
    memcpy(&header, bytes, sizeof header);
    size_t body = count - sizeof header - sizeof checksum;
    if (memcmp(header.magic, MAGIC, sizeof MAGIC) || header.key_bytes != key_bytes || key_bytes > body ||
        header.binary_bytes != body - key_bytes || header.binary_bytes == 0)
        return NULL;
    memcpy(&checksum, bytes + count - sizeof checksum, sizeof checksum);
    if (memcmp(bytes + sizeof header, key, key_bytes) ||
        checksum != motley__hash_bytes(MOTLEY__HASH_START, bytes, count - sizeof checksum))
        return NULL;
    *binary_bytes = (size_t)header.binary_bytes;
    return bytes + sizeof header + key_bytes;
}

int motley__cache_load(const struct motley__device *device, const char *key, unsigned char **binary, size_t *bytes)
{
    char *path, *file;
    size_t count, found_bytes = 0;
    if (path_of(device, key, "bin", &path))
        return MOTLEY_E_IO;
    int status = motley__file_read(path, &file, &count, NULL);
    free(path);
    if (status)
        return status;
    const char *found = valid(file, count, key, &found_bytes);
    if (found) {
        memmove(file, found, found_bytes);
        *binary = (unsigned char *)file;
        *bytes = found_bytes;
        return 0;
    }
    free(file);
    return MOTLEY_E_FORMAT;
}

void motley__cache_store(const struct motley__device *device, const char *key, const unsigned char *binary,
                         size_t bytes)
{
    struct header header = {MAGIC, strlen(key), bytes};
    char *path = NULL;
    size_t count = sizeof header + header.key_bytes + bytes + sizeof(uint64_t);
    char *file = malloc(count);
    if (bytes > 0 && file && !path_of(device, key, "bin", &path)) {
        memcpy(file, &header, sizeof header);
        memcpy(file + sizeof header, key, header.key_bytes);
        memcpy(file + sizeof header + header.key_bytes, binary, bytes);
        uint64_t checksum = motley__hash_bytes(MOTLEY__HASH_START, file, count - sizeof checksum);
        memcpy(file + count - sizeof checksum, &checksum, sizeof checksum);
        motley__file_write(path, file, count, NULL); /* a cache that cannot be written is only slow */
    }
    free(path);
    free(file);
}

/* A lock that dies with its holder; the file stays, empty. */
int motley__cache_lock(const struct motley__device *device, const char *key)
{
    char *path;
    if (path_of(device, key, "lock", &path))
        return -1;
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    free(path);
    double end = motley__seconds() + LOCK_SECONDS;
    while (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB)) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || motley__seconds() > end) {
            close(descriptor);
            return -1;
        }
        motley__sleep(LOCK_NAP_SECONDS);
    }
    return descriptor;
}

void motley__cache_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}
