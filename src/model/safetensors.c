/* Reading a safetensors file by pieces.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/safetensors.h"

#if defined __BYTE_ORDER__ && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors are little-endian and so must be the host"
#endif

/* The format's own limit. */
#define HEADER_LIMIT 100000000

struct motley__safetensors {
    char *path;
    int descriptor;
    uint64_t data;                     /* where the data part begins in the file */
    struct motley__tensor_info *table; /* [count] by place in the file */
    int count;
};

static int read_bytes(const struct motley__safetensors *file, uint64_t offset, void *bytes, size_t count,
                      struct motley_error *error)
{
    char *at = bytes;
    while (count > 0) {
        ssize_t got = pread(file->descriptor, at, count, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return motley__fail(error, MOTLEY_E_IO, "%s: cannot be read: %s", file->path, strerror(errno));
        if (got == 0)
            return motley__fail(error, MOTLEY_E_IO,
                                "%s: ends before byte %" PRIu64 ": it was cut while it was being read", file->path,
                                offset + count);
        at += got;
        offset += (uint64_t)got;
        count -= (size_t)got;
    }
    return 0;
}

/* Length, then the header, then its table. */
static int read_header(struct motley__safetensors *file, uint64_t file_bytes, struct motley_error *error)
{
    unsigned char prefix[8];
    uint64_t length = 0;
    if (file_bytes < sizeof prefix)
        return motley__fail(error, MOTLEY_E_FORMAT,
                            "%s: expected a safetensors file, found only %" PRIu64
                            " bytes: it is truncated; write or copy it again",
                            file->path, file_bytes);
    int status = read_bytes(file, 0, prefix, sizeof prefix, error);
    if (status)
        return status;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | prefix[i];
    if (length > file_bytes - sizeof prefix)
        return motley__fail(error, MOTLEY_E_FORMAT,
                            "%s: says its header has %" PRIu64 " bytes, but only %" PRIu64
                            " follow: not a safetensors file, or truncated; write or copy it again",
                            file->path, length, file_bytes - sizeof prefix);
    if (length > HEADER_LIMIT)
        return motley__fail(error, MOTLEY_E_FORMAT, "%s: says its header has %" PRIu64 " bytes, the format allows %d",
                            file->path, length, HEADER_LIMIT);
    char *text = malloc((size_t)length + 1);
    if (!text)
        return motley__fail(error, MOTLEY_E_MEMORY, "%s: out of host memory for a header of %" PRIu64 " bytes",
                            file->path, length);
    file->data = sizeof prefix + length;
    status = read_bytes(file, sizeof prefix, text, (size_t)length, error);
    if (!status) {
        status = motley__safetensors_table(text, (size_t)length, file_bytes - file->data, &file->table, &file->count,
                                           error);
        if (status)
            motley__fail_in(error, status, "%s", file->path);
    }
    free(text);
    return status;
}

int motley__safetensors_open(const char *path, struct motley__safetensors **file, struct motley_error *error)
{
    struct motley__safetensors *made = calloc(1, sizeof *made);
    struct stat facts;
    int status = 0;
    if (!made || !(made->path = strdup(path))) {
        free(made);
        return motley__fail(error, MOTLEY_E_MEMORY, "%s: out of host memory", path);
    }
    /* Non-blocking, so that a named pipe does not hold us: only a plain file can be read by pieces. */
    made->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (made->descriptor < 0 || fstat(made->descriptor, &facts))
        status = motley__fail(error, MOTLEY_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    else if (!S_ISREG(facts.st_mode))
        status = motley__fail(error, MOTLEY_E_IO, "%s: expected a safetensors file, found %s", path,
                              S_ISDIR(facts.st_mode) ? "a directory" : "something that is not a plain file");
    else
        status = read_header(made, (uint64_t)facts.st_size, error);
    if (status) {
        motley__safetensors_close(made);
        return status;
    }
    *file = made;
    return 0;
}

void motley__safetensors_close(struct motley__safetensors *file)
{
    if (!file)
        return;
    motley__safetensors_table_free(file->table, file->count);
    if (file->descriptor >= 0)
        close(file->descriptor);
    free(file->path);
    free(file);
}

const char *motley__safetensors_path(const struct motley__safetensors *file)
{
    return file->path;
}

int motley__safetensors_count(const struct motley__safetensors *file)
{
    return file->count;
}

const struct motley__tensor_info *motley__safetensors_at(const struct motley__safetensors *file, int i)
{
    assert(i >= 0 && i < file->count);
    return &file->table[i];
}

const struct motley__tensor_info *motley__safetensors_find(const struct motley__safetensors *file, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->table[i].name, name) == 0)
            return &file->table[i];
    return NULL;
}

/* "[4,any,16]" */
static void write_shape(char *text, size_t room, int dims, const int64_t *shape)
{
    size_t used = (size_t)snprintf(text, room, "[");
    for (int i = 0; i < dims && used < room; i++) {
        const char *comma = i > 0 ? "," : "";
        used += (size_t)(shape[i] < 0 ? snprintf(text + used, room - used, "%sany", comma)
                                      : snprintf(text + used, room - used, "%s%" PRId64, comma, shape[i]));
    }
    if (used < room)
        snprintf(text + used, room - used, "]");
}

static int fits(const struct motley__tensor_info *info, int floating, int dims, const int64_t *shape)
{
    int kind = floating ? info->dtype == MOTLEY__F32 || info->dtype == MOTLEY__BF16 || info->dtype == MOTLEY__F16
                        : info->dtype == MOTLEY__I32 || info->dtype == MOTLEY__I64;
    if (!kind || info->dims != dims)
        return 0;
    for (int i = 0; i < dims; i++)
        if (shape[i] >= 0 && shape[i] != info->shape[i])
            return 0;
    return 1;
}

int motley__safetensors_require(const struct motley__safetensors *file, const char *name, int floating, int dims,
                                const int64_t *shape, const struct motley__tensor_info **info,
                                struct motley_error *error)
{
    const struct motley__tensor_info *found = motley__safetensors_find(file, name);
    if (found && fits(found, floating, dims, shape)) {
        *info = found;
        return 0;
    }
    const char *kind = floating ? "F32, BF16 or F16" : "I32 or I64";
    char wanted[256], is[256];
    write_shape(wanted, sizeof wanted, dims, shape);
    if (!found)
        return motley__fail(error, MOTLEY_E_FORMAT, "%s: tensor %s is missing; add it, %s of shape %s", file->path,
                            name, kind, wanted);
    write_shape(is, sizeof is, found->dims, found->shape);
    return motley__fail(
        error, MOTLEY_E_FORMAT,
        "%s: tensor %s: expected %s of shape %s, found %s of shape %s; correct it, or what it must agree with",
        file->path, name, kind, wanted, motley__dtype_name(found->dtype), is);
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE binary16: 1 sign, 5 exponent (bias 15), 10 mantissa bits. */
static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023;
    if (exponent == 31)
        return from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent > 0)
        return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float tiny = (float)mantissa * 0x1p-24f; /* subnormal, exact */
    return sign ? -tiny : tiny;
}

static void from_bf16(const void *piece, size_t n, void *values)
{
    for (size_t i = 0; i < n; i++)
        ((float *)values)[i] = from_bits((uint32_t)((const uint16_t *)piece)[i] << 16);
}

static void from_f16(const void *piece, size_t n, void *values)
{
    for (size_t i = 0; i < n; i++)
        ((float *)values)[i] = from_half(((const uint16_t *)piece)[i]);
}

static void from_i32(const void *piece, size_t n, void *values)
{
    for (size_t i = 0; i < n; i++)
        ((int64_t *)values)[i] = ((const int32_t *)piece)[i];
}

/* `count` elements from byte `at` on, a piece at a time; convert NULL: they are kept as `values` wants them. */
static int read_converted(const struct motley__safetensors *file, uint64_t at, size_t element_bytes, size_t count,
                          void (*convert)(const void *piece, size_t n, void *values), void *values, size_t value_bytes,
                          struct motley_error *error)
{
    if (!convert)
        return read_bytes(file, at, values, count * element_bytes, error);
    uint64_t piece[2048];
    char *to = values;
    int status = 0;
    while (count > 0 && !status) {
        const size_t n = count < sizeof piece / element_bytes ? count : sizeof piece / element_bytes;
        status = read_bytes(file, at, piece, n * element_bytes, error);
        if (!status)
            convert(piece, n, to);
        to += n * value_bytes;
        at += (uint64_t)n * element_bytes;
        count -= n;
    }
    return status;
}

int motley__safetensors_read(const struct motley__safetensors *file, const struct motley__tensor_info *info,
                             int64_t first, int64_t count, float *values, struct motley_error *error)
{
    assert(info->dtype == MOTLEY__F32 || info->dtype == MOTLEY__BF16 || info->dtype == MOTLEY__F16);
    assert(first >= 0 && count >= 0 && count <= motley__tensor_elements(info) - first);
    const size_t size = motley__dtype_bytes(info->dtype);
    return read_converted(file, file->data + info->begin + (uint64_t)first * size, size, (size_t)count,
                          info->dtype == MOTLEY__F32 ? NULL : info->dtype == MOTLEY__BF16 ? from_bf16 : from_f16,
                          values, sizeof *values, error);
}

int motley__safetensors_read_integers(const struct motley__safetensors *file, const struct motley__tensor_info *info,
                                      int64_t first, int64_t count, int64_t *values, struct motley_error *error)
{
    assert(info->dtype == MOTLEY__I32 || info->dtype == MOTLEY__I64);
    assert(first >= 0 && count >= 0 && count <= motley__tensor_elements(info) - first);
    const size_t size = motley__dtype_bytes(info->dtype);
    return read_converted(file, file->data + info->begin + (uint64_t)first * size, size, (size_t)count,
                          info->dtype == MOTLEY__I64 ? NULL : from_i32, values, sizeof *values, error);
}
