/* The cache of built programs, without a device: what it gives back is what was put in, or nothing.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "device/program.h"

static struct motley__device device; /* only its cache is looked at */
static char folder[64];

static const unsigned char program[] = "a built program";

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/motley-test-XXXXXX");
    device.cache = mkdtemp(folder);
    return device.cache ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return motley__directory_remove(folder, NULL);
}

static void path_of(const char *key, char *path, size_t size)
{
    snprintf(path, size, "%s/%016llx.bin", folder, (unsigned long long)motley__hash_text(key));
}

static int is_hit(const char *key)
{
    unsigned char *binary;
    size_t bytes;
    if (motley__cache_load(&device, key, &binary, &bytes))
        return 0;
    assert_int_equal(bytes, sizeof program);
    assert_memory_equal(binary, program, sizeof program);
    free(binary);
    return 1;
}

static void stored_is_loaded(void **state)
{
    (void)state;
    assert_false(is_hit("key"));
    motley__cache_store(&device, "key", program, sizeof program);
    assert_true(is_hit("key"));
    assert_false(is_hit("another key"));
}

/* Cut anywhere, or with any one byte changed, it is a miss. */
static void damaged_is_a_miss(void **state)
{
    (void)state;
    char path[128], *bytes;
    size_t count;
    motley__cache_store(&device, "key", program, sizeof program);
    path_of("key", path, sizeof path);
    assert_int_equal(motley__file_read(path, &bytes, &count, NULL), 0);
    for (size_t cut = 0; cut < count; cut++) {
        assert_int_equal(motley__file_write(path, bytes, cut, NULL), 0);
        assert_false(is_hit("key"));
    }
    for (size_t at = 0; at < count; at++) {
        bytes[at] ^= 0x40;
        assert_int_equal(motley__file_write(path, bytes, count, NULL), 0);
        assert_false(is_hit("key"));
        bytes[at] ^= 0x40;
    }
    free(bytes);
    motley__cache_store(&device, "key", program, sizeof program);
    assert_true(is_hit("key"));
}

/* Another key's file under this key's name, as a collision of hashes would make it. */
static void a_foreign_key_is_a_miss(void **state)
{
    (void)state;
    char mine[128], other[128];
    motley__cache_store(&device, "other", program, sizeof program);
    path_of("key", mine, sizeof mine);
    path_of("other", other, sizeof other);
    assert_int_equal(rename(other, mine), 0);
    assert_false(is_hit("key"));
}

static void without_a_folder_nothing_is_kept(void **state)
{
    (void)state;
    char *kept = device.cache;
    device.cache = NULL;
    motley__cache_store(&device, "key", program, sizeof program);
    assert_false(is_hit("key"));
    assert_int_equal(motley__cache_lock(&device, "key"), -1);
    device.cache = (char *)"/nonexistent/folder";
    motley__cache_store(&device, "key", program, sizeof program);
    assert_false(is_hit("key"));
    assert_int_equal(motley__cache_lock(&device, "key"), -1);
    motley__cache_unlock(-1);
    device.cache = kept;
}

/* /proc takes no files, not even from root. */
static void a_read_only_folder_is_silent(void **state)
{
    (void)state;
    char *kept = device.cache;
    device.cache = (char *)"/proc/self";
    motley__cache_store(&device, "key", program, sizeof program);
    assert_false(is_hit("key"));
    device.cache = kept;
}

/* Many writers at once while one reads: never a wrong byte, and a whole file at the end. */
static void writers_do_not_disturb_each_other(void **state)
{
    (void)state;
    enum { WRITERS = 4, ROUNDS = 50 };
    pid_t writers[WRITERS];
    int hits = 0;
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = fork();
        assert_true(writers[w] >= 0);
        if (writers[w] == 0) {
            for (int i = 0; i < ROUNDS; i++)
                motley__cache_store(&device, "key", program, sizeof program);
            _exit(0);
        }
    }
    for (int i = 0; i < 1000; i++)
        hits += is_hit("key");
    for (int w = 0; w < WRITERS; w++) {
        int status = -1;
        assert_int_equal(waitpid(writers[w], &status, 0), writers[w]);
        assert_int_equal(status, 0);
    }
    assert_true(is_hit("key"));
    print_message("%d hits while written\n", hits);
}

static void one_builds_while_others_wait(void **state)
{
    (void)state;
    int lock = motley__cache_lock(&device, "key"), status = -1;
    assert_true(lock >= 0);
    int other = motley__cache_lock(&device, "other"); /* another program is another lock */
    assert_true(other >= 0);
    motley__cache_unlock(other);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        motley__cache_unlock(lock); /* its copy; the parent's still holds */
        double begin = motley__seconds();
        int mine = motley__cache_lock(&device, "key");
        _exit(mine >= 0 && motley__seconds() - begin > 0.1 ? 0 : 1);
    }
    motley__sleep(0.3);
    motley__cache_unlock(lock);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(stored_is_loaded),
        IN_FOLDER(damaged_is_a_miss),
        IN_FOLDER(a_foreign_key_is_a_miss),
        IN_FOLDER(without_a_folder_nothing_is_kept),
        IN_FOLDER(a_read_only_folder_is_silent),
        IN_FOLDER(writers_do_not_disturb_each_other),
        IN_FOLDER(one_builds_while_others_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
