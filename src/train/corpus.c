/* The bytes of text files: one corpus out of files and directories.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "train/corpus.h"

/* The directories between the named path and here. */
struct above {
    const struct above *parent;
    dev_t device;
    ino_t inode;
};

struct reader {
    struct motley__corpus *corpus;
    size_t room;
    uint64_t limit;             /* bytes; never 0 */
    struct motley_error *error;
};

static int fail_path(struct motley_error *error, const char *path, const char *what)
{
    return motley__fail(error, MOTLEY_E_IO, "%s: %s: %s", path, what, strerror(errno));
}

static int append(struct reader *reader, const char *bytes, size_t count)
{
    struct motley__corpus *corpus = reader->corpus;
    if (count > reader->limit - corpus->size)
        count = (size_t)(reader->limit - corpus->size);
    if (corpus->size + count > reader->room) {
        size_t room = 2 * (corpus->size + count);
        uint8_t *larger = realloc(corpus->bytes, room);
        if (!larger)
            return motley__fail(reader->error, MOTLEY_E_MEMORY,
                                "out of host memory at %zu bytes of text; --text-limit takes less of it", room);
        corpus->bytes = larger;
        reader->room = room;
    }
    if (count)
        memcpy(corpus->bytes + corpus->size, bytes, count);
    corpus->size += count;
    return 0;
}

static int read_file(struct reader *reader, const char *path, int named)
{
    char *bytes;
    size_t count;
    int status = motley__file_read(path, &bytes, &count, reader->error);
    if (status)
        return status;
    const char *zero = memchr(bytes, 0, count);
    if (zero && named) {
        status = motley__fail(reader->error, MOTLEY_E_INVALID, "%s: byte %zu is 0, so this is not a text file", path,
                              (size_t)(zero - bytes));
    } else if (zero) {
        reader->corpus->skipped++;
    } else if (count) {
        if (reader->corpus->size)
            status = append(reader, "\n", 1);
        if (!status)
            status = append(reader, bytes, count);
        reader->corpus->files++;
    }
    free(bytes);
    return status;
}

static int is_child(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

/* By bytes: the order must not depend on the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_path(struct reader *reader, const char *path, const struct above *parent);

static int read_directory(struct reader *reader, const char *path, const struct stat *facts, const struct above *parent)
{
    for (const struct above *a = parent; a; a = a->parent)
        if (a->device == facts->st_dev && a->inode == facts->st_ino)
            return 0; /* a link back up */
    struct above here = {parent, facts->st_dev, facts->st_ino};
    struct dirent **entries;
    int count = scandir(path, &entries, is_child, by_name), status = 0;
    if (count < 0)
        return fail_path(reader->error, path, "cannot be read");
    for (int i = 0; i < count; i++) {
        char *child = NULL;
        if (!status && reader->corpus->size < reader->limit)
            status = motley__format(&child, reader->error, "%s/%s", path, entries[i]->d_name);
        if (!status && child)
            status = read_path(reader, child, &here);
        free(child);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* parent NULL: the path was named by the user. */
static int read_path(struct reader *reader, const char *path, const struct above *parent)
{
    struct stat facts;
    if (stat(path, &facts))
        return parent && (errno == ENOENT || errno == ELOOP) ? 0 /* a dangling link */
                                                             : fail_path(reader->error, path, "cannot be read");
    if (S_ISDIR(facts.st_mode))
        return read_directory(reader, path, &facts, parent);
    if (S_ISREG(facts.st_mode))
        return read_file(reader, path, !parent);
    if (!parent)
        return motley__fail(reader->error, MOTLEY_E_INVALID, "%s: neither a regular file nor a directory", path);
    return 0;
}

int motley__corpus_read(const char *const *paths, int count, uint64_t limit, struct motley__corpus *corpus,
                        struct motley_error *error)
{
    struct motley__corpus made = {0};
    struct reader reader = {&made, 0, limit ? limit : SIZE_MAX, error};
    int status = 0;
    for (int i = 0; i < count && !status && made.size < reader.limit; i++)
        status = read_path(&reader, paths[i], NULL);
    if (!status && made.size == 0)
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "%s%s holds no text (%d binary files were passed over); give --text files or directories",
                              count ? paths[0] : "--text", count > 1 ? " and the others" : "", made.skipped);
    if (status) {
        free(made.bytes);
        return status;
    }
    *corpus = made;
    return 0;
}
