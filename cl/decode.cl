/* From experts' outputs back to tokens.
 *
 *   combine   returned[j,:] = sum over the pairs q of received row j of s o[p,:],     p = where[first + q]
 *   decode    y[t,:] (+)= sum_k, k ascending, of s o[p,:],  p = where[t,k], where not -1: own experts
 *                       + sum_k, k ascending, of the rows that token t came back in from the ranks of a group when
 *                         its pair k is the token's first for that group
 *
 *             for tokens first .. first + T - 1, the rows of y from `row` on; where NULL: no expert is an own one
 *
 * o [P,D] in the storage type, returned [rows,D] in the wire's, y [T,D] in OUT's (vector.h), s = weight[p] or 1.  Sums
 * are taken in f32 and rounded once.
 *
 * What came back: pair n of group g = server[indices[n]] was sent to the ranks of streams table[g] .. table[g+1]-1;
 * from stream s the row of a first pair came back at base_cs + row[n] and the scalar of any pair at base'_cs + pair[n],
 * where c is the token's chunk; base [chunks, streams] in table[groups + 1 ..], base' behind it.
 *
 * Work-items as in cl/encode.cl.
 * Bytes in f32: combine 4 (P + rows) D; decode 4 (K+1) T D; flops 2 P D: the bound is the memory.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "chunks.h"
#include "types.h"
#include "vector.h"

#define BLOCK (V == 16 ? 8 : 2) /* vectors of a row summed together: long runs of each row on CPUs */
#define AHEAD (V == 16 ? 1 : 2) /* rows of a sum that are read at one time: GPUs wait for none of them */

/* sum[b] += s o[p, vector c + b], p = where[n] for the pairs n.  The rows of AHEAD pairs are under way before the first
 * is added. */
static inline void add_pairs(vec *sum, int D, int c, const int count, int n, int end, __global const int *where,
                             __global const STORED *o, __global const float *weight)
{
    for (; n < end; n += AHEAD) {
        stored_vec x[AHEAD][BLOCK];
        float s[AHEAD];
        int at[AHEAD];                  /* below 0: another rank's, or left out */
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            at[k] = n + k < end ? where[n + k] : -1;
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            s[k] = at[k] >= 0 && weight ? weight[at[k]] : 1.0f;
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            for (int b = 0; at[k] >= 0 && b < count; b++)
                x[k][b] = LOAD_STORED(o + (size_t)at[k] * D, c + b);
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            for (int b = 0; at[k] >= 0 && b < count; b++)
                sum[b] += s[k] * vector_widened(x[k][b]);
    }
}

/* Vectors c .. c+count-1 of the sum over pairs n .. end-1, count <= BLOCK. */
static inline void combine_vectors(int D, int c, const int count, int n, int end, __global const STORED *o,
                                   __global const int *where, __global const float *weight,
                                   __global STORED_TYPE(WIRE) *to)
{
    vec sum[BLOCK];
    for (int b = 0; b < count; b++)
        sum[b] = (vec)0;
    add_pairs(sum, D, c, count, n, end, where, o, weight);
    for (int b = 0; b < count; b++)
        STORE_AS(WIRE, sum[b], to, c + b);
}

/* Most rows have one pair: in one go from end to end. */
static inline void combine_single(int D, int p, __global const STORED *o, __global const float *weight,
                                  __global STORED_TYPE(WIRE) *to)
{
    const float s = weight ? weight[p] : 1.0f;
    __global const STORED *from = o + (size_t)p * D;
    for (int c = get_global_id(0); c < D / V; c += get_global_size(0))
        STORE_AS(WIRE, (vec)0 + s * LOAD(from, c), to, c);
}

__kernel void combine(const struct motley__combine_args a, __global const STORED *restrict o,
                      __global const int *restrict begin, __global const int *restrict where,
                      __global const float *restrict weight, __global STORED_TYPE(WIRE) *restrict returned)
{
    const int first = get_global_id(1) * a.per_item, last = min(first + a.per_item, a.rows), vectors = a.D / V;
    for (int j = a.row + first; j < a.row + last; j++) {
        const int n = a.first + begin[j], end = a.first + begin[j + 1];
        __global STORED_TYPE(WIRE) *to = returned + (size_t)j * a.D;
        int c = get_global_id(0) * BLOCK;
        if (end - n == 1) {
            combine_single(a.D, where[n], o, weight, to);
            continue;
        }
        for (; c + BLOCK <= vectors; c += get_global_size(0) * BLOCK)
            combine_vectors(a.D, c, BLOCK, n, end, o, where, weight, to);
        for (int stop = min(c + BLOCK, vectors); c < stop; c++)
            combine_vectors(a.D, c, 1, n, end, o, where, weight, to);
    }
}

/* The streams of group g: [.x, .y). */
static int2 streams_of(__global const int *table, int g)
{
    return (int2)(table[g], table[g + 1]);
}

/* What token t came back in. */
static inline void add_returned(vec *sum, const struct motley__decode_args a, int t, int c, const int count,
                                __global const int *indices, __global const int *server, __global const int *row,
                                __global const int *table, __global const STORED_TYPE(WIRE) *returned)
{
    __global const int *base = table + a.groups + 1 + chunk_of(a.chunks, t) * a.streams;
    for (int n = t * a.K, end = n + a.K; n < end; n++) {
        if (row[n] < 0)
            continue;
        const int2 streams = streams_of(table, server[indices[n]]);
        for (int s = streams.x; s < streams.y; s++)
            for (int b = 0; b < count; b++)
                sum[b] += LOAD_AS(WIRE, returned + (size_t)(base[s] + row[n]) * a.D, c + b);
    }
}

/* Vectors c .. c+count-1 of token t, count <= BLOCK. */
static inline void decode_vectors(const struct motley__decode_args a, int t, int c, const int count,
                                  __global const int *where, __global const STORED *o, __global const float *weight,
                                  __global const int *indices, __global const int *server, __global const int *row,
                                  __global const int *table, __global const STORED_TYPE(WIRE) *returned,
                                  __global STORED_TYPE(OUT) *to)
{
    vec sum[BLOCK];
    for (int b = 0; b < count; b++)
        sum[b] = (vec)0;
    if (where)
        add_pairs(sum, a.D, c, count, t * a.K, t * a.K + a.K, where, o, weight);
    if (a.streams)
        add_returned(sum, a, t, c, count, indices, server, row, table, returned);
    for (int b = 0; b < count; b++)
        STORE_AS(OUT, a.accumulate ? LOAD_AS(OUT, to, c + b) + sum[b] : sum[b], to, c + b);
}

__kernel void decode(const struct motley__decode_args a, __global const int *restrict where,
                     __global const STORED *restrict o, __global const float *restrict weight,
                     __global const int *restrict indices, __global const int *restrict server,
                     __global const int *restrict row, __global const int *restrict table,
                     __global const STORED_TYPE(WIRE) *restrict returned, __global STORED_TYPE(OUT) *restrict y)
{
    const int first = get_global_id(1) * a.per_item, last = min(first + a.per_item, a.T), vectors = a.D / V;
    for (int i = first; i < last; i++) {
        const int t = a.first + i;
        __global STORED_TYPE(OUT) *to = y + (size_t)(a.row + i) * a.D;
        int c = get_global_id(0) * BLOCK;
        for (; c + BLOCK <= vectors; c += get_global_size(0) * BLOCK)
            decode_vectors(a, t, c, BLOCK, where, o, weight, indices, server, row, table, returned, to);
        for (int end = min(c + BLOCK, vectors); c < end; c++)
            decode_vectors(a, t, c, 1, where, o, weight, indices, server, row, table, returned, to);
    }
}

/* returned[q] = s[where[first + q]] of pairs q from `pair` on; one item per received pair. */
__kernel void combine_scalars(const int pair, const int pairs, const int first, __global const float *restrict s,
                              __global const int *restrict where, __global float *restrict returned)
{
    const int q = pair + get_global_id(0);
    if (q < pair + pairs)
        returned[q] = s[where[first + q]];
}

/* out[t,k] = s[where[t,k]] of an own expert, plus what came back for the pair; 0 for one that was left out; with where
 * NULL out[t,k] += what came back.  One item per pair. */
__kernel void decode_scalars(const struct motley__decode_args a, __global const int *restrict where,
                             __global const float *restrict s, __global const int *restrict indices,
                             __global const int *restrict server, __global const int *restrict pair,
                             __global const int *restrict table, __global const float *restrict returned,
                             __global float *restrict out)
{
    const int n = a.first * a.K + get_global_id(0);
    if (n >= (a.first + a.T) * a.K)
        return;
    float sum = where ? (where[n] >= 0 ? s[where[n]] : 0) : out[n];
    if (a.streams && pair[n] >= 0) {
        const int2 streams = streams_of(table, server[indices[n]]);
        __global const int *base = table + a.groups + 1 + (a.chunks.count + chunk_of(a.chunks, n / a.K)) * a.streams;
        for (int i = streams.x; i < streams.y; i++)
            sum += returned[base[i] + pair[n]];
    }
    out[n] = sum;
}
