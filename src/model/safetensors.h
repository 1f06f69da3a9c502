/* Reading and writing safetensors files, by pieces.
 *
 *   safetensors.c         open, find, read
 *   safetensors_header.c  the header's table, checked
 *   safetensors_writer.c  create, write, commit
 *
 * A file is an 8-byte little-endian header length, a JSON header {name: {dtype, shape, data_offsets}} and
 * the tensors' bytes.  Nothing in the header is believed: lengths, offsets, overlaps, products of shapes
 * and the file's size are checked at open.  Tensors may start at any byte.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_SAFETENSORS_H
#define MOTLEY_MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum motley__dtype {
    MOTLEY__F32,
    MOTLEY__BF16,
    MOTLEY__F16,
    MOTLEY__F64,
    MOTLEY__I32,
    MOTLEY__I64,
    MOTLEY__U8,
    MOTLEY__OTHER
};
const char *motley__dtype_name(enum motley__dtype dtype); /* "F32"; never NULL */
size_t motley__dtype_bytes(enum motley__dtype dtype);     /* of one element; 0 for MOTLEY__OTHER */

#define MOTLEY__TENSOR_DIMS 8

struct motley__tensor_info {
    const char *name; /* borrowed from the file, or from the caller when writing */
    enum motley__dtype dtype;
    int dims;
    int64_t shape[MOTLEY__TENSOR_DIMS];
    uint64_t begin, bytes; /* in the data part; filled by open and by create */
};
int64_t motley__tensor_elements(const struct motley__tensor_info *info);

struct motley__safetensors; /* opaque */

/* Errors name the file: MOTLEY_E_IO, MOTLEY_E_FORMAT. */
int motley__safetensors_open(const char *path, struct motley__safetensors **file, struct motley_error *error);
void motley__safetensors_close(struct motley__safetensors *file); /* accepts NULL */
const char *motley__safetensors_path(const struct motley__safetensors *file);
int motley__safetensors_count(const struct motley__safetensors *file);
const struct motley__tensor_info *motley__safetensors_at(const struct motley__safetensors *file, int i);
/* NULL when there is none. */
const struct motley__tensor_info *motley__safetensors_find(const struct motley__safetensors *file, const char *name);
/* The same with a sentence that names file, tensor, and what shape and kind was expected; shape entries of -1 match
 * any.  floating: 1 wants F32, BF16 or F16; 0 wants I32 or I64. */
int motley__safetensors_require(const struct motley__safetensors *file, const char *name, int floating, int dims,
                                const int64_t *shape, const struct motley__tensor_info **info,
                                struct motley_error *error);

/* Elements first .. first+count-1, converted to f32 (from F32, BF16, F16) or i64 (from I32, I64). */
int motley__safetensors_read(const struct motley__safetensors *file, const struct motley__tensor_info *info,
                             int64_t first, int64_t count, float *values, struct motley_error *error);
int motley__safetensors_read_integers(const struct motley__safetensors *file, const struct motley__tensor_info *info,
                                      int64_t first, int64_t count, int64_t *values, struct motley_error *error);

/* Writing: all names and shapes first, then the bytes of each tensor in any order and any pieces, then
 * commit (temporary name, flush, sync, rename). */
struct motley__safetensors_writer; /* opaque */
int motley__safetensors_create(const char *path, const struct motley__tensor_info *infos, int count,
                               struct motley__safetensors_writer **writer, struct motley_error *error);
/* `values` in the tensor's own dtype: F32 or I32 or I64.  Pieces must not overlap. */
int motley__safetensors_write(struct motley__safetensors_writer *writer, const char *name, int64_t first, int64_t count,
                              const void *values, struct motley_error *error);
/* Fails when a tensor was not written completely.  Destroys the writer in every case. */
int motley__safetensors_commit(struct motley__safetensors_writer *writer, struct motley_error *error);
void motley__safetensors_discard(struct motley__safetensors_writer *writer); /* accepts NULL */

/* Inside: the header's text [length] to a table sorted by place in the file (safetensors_header.c).
 * data_bytes: what lies behind the header.  *table and the names in it are owned by the caller:
 * motley__safetensors_table_free. */
int motley__safetensors_table(const char *text, size_t length, uint64_t data_bytes, struct motley__tensor_info **table,
                              int *count, struct motley_error *error);
void motley__safetensors_table_free(struct motley__tensor_info *table, int count);

#endif
