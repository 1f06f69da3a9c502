/* Files that are either whole or not there.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static int fail_path(struct motley_error *error, const char *path, const char *what)
{
    int reason = errno;
    return motley__fail(error, reason == ENOMEM ? MOTLEY_E_MEMORY : MOTLEY_E_IO, "%s: %s: %s", path, what,
                        strerror(reason));
}

int motley__format(char **text, struct motley_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        *text = NULL;
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a string");
    }
    return 0;
}

/* The folder of a path, "." when it names none; owned by the caller. */
static int parent_of(const char *path, char **folder, struct motley_error *error)
{
    int status = motley__format(folder, error, "%s", path);
    if (status)
        return status;
    char *slash = strrchr(*folder, '/');
    if (slash)
        slash[slash == *folder ? 1 : 0] = 0;
    else {
        free(*folder);
        status = motley__format(folder, error, ".");
    }
    return status;
}

/* A file without a name, where the filesystem has such: it vanishes with its process, however that ends. */
static FILE *open_nameless(const char *folder)
{
    if (access("/proc/self/fd", X_OK)) /* where give_name finds it */
        return NULL;
    int descriptor = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    FILE *stream = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    if (!stream && descriptor >= 0)
        close(descriptor);
    return stream;
}

int motley__new_file_open(const char *path, struct motley__new_file *file, struct motley_error *error)
{
    char *folder = NULL;
    memset(file, 0, sizeof *file);
    int status = parent_of(path, &folder, error);
    if (!status)
        status = motley__format(&file->path, error, "%s", path);
    if (!status)
        status = motley__format(&file->temporary, error, "%s.tmp.%ld", path, (long)getpid());
    if (!status) {
        file->stream = open_nameless(folder);
        file->nameless = file->stream != NULL;
        if (!file->stream)
            file->stream = fopen(file->temporary, "wb");
        if (!file->stream) {
            status = fail_path(error, path, "cannot be created");
            free(file->temporary); /* never opened, so never to be removed */
            file->temporary = NULL;
        }
    }
    free(folder);
    if (status)
        motley__new_file_discard(file);
    return status;
}

/* Give a nameless file its temporary name: linkat replaces nothing, so rename must still come. */
static int give_name(struct motley__new_file *file)
{
    char descriptor[64];
    snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", fileno(file->stream));
    unlink(file->temporary); /* left by a process of the same number */
    return linkat(AT_FDCWD, descriptor, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW);
}

static int sync_parent(const char *path, struct motley_error *error)
{
    char *folder;
    int status = parent_of(path, &folder, error);
    if (status)
        return status;
    status = motley__directory_sync(folder, error);
    free(folder);
    return status;
}

int motley__new_file_commit(struct motley__new_file *file, struct motley_error *error)
{
    int status = 0;
    if (fflush(file->stream) || ferror(file->stream) || fsync(fileno(file->stream)))
        status = fail_path(error, file->path, "cannot be written");
    if (!status && file->nameless && give_name(file))
        status = fail_path(error, file->path, "cannot be put in place");
    if (fclose(file->stream) && !status)
        status = fail_path(error, file->path, "cannot be written");
    file->stream = NULL;
    if (!status && rename(file->temporary, file->path))
        status = fail_path(error, file->path, "cannot be put in place");
    if (!status) {
        free(file->temporary); /* it is the file now */
        file->temporary = NULL;
        status = sync_parent(file->path, error);
    }
    motley__new_file_discard(file);
    return status;
}

void motley__new_file_discard(struct motley__new_file *file)
{
    if (file->stream)
        fclose(file->stream);
    if (file->temporary)
        unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    memset(file, 0, sizeof *file);
}

int motley__file_write(const char *path, const void *bytes, size_t count, struct motley_error *error)
{
    struct motley__new_file file;
    int status = motley__new_file_open(path, &file, error);
    if (status)
        return status;
    if (count > 0 && fwrite(bytes, 1, count, file.stream) != count) {
        status = fail_path(error, path, "cannot be written");
        motley__new_file_discard(&file);
        return status;
    }
    return motley__new_file_commit(&file, error);
}

int motley__file_read(const char *path, char **bytes, size_t *count, struct motley_error *error)
{
    char *memory = NULL;
    size_t used = 0, room = 0;
    int status = 0;
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return fail_path(error, path, "cannot be opened");
    struct stat facts;
    if (!fstat(fileno(stream), &facts) && S_ISREG(facts.st_mode))
        room = (size_t)facts.st_size + 1; /* a hint: files in /proc say 0 */
    for (;;) {
        if (!memory || used + 1 >= room) {
            room = memory ? 2 * room : room > 1 ? room + 1 : 4096;
            char *larger = realloc(memory, room);
            if (!larger) {
                status = motley__fail(error, MOTLEY_E_MEMORY, "%s: out of host memory at %zu bytes", path, room);
                break;
            }
            memory = larger;
        }
        size_t got = fread(memory + used, 1, room - used - 1, stream);
        used += got;
        if (got == 0) {
            if (ferror(stream))
                status = fail_path(error, path, "cannot be read");
            break;
        }
    }
    fclose(stream);
    if (status) {
        free(memory);
        return status;
    }
    memory[used] = 0;
    *bytes = memory;
    *count = used;
    return 0;
}

int motley__directory_make(const char *path, struct motley_error *error)
{
    char *part;
    int status = motley__format(&part, error, "%s", path);
    if (status)
        return status;
    for (char *at = part + 1; !status; at++) {
        if (*at != '/' && *at != 0)
            continue;
        char kept = *at;
        *at = 0;
        struct stat facts;
        if (mkdir(part, 0777) && (errno != EEXIST || (!stat(part, &facts) && !S_ISDIR(facts.st_mode)))) {
            if (errno == EEXIST)
                errno = ENOTDIR;
            status = fail_path(error, part, "cannot be made");
        }
        *at = kept;
        if (!kept)
            break;
    }
    free(part);
    return status;
}

int motley__directory_sync(const char *path, struct motley_error *error)
{
    int status = 0;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return fail_path(error, path, "cannot be opened");
    /* Some filesystems cannot sync a folder and say so with EINVAL. */
    if (fsync(descriptor) && errno != EINVAL)
        status = fail_path(error, path, "cannot be synced");
    close(descriptor);
    return status;
}

int motley__directory_remove(const char *path, struct motley_error *error)
{
    DIR *folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? 0 : fail_path(error, path, "cannot be opened");
    int status = 0;
    for (struct dirent *entry; !status && (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (unlinkat(dirfd(folder), entry->d_name, 0) && errno != ENOENT)
            status = motley__fail(error, MOTLEY_E_IO, "%s/%s: cannot be removed: %s", path, entry->d_name,
                                  strerror(errno));
    }
    closedir(folder);
    if (!status && rmdir(path) && errno != ENOENT)
        status = fail_path(error, path, "cannot be removed");
    return status;
}

int motley__cache_directory(char **path, struct motley_error *error)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *made = NULL;
    int status;
    if (cache && cache[0] == '/') /* the XDG rule: a relative path is to be ignored */
        status = motley__format(&made, error, "%s/motley", cache);
    else if (home && home[0] == '/')
        status = motley__format(&made, error, "%s/.cache/motley", home);
    else
        status = motley__format(&made, error, "/tmp/motley-%ld", (long)getuid());
    if (!status)
        status = motley__directory_make(made, error);
    if (status) {
        free(made);
        return status;
    }
    *path = made;
    return 0;
}
