/* From experts' outputs back to tokens.
 *
 *   combine   returned[j,:] = s o[p,:]                p = pair_received[j], s = weight[p] or 1
 *   decode    y[t,:] (+)= sum_k, k ascending, of      s o[p,:]       p = pair_own[where[t,k] - own_begin], own pairs
 *                                                     returned[j,:]  j = where[t,k], less the own pairs before it
 *
 * o [P,D], returned [rows,D], y [T,D] in the storage type, s = weights[t,k] or 1.  A product is rounded to that type
 * before it is added, here as on the other rank, so y does not depend on which rank had the expert; the sum is taken
 * in f32.
 *
 * Work-items as in cl/encode.cl.
 * Bytes in f32: combine 8 rows D; decode 4 (K+1) T D; flops 2 K T D: the bound is the memory.  Measured at D = 2048,
 * K = 6 on an H200 (4.8 TB/s), T = 16384: combine 4.0, decode 4.1 TB/s, bf16 3.9 and 3.5; on 2 cores, T = 2048: 28 and 22 GB/s.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "vector.h"

#define BLOCK (V == 16 ? 8 : 2) /* vectors of a token summed together: long runs of each row on CPUs */
#define AHEAD (V == 16 ? 1 : 2) /* rows of a token that are read at one time: GPUs wait for none of them */

__kernel void combine(const struct motley__combine_args a, __global const STORED *restrict o,
                      __global const int *restrict pair_received, __global const float *restrict weight,
                      __global STORED *restrict returned)
{
    const int first = get_global_id(1) * a.per_item, last = min(first + a.per_item, a.rows);
    for (int j = first; j < last; j++) {
        const int p = pair_received[j];
        const float s = weight ? weight[p] : 1.0f;
        __global const STORED *from = o + (size_t)p * a.D;
        __global STORED *to = returned + (size_t)j * a.D;
        for (int c = get_global_id(0); c < a.D / V; c += get_global_size(0))
            STORE(s * LOAD(from, c), to, c);
    }
}

/* Whether a sorted position is one of the own pairs; the row it came back in when not. */
static int is_own(const struct motley__decode_args a, int i)
{
    return i >= a.own_begin && i < a.own_end;
}

static int returned_row(const struct motley__decode_args a, int i)
{
    return i < a.own_begin ? i : i - (a.own_end - a.own_begin);
}

/* The row that a pair at sorted position i, not below 0, came back in. */
static __global const STORED *row_of(const struct motley__decode_args a, int i, __global const int *pair_own,
                                     __global const STORED *o, __global const STORED *returned)
{
    return is_own(a, i) ? o + (size_t)pair_own[i - a.own_begin] * a.D : returned + (size_t)returned_row(a, i) * a.D;
}

/* What pair n at sorted position i adds to its token, of the numbers x of its row. */
static vec addend(const struct motley__decode_args a, int n, int i, vec x, __global const float *weights)
{
    return weights && is_own(a, i) ? vector_rounded(weights[n] * x) : x;
}

/* y[t, vectors c .. c+count-1], count <= BLOCK.  The rows of AHEAD pairs are under way before the first is added. */
static inline void decode_vectors(const struct motley__decode_args a, int t, int c, const int count,
                                  __global const int *where, __global const int *pair_own, __global const STORED *o,
                                  __global const float *weights, __global const STORED *returned, __global STORED *y)
{
    vec sum[BLOCK];
    for (int b = 0; b < count; b++)
        sum[b] = (vec)0;
    for (int n = t * a.K, end = n + a.K; n < end; n += AHEAD) {
        __global const STORED *row[AHEAD];
        stored_vec x[AHEAD][BLOCK];
        int at[AHEAD];                  /* below 0: a pair that was left out */
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            at[k] = n + k < end ? where[n + k] : -1;
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            row[k] = at[k] >= 0 ? row_of(a, at[k], pair_own, o, returned) : 0;
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            for (int b = 0; at[k] >= 0 && b < count; b++)
                x[k][b] = LOAD_STORED(row[k], c + b);
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            for (int b = 0; at[k] >= 0 && b < count; b++)
                sum[b] += addend(a, n + k, at[k], vector_widened(x[k][b]), weights);
    }
    __global STORED *to = y + (size_t)t * a.D;
    for (int b = 0; b < count; b++)
        STORE(a.accumulate ? LOAD(to, c + b) + sum[b] : sum[b], to, c + b);
}

__kernel void decode(const struct motley__decode_args a, __global const int *restrict where,
                     __global const int *restrict pair_own, __global const STORED *restrict o,
                     __global const float *restrict weights, __global const STORED *restrict returned,
                     __global STORED *restrict y)
{
    const int first = get_global_id(1) * a.per_item, last = min(first + a.per_item, a.T), vectors = a.D / V;
    for (int t = first; t < last; t++) {
        int c = get_global_id(0) * BLOCK;
        for (; c + BLOCK <= vectors; c += get_global_size(0) * BLOCK)
            decode_vectors(a, t, c, BLOCK, where, pair_own, o, weights, returned, y);
        for (int end = min(c + BLOCK, vectors); c < end; c++)
            decode_vectors(a, t, c, 1, where, pair_own, o, weights, returned, y);
    }
}

/* returned[j] = s[pair_received[j]]; one item per row. */
__kernel void combine_scalars(const int rows, __global const float *restrict s,
                              __global const int *restrict pair_received, __global float *restrict returned)
{
    const int j = get_global_id(0);
    if (j < rows)
        returned[j] = s[pair_received[j]];
}

/* out[t,k] = own pair: s[p], else returned[j], 0 for a pair that was left out; one item per pair. */
__kernel void decode_scalars(const struct motley__decode_args a, __global const int *restrict where,
                             __global const int *restrict pair_own, __global const float *restrict s,
                             __global const float *restrict returned, __global float *restrict out)
{
    const int n = get_global_id(0);
    if (n >= a.T * a.K)
        return;
    const int i = where[n];
    if (i < 0)
        out[n] = 0;
    else
        out[n] = is_own(a, i) ? s[pair_own[i - a.own_begin]] : returned[returned_row(a, i)];
}
