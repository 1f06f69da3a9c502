/* The bytes of text files: one corpus out of files and directories.
 *
 * Directories are walked recursively, names in byte order, so that the same tree always gives the same corpus.
 * Inside a directory anything that is not a regular file is passed over, and so are files with a 0 byte (they are no
 * text); links are followed, except a directory's back to one above it.  A path that is named must be readable text.
 * A newline is put between two files.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_CORPUS_H
#define MOTLEY_TRAIN_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct motley__corpus {
    uint8_t *bytes;         /* [size] owned: free() it */
    size_t size;
    int files, skipped;     /* files taken; files passed over because they are binary */
};

/* limit: at most so many bytes, the first of the order above; 0: all.  Local.
 * Errors: MOTLEY_E_IO (cannot be read), MOTLEY_E_INVALID (a named path is no text; there is no text at all),
 * MOTLEY_E_MEMORY. */
int motley__corpus_read(const char *const *paths, int count, uint64_t limit, struct motley__corpus *corpus,
                        struct motley_error *error);

#endif
