/* V neighbouring numbers of a row as a vector of floats, `vec`, and back; in memory they lie as STORAGE says
 * (storage.h).
 *
 *   V   1, 2, 4, 8 or 16 (default 1), a divisor of the row's width: vectors begin at multiples of V
 *
 *   LOAD(row, c), STORE(value, row, c)   vector c of a row
 *   MOVE(from, to, c)                    the same bits
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_WIDEN_H
#define MOTLEY_CL_WIDEN_H

#include "storage.h"
#ifdef NVIDIA /* sm_80 or later: rounds in pairs, where the arithmetic of rounding would take longer than the memory */
#include "nvidia/pack.h"
#endif

#ifndef V
#define V 1
#endif

#if V == 1
#define VECTOR_OF(type) type
#else
#define VECTOR_OF(type) STORED_JOIN(type, V)
#endif
typedef VECTOR_OF(float) vec;

/* Few numbers go through a pointer to vectors, which GPUs turn into one access; 16 through vload. */
#if V == 1
#define LOAD_STORED(row, c) ((row)[c])
#define STORE_STORED(value, row, c) ((row)[c] = (value))
#elif V <= 8
#define LOAD_STORED(row, c) (((__global const stored_vec *)(row))[c])
#define STORE_STORED(value, row, c) (((__global stored_vec *)(row))[c] = (value))
#else
#define LOAD_STORED(row, c) vload16(c, row)
#define STORE_STORED(value, row, c) vstore16(value, c, row)
#endif
#define MOVE(from, to, c) STORE_STORED(LOAD_STORED(from, c), to, c)

#if STORAGE == 0
typedef vec stored_vec;
#define LOAD(row, c) LOAD_STORED(row, c)
#define STORE(value, row, c) STORE_STORED(value, row, c)
static inline vec vector_widened(stored_vec x)
{
    return x;
}
#elif STORAGE == 1
typedef VECTOR_OF(ushort) stored_vec;
#define LOAD(row, c) vector_widened(LOAD_STORED(row, c))
#define STORE(value, row, c) STORE_STORED(vector_narrow(value), row, c)

static inline vec vector_widened(stored_vec x)
{
    return VECTOR_OF(as_float)(VECTOR_OF(convert_uint)(x) << 16);
}

/* As stored_put of storage.h. */
static inline stored_vec vector_narrow(vec x)
{
#if defined NVIDIA && V == 8
    return as_ushort8((uint4)(pack(x.s0, x.s1), pack(x.s2, x.s3), pack(x.s4, x.s5), pack(x.s6, x.s7)));
#else
    const VECTOR_OF(uint) bits = VECTOR_OF(as_uint)(x), rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return VECTOR_OF(convert_ushort)(select(rounded, (bits >> 16) | 0x40u, isnan(x)));
#endif
}
#else
typedef VECTOR_OF(ushort) stored_vec;
#if V == 1
#define LOAD(row, c) vload_half(c, (__global const half *)(row))
#define STORE(value, row, c) vstore_half_rte(value, c, (__global half *)(row))
#else
#define LOAD(row, c) STORED_JOIN(vload_half, V)(c, (__global const half *)(row))
#define STORE(value, row, c) STORED_JOIN(STORED_JOIN(vstore_half, V), _rte)(value, c, (__global half *)(row))
#endif

static inline vec vector_widened(stored_vec x)
{
#if V == 1
    return vload_half(0, (const half *)&x);
#else
    return STORED_JOIN(vload_half, V)(0, (const half *)&x);
#endif
}
#endif

/* What LOAD would give after STORE. */
static inline vec vector_rounded(vec x)
{
#if STORAGE == 0
    return x;
#elif STORAGE == 1
    return vector_widened(vector_narrow(x));
#elif V == 1
    ushort stored;
    vstore_half_rte(x, 0, (half *)&stored);
    return vload_half(0, (const half *)&stored);
#else
    ushort stored[V];
    STORED_JOIN(STORED_JOIN(vstore_half, V), _rte)(x, 0, (half *)stored);
    return STORED_JOIN(vload_half, V)(0, (const half *)stored);
#endif
}

#endif
