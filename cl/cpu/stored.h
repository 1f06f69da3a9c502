/* Vectors in the storage type: LANES numbers of memory as floats and back, whole or cut off at a row's end.
 *
 *   bf16   a float's upper half: shifted up to read, rounded to nearest even to write
 *   f16    read as the bits of a float with the exponent 112 too small, which one product mends, subnormal numbers
 *          too; what was infinite or NaN gets that exponent back
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_STORED_H
#define MOTLEY_CL_CPU_STORED_H

#include "storage.h"
#include "cpu/vector.h"

#define VECTOR_INT JOIN(int, LANES)
#define VECTOR_UINT JOIN(uint, LANES)
#define VECTOR_USHORT JOIN(ushort, LANES)
#define AS_VECTOR JOIN(as_float, LANES)
#define AS_VECTOR_UINT JOIN(as_uint, LANES)

/* Vector i from an address on. */
#if STORAGE == 0
#define STORED_LOAD(i, from) LOAD((i), (from))
#define STORED_STORE(value, i, to) STORE((value), (i), (to))
#else
#define STORED_LOAD(i, from) stored_widen(JOIN(vload, LANES)((i), (from)))
#define STORED_STORE(value, i, to) JOIN(vstore, LANES)(stored_narrow(value), (i), (to))
#endif

#if STORAGE == 1
static inline VECTOR stored_widen(VECTOR_USHORT stored)
{
    return AS_VECTOR(JOIN(convert_uint, LANES)(stored) << 16);
}

/* The same sum as stored_put of storage.h, on a vector. */
static inline VECTOR_USHORT stored_narrow(VECTOR value)
{
    VECTOR_UINT bits = AS_VECTOR_UINT(value), odd = (bits >> 16) & 1u;
    VECTOR_UINT rounded = (bits + 0x7fffu + odd) >> 16, nan = (bits >> 16) | 0x40u;
    return JOIN(convert_ushort, LANES)(isnan(value) ? nan : rounded);
}
#elif STORAGE == 2
static inline VECTOR stored_widen(VECTOR_USHORT stored)
{
    VECTOR_UINT half_bits = JOIN(convert_uint, LANES)(stored);
    VECTOR_UINT sign = (half_bits & 0x8000u) << 16, size = (half_bits & 0x7fffu) << 13;
    VECTOR_UINT finite = AS_VECTOR_UINT(AS_VECTOR(size) * 0x1p112f);
    return AS_VECTOR(sign | (size >= 0x7c00u << 13 ? size | 0x7f800000u : finite));
}

static inline VECTOR_USHORT stored_narrow(VECTOR value)
{
    ushort part[LANES];
    JOIN(JOIN(vstore_half, LANES), _rte)(value, 0, (half *)part);
    return JOIN(vload, LANES)(0, part);
}
#endif

/* Up to LANES numbers; those beyond `count` come as zero and are not touched in memory. */
static inline VECTOR stored_read(__global const STORED *from, int count)
{
    if (count >= LANES)
        return STORED_LOAD(0, from);
    float part[LANES];
    for (int i = 0; i < LANES; i++)
        part[i] = i < count ? stored_get(from, i) : 0.0f;
    return LOAD(0, part);
}

/* A panel's row: PANEL numbers that lie together, as two vectors.  Of bf16 they are the even ones and the odd ones,
 * which takes a shift and a mask and no shuffles. */
#define PANEL (2 * LANES)
#if STORAGE == 1
typedef VECTOR_UINT PAIRS __attribute__((aligned(2)));
#define PANEL_LOAD(v0, v1, from)                                                                                   \
    const VECTOR_UINT v0##_##v1 = *(__global const PAIRS *)(from);                                                 \
    const VECTOR v0 = AS_VECTOR(v0##_##v1 << 16), v1 = AS_VECTOR(v0##_##v1 & 0xffff0000u)
#define PANEL_SIDE(i) ((i) % 2)
#define PANEL_AT(i) ((i) / 2)
#else
#define PANEL_SIDE(i) ((i) / LANES)
#define PANEL_AT(i) ((i) % LANES)
#define PANEL_LOAD(v0, v1, from) const VECTOR v0 = STORED_LOAD(0, (from)), v1 = STORED_LOAD(1, (from))
#endif

/* The same of a row that may end before: what is missing comes as zero and is not touched. */
static inline void panel_read(__global const STORED *from, int count, VECTOR *v0, VECTOR *v1)
{
    if (count >= PANEL) {
        PANEL_LOAD(w0, w1, from);
        *v0 = w0;
        *v1 = w1;
        return;
    }
    float part[2][LANES];
    for (int i = 0; i < PANEL; i++)
        part[PANEL_SIDE(i)][PANEL_AT(i)] = i < count ? stored_get(from, i) : 0.0f;
    *v0 = LOAD(0, part[0]);
    *v1 = LOAD(0, part[1]);
}

/* One half of a panel's results, in order. */
static inline VECTOR panel_half(const VECTOR v[2], int half_panel)
{
#if STORAGE == 1
    return half_panel ? DEAL_HIGH(v[0], v[1]) : DEAL_LOW(v[0], v[1]);
#else
    return v[half_panel];
#endif
}

static inline void stored_write(VECTOR value, __global STORED *to, int count)
{
    if (count >= LANES) {
        STORED_STORE(value, 0, to);
        return;
    }
    float part[LANES];
    STORE(value, 0, part);
    for (int i = 0; i < count; i++)
        stored_put(to, i, part[i]);
}

#endif
