/* V neighbouring numbers of a row as a vector of floats, `vec`, and back; in memory they lie as STORAGE says
 * (storage.h), or as a storage that is named.
 *
 *   V   1, 2, 4, 8 or 16 (default 1), a divisor of the row's width: vectors begin at multiples of V
 *
 *   LOAD(row, c), STORE(value, row, c)           vector c of a row
 *   LOAD_AS(S, row, c), STORE_AS(S, value, row, c)   ... of storage S
 *   MOVE(from, to, c)                            the same bits
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
typedef VECTOR_OF(float) stored_vec_0;
typedef VECTOR_OF(ushort) stored_vec_1, stored_vec_2;
#define STORED_VEC(S) STORED_JOIN(stored_vec_, S)
typedef STORED_VEC(STORAGE) stored_vec;

/* Few numbers go through a pointer to vectors, which GPUs turn into one access; 16 through vload. */
#if V == 1
#define LOAD_BITS(S, row, c) ((row)[c])
#define STORE_BITS(S, value, row, c) ((row)[c] = (value))
#elif V <= 8
#define LOAD_BITS(S, row, c) (((__global const STORED_VEC(S) *)(row))[c])
#define STORE_BITS(S, value, row, c) (((__global STORED_VEC(S) *)(row))[c] = (value))
#else
#define LOAD_BITS(S, row, c) vload16(c, row)
#define STORE_BITS(S, value, row, c) vstore16(value, c, row)
#endif
#define LOAD_STORED(row, c) LOAD_BITS(STORAGE, row, c)
#define MOVE(from, to, c) STORE_BITS(STORAGE, LOAD_STORED(from, c), to, c)

#define LOAD_AS(S, row, c) STORED_JOIN(LOAD_, S)(row, c)
#define STORE_AS(S, value, row, c) STORED_JOIN(STORE_, S)(value, row, c)
#define LOAD(row, c) LOAD_AS(STORAGE, row, c)
#define STORE(value, row, c) STORE_AS(STORAGE, value, row, c)
#define vector_widened(x) STORED_JOIN(widened_, STORAGE)(x)

#define LOAD_0(row, c) LOAD_BITS(0, row, c)
#define STORE_0(value, row, c) STORE_BITS(0, value, row, c)
#define LOAD_1(row, c) widened_1(LOAD_BITS(1, row, c))
#define STORE_1(value, row, c) STORE_BITS(1, narrow_1(value), row, c)
#if V == 1
#define LOAD_2(row, c) vload_half(c, (__global const half *)(row))
#define STORE_2(value, row, c) vstore_half_rte(value, c, (__global half *)(row))
#else
#define LOAD_2(row, c) STORED_JOIN(vload_half, V)(c, (__global const half *)(row))
#define STORE_2(value, row, c) STORED_JOIN(STORED_JOIN(vstore_half, V), _rte)(value, c, (__global half *)(row))
#endif

static inline vec widened_0(stored_vec_0 x)
{
    return x;
}

static inline vec widened_1(stored_vec_1 x)
{
    return VECTOR_OF(as_float)(VECTOR_OF(convert_uint)(x) << 16);
}

#if STORAGE == 2
static inline vec widened_2(stored_vec_2 x)
{
#if V == 1
    return vload_half(0, (const half *)&x);
#else
    return STORED_JOIN(vload_half, V)(0, (const half *)&x);
#endif
}
#endif

/* As stored_put of storage.h. */
static inline stored_vec_1 narrow_1(vec x)
{
#if defined NVIDIA && V == 8
    return as_ushort8((uint4)(pack(x.s0, x.s1), pack(x.s2, x.s3), pack(x.s4, x.s5), pack(x.s6, x.s7)));
#else
    const VECTOR_OF(uint) bits = VECTOR_OF(as_uint)(x), rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return VECTOR_OF(convert_ushort)(select(rounded, (bits >> 16) | 0x40u, isnan(x)));
#endif
}

/* What LOAD would give after STORE. */
static inline vec vector_rounded(vec x)
{
#if STORAGE == 0
    return x;
#elif STORAGE == 1
    return widened_1(narrow_1(x));
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
