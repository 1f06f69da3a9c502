/* A row of numbers as vectors of V, walked by W work-items together.
 *
 *   V   numbers of a vector, 1, 2, 4, 8 or 16 (default 1); divides the row's width
 *   W   work-items of a group, a power of two: 1 on CPUs (default), where nothing is shared and no barrier is met
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_LANES_H
#define MOTLEY_CL_LANES_H

#include "widen.h"

#ifndef W
#define W 1
#endif

/* READ, WRITE: V floats at any address space and any float's alignment.  STORED_READ, STORED_WRITE: V numbers of a row
 * in the storage type, global and at a multiple of V.  INDEX: 0, 1, .. V-1. */
typedef VECTOR_OF(int) ivec;
#define STORED_READ(p) LOAD(p, 0)
#define STORED_WRITE(x, p) STORE(x, p, 0)
#if V == 1
#define READ(p) (*(p))
#define WRITE(x, p) (*(p) = (x))
#define INDEX 0
#else
#define READ(p) STORED_JOIN(vload, V)(0, p)
#define WRITE(x, p) STORED_JOIN(vstore, V)(x, 0, p)
#if V == 2
#define INDEX ((ivec)(0, 1))
#elif V == 4
#define INDEX ((ivec)(0, 1, 2, 3))
#elif V == 8
#define INDEX ((ivec)(0, 1, 2, 3, 4, 5, 6, 7))
#else
#define INDEX ((ivec)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#endif
#endif

static inline float lanes_total(vec x)
{
#if V == 1
    return x;
#else
#if V == 16
    const float8 x8 = x.lo + x.hi;
#elif V == 8
    const float8 x8 = x;
#endif
#if V >= 8
    const float4 x4 = x8.lo + x8.hi;
#elif V == 4
    const float4 x4 = x;
#endif
#if V >= 4
    const float2 x2 = x4.lo + x4.hi;
#else
    const float2 x2 = x;
#endif
    return x2.lo + x2.hi;
#endif
}

static inline float lanes_largest(vec x)
{
#if V == 1
    return x;
#else
#if V == 16
    const float8 x8 = fmax(x.lo, x.hi);
#elif V == 8
    const float8 x8 = x;
#endif
#if V >= 8
    const float4 x4 = fmax(x8.lo, x8.hi);
#elif V == 4
    const float4 x4 = x;
#endif
#if V >= 4
    const float2 x2 = fmax(x4.lo, x4.hi);
#else
    const float2 x2 = x;
#endif
    return fmax(x2.lo, x2.hi);
#endif
}

/* The sum over a group's work-items, in a fixed order; every one gets it.  part [W]. */
static inline float lanes_sum(float x, __local float *part)
{
#if W > 1
    const int item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    part[item] = x;
    for (int n = W / 2; n > 0; n /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < n)
            part[item] += part[item + n];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    x = part[0];
#endif
    return x;
}

/* Likewise the largest. */
static inline float lanes_max(float x, __local float *part)
{
#if W > 1
    const int item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    part[item] = x;
    for (int n = W / 2; n > 0; n /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < n)
            part[item] = fmax(part[item], part[item + n]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    x = part[0];
#endif
    return x;
}

#endif
