/* How numbers lie in memory: every kernel reads and writes them through here and computes in float.
 *
 *   storage   0 f32    1 bf16, the upper half of an f32    2 f16
 *
 *   STORED_TYPE(S)             the type of an element in memory
 *   STORED_GET(S, p, i)        p[i] as a float
 *   STORED_PUT(S, p, i, x)     p[i] = x, rounded to nearest, ties to even; NaN stays NaN, too large becomes infinity
 *
 *   STORAGE   a kernel's storage where it has but one (-D, default 0): STORED, stored_get(p, i), stored_put(p, i, x)
 *
 * f16 goes through vload_half and vstore_half, which every device has; no extension is needed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_STORAGE_H
#define MOTLEY_CL_STORAGE_H

#ifndef STORAGE
#define STORAGE 0
#endif

#define STORED_JOIN_(a, b) a##b
#define STORED_JOIN(a, b) STORED_JOIN_(a, b)
#define STORED_TYPE(S) STORED_JOIN(stored_type_, S)
#define STORED_GET(S, p, i) STORED_JOIN(stored_get_, S)((p), (i))
#define STORED_PUT(S, p, i, x) STORED_JOIN(stored_put_, S)((p), (i), (x))

typedef float stored_type_0;
typedef ushort stored_type_1, stored_type_2;

#define STORED STORED_TYPE(STORAGE)
#define stored_get(p, i) STORED_GET(STORAGE, p, i)
#define stored_put(p, i, x) STORED_PUT(STORAGE, p, i, x)

static inline float stored_get_0(__global const float *p, size_t i)
{
    return p[i];
}

static inline void stored_put_0(__global float *p, size_t i, float x)
{
    p[i] = x;
}

static inline float stored_get_1(__global const ushort *p, size_t i)
{
    return as_float((uint)p[i] << 16);
}

/* Adding half a unit less one, plus the bit that makes the result odd, carries just when rounding up is right. */
static inline void stored_put_1(__global ushort *p, size_t i, float x)
{
    uint bits = as_uint(x);
    p[i] = (bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

static inline float stored_get_2(__global const ushort *p, size_t i)
{
    return vload_half(i, (__global const half *)p);
}

static inline void stored_put_2(__global ushort *p, size_t i, float x)
{
    vstore_half_rte(x, i, (__global half *)p);
}

#endif
