/* Files that are either whole or not there.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_FILE_H
#define MOTLEY_BASE_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

/* A file under construction: written without a name where the filesystem can (so that even SIGKILL leaves nothing),
 * else as "<path>.tmp.<pid>"; then flushed, synced, named and renamed. */
struct motley__new_file {
    FILE *stream;
    char *path, *temporary;      /* owned */
    int nameless;                /* 1: the file has no name until it is committed */
};
int motley__new_file_open(const char *path, struct motley__new_file *file, struct motley_error *error);
/* Every write error since open surfaces here (a full disk among them); on failure nothing is left. */
int motley__new_file_commit(struct motley__new_file *file, struct motley_error *error);
/* Forget it, leave nothing.  Harmless after a commit. */
void motley__new_file_discard(struct motley__new_file *file);

/* The same for bytes at hand. */
int motley__file_write(const char *path, const void *bytes, size_t count, struct motley_error *error);

/* The whole file with a 0 byte behind it; *bytes owned by the caller, free() it.
 * Errors: MOTLEY_E_IO with the path and the system's reason. */
int motley__file_read(const char *path, char **bytes, size_t *count, struct motley_error *error);

/* Like mkdir -p. */
int motley__directory_make(const char *path, struct motley_error *error);
/* fsync of a directory, so that a rename in it lasts. */
int motley__directory_sync(const char *path, struct motley_error *error);
/* Like rm -r on a directory of plain files; absent is fine. */
int motley__directory_remove(const char *path, struct motley_error *error);

/* asprintf that reports; *text owned by the caller. */
int motley__format(char **text, struct motley_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* $XDG_CACHE_HOME/motley, or $HOME/.cache/motley, or /tmp/motley-UID; made when absent.
 * Owned by the caller. */
int motley__cache_directory(char **path, struct motley_error *error);

#endif
