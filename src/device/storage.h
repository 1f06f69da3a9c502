/* How numbers lie in memory: the host's side of cl/storage.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_DEVICE_STORAGE_H
#define MOTLEY_DEVICE_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#include <motley/tensor.h>

/* Bytes of one number: 4 or 2. */
static inline size_t motley__storage_bytes(enum motley_dtype dtype)
{
    return dtype == MOTLEY_F32 ? 4 : 2;
}

/* The narrower of two types; the first of two that are alike. */
static inline enum motley_dtype motley__storage_narrower(enum motley_dtype a, enum motley_dtype b)
{
    return motley__storage_bytes(b) < motley__storage_bytes(a) ? b : a;
}

/* "f32", "bf16", "f16"; NULL at the end. */
extern const char *const motley__storage_names[];
const char *motley__storage_name(enum motley_dtype dtype);

/* 1 and *dtype written when there is a storage type of that name. */
int motley__storage_find(const char *name, enum motley_dtype *dtype);

/* count numbers into and out of a storage type.  Rounded to nearest, ties to even; NaN stays NaN, what is too large
 * becomes infinity.  `stored` and `host` may be the same memory for f32 only. */
void motley__store(enum motley_dtype dtype, const float *host, size_t count, void *stored);
void motley__load(enum motley_dtype dtype, const void *stored, size_t count, float *host);

#endif
