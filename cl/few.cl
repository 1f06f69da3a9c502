/* ESMM of few rows on GPUs, forward and transposed; weights in canonical form (panel 1), one storage type.
 *
 *   esmm_few              y[p,:] = act(x[row p,:] W[e]^T + b[e])     x [*,I], W [E,O,I], y [P,O]
 *   esmm_few, swiglu      y[p,:] = silu(x W^T) * (x W3^T)
 *   esmm_few_transposed   y[p,:] = g[row p,:] W[e]                   g [*,O], y [P,I]
 *
 * An expert's rows go in chunks of CHUNK (-D; the host's guess of what most experts have), each of which reads the
 * weights once, as vectors of V numbers (vector.h): the bound is the memory.  Work-groups of ITEMS: dimension 1 counts
 * pairs, and a group whose pair is not the first of a chunk ends at once; with few pairs this costs less than finding
 * chunks by bisection.
 *
 *   forward       dimension 0 counts blocks of 4 strips of STRIP outputs; 32 items to each strip share the contraction
 *   transposed    dimension 0 counts blocks of ACROSS vectors of inputs; DEEP items to each share the contraction
 *
 * What the items of an output have is added in order.  2 P O I flops; bytes: the weights of experts with rows.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "nonlinear.h"
#include "ragged.h"
#include "vector.h"

/* Functions that are given arrays of registers must not become calls. */
#define INLINE __attribute__((always_inline))

#define ITEMS 128
#ifndef CHUNK
#define CHUNK 8         /* at most 8 */
#endif
#define LANES 32
#define STRIP 4         /* weight rows of one strip: outputs, or half as many of W and of W3 each */
#define ACROSS 8
#define DEEP (ITEMS / ACROSS)

/* The chunk that begins with this pair; no rows when none does.  Called by all items of a group. */
static inline struct ragged_tile chunk_at(struct motley__product_args args, __global const int *offsets, int p,
                                          __local int *found)
{
    struct ragged_tile chunk = {args.first, p, 0};
    int begin = 0, end = args.rows;
    if (offsets) {
        if (get_local_id(0) == 0)
            *found = -1;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int e = args.first + get_local_id(0); e < args.first + args.experts; e += ITEMS)
            if (offsets[e] <= p && p < offsets[e + 1])
                *found = e;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (*found < 0)
            return chunk;
        chunk.expert = *found;
        begin = offsets[chunk.expert];
        end = offsets[chunk.expert + 1];
    }
    if ((p - begin) % CHUNK == 0)
        chunk.rows = min(CHUNK, end - p);
    return chunk;
}

/* Rows beyond the chunk repeat its last: what comes of them is not stored. */
static inline INLINE void chunk_rows(struct ragged_tile chunk, __global const int *index, __global const STORED *own,
                              __global const STORED *received, int own_rows, int width,
                              __global const STORED *row[CHUNK])
{
#pragma unroll
    for (int r = 0; r < CHUNK; r++) {
        const int p = chunk.first + min(r, chunk.rows - 1);
        row[r] = ragged_row(p, index, own, received, own_rows, width);
    }
}

/* sum + <a, b>.  Numbers of a vector by name: what goes by address leaves the registers on some devices. */
static inline INLINE float dot_add(vec a, vec b, float sum)
{
#if V == 1
    return fma(a, b, sum);
#else
    sum = fma(a.s3, b.s3, fma(a.s2, b.s2, fma(a.s1, b.s1, fma(a.s0, b.s0, sum))));
#if V == 8
    sum = fma(a.s7, b.s7, fma(a.s6, b.s6, fma(a.s5, b.s5, fma(a.s4, b.s4, sum))));
#endif
    return sum;
#endif
}

/* This item's part of CHUNK rows by STRIP weight rows, into part[r * STRIP + c]. */
static inline INLINE void strip_dots(int depth, int lane, __global const STORED *row[CHUNK],
                              __global const STORED *weights[STRIP], __local float *part)
{
    float sum[CHUNK][STRIP];
#pragma unroll
    for (int r = 0; r < CHUNK; r++)
#pragma unroll
        for (int c = 0; c < STRIP; c++)
            sum[r][c] = 0.0f;
#pragma unroll 2
    for (int k = lane; k < depth / V; k += LANES) {
        vec w[STRIP];
#pragma unroll
        for (int c = 0; c < STRIP; c++)
            w[c] = LOAD(weights[c], k);
#pragma unroll
        for (int r = 0; r < CHUNK; r++) {
            const vec x = LOAD(row[r], k);
#pragma unroll
            for (int c = 0; c < STRIP; c++)
                sum[r][c] = dot_add(x, w[c], sum[r][c]);
        }
    }
#pragma unroll
    for (int r = 0; r < CHUNK; r++)
#pragma unroll
        for (int c = 0; c < STRIP; c++)
            part[r * STRIP + c] = sum[r][c];
}

static inline float part_sum(__local const float (*part)[CHUNK * STRIP + 1], int n)
{
    float sum = 0.0f;
    for (int lane = 0; lane < LANES; lane++)
        sum += part[lane][n];
    return sum;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
esmm_few(struct motley__product_args args, __global const int *offsets, __global const int *index,
         __global const STORED *own, __global const STORED *received, __global const STORED *w,
         __global const STORED *w3, __global const float *bias, __global STORED *pre, __global STORED *pre3,
         __global STORED *y)
{
    __local float part[ITEMS / LANES][LANES][CHUNK * STRIP + 1];
    __local int found;
    const int strip = get_local_id(0) / LANES, lane = get_local_id(0) % LANES;
    const int outputs = w3 ? STRIP / 2 : STRIP, first = (get_group_id(0) * (ITEMS / LANES) + strip) * outputs;
    const struct ragged_tile chunk = chunk_at(args, offsets, get_group_id(1) + args.first_pair, &found);
    if (chunk.rows == 0)
        return;

    __global const STORED *row[CHUNK], *weights[STRIP];
    const size_t matrix = (size_t)(chunk.expert - args.first) * args.O * args.I;
    chunk_rows(chunk, index, own, received, args.own_rows, args.I, row);
#pragma unroll
    for (int c = 0; c < STRIP; c++) {
        const int o = min(first + (c < outputs ? c : c - outputs), args.O - 1);
        weights[c] = (c < outputs ? w : w3) + matrix + (size_t)o * args.I;
    }
    strip_dots(args.I, lane, row, weights, part[strip][lane]);
    barrier(CLK_LOCAL_MEM_FENCE);

    const int r = lane / STRIP, c = lane % STRIP, o = first + c; /* LANES is 8 * STRIP */
    if (r >= chunk.rows || c >= outputs || o >= args.O)
        return;
    const size_t at = (size_t)(chunk.first + r) * args.O + o;
    const float value = part_sum(part[strip], lane) + (bias ? bias[(size_t)chunk.expert * args.O + o] : 0.0f);
    float result = nonlinear(value, args.activation);
    if (pre)
        stored_put(pre, at, value);
    if (w3) {
        const float value3 = part_sum(part[strip], lane + outputs);
        if (pre3)
            stored_put(pre3, at, value3);
        result *= value3;
    }
    stored_put(y, at, args.accumulate ? stored_get(y, at) + result : result);
}

/* This item's part of CHUNK rows at one vector of inputs: every DEEP-th step of the contraction. */
static inline INLINE void deep_sums(int O, int I, int deep, __global const STORED *row[CHUNK],
                             __global const STORED *w, int c, vec sum[CHUNK])
{
#pragma unroll
    for (int r = 0; r < CHUNK; r++)
        sum[r] = (vec)0;
#pragma unroll 4
    for (int o = deep; o < O; o += DEEP) {
        const vec weights = LOAD(w + (size_t)o * I, c);
#pragma unroll
        for (int r = 0; r < CHUNK; r++)
            sum[r] = fma((vec)stored_get(row[r], (size_t)o), weights, sum[r]);
    }
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
esmm_few_transposed(struct motley__product_args args, __global const int *offsets, __global const int *index,
                    __global const STORED *own, __global const STORED *received, __global const STORED *w,
                    __global STORED *y)
{
    __local float part[DEEP][ACROSS * V] __attribute__((aligned(32)));
    __local int found;
    const int across = get_local_id(0) % ACROSS, deep = get_local_id(0) / ACROSS;
    const int c = min((int)get_group_id(0) * ACROSS + across, args.I / V - 1);
    const struct ragged_tile chunk = chunk_at(args, offsets, get_group_id(1) + args.first_pair, &found);
    if (chunk.rows == 0)
        return;

    __global const STORED *row[CHUNK];
    vec sum[CHUNK];
    w += (size_t)(chunk.expert - args.first) * args.O * args.I;
    chunk_rows(chunk, index, own, received, args.own_rows, args.O, row);
    deep_sums(args.O, args.I, deep, row, w, c, sum);

#pragma unroll
    for (int r = 0; r < CHUNK; r++) {
        if (r < chunk.rows)
            *(__local vec *)&part[deep][across * V] = sum[r];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int n = get_local_id(0); r < chunk.rows && n < ACROSS * V; n += ITEMS) {
            const int i = get_group_id(0) * ACROSS * V + n;
            const size_t at = (size_t)(chunk.first + r) * args.I + i;
            float total = 0.0f;
            for (int d = 0; d < DEEP; d++)
                total += part[d][n];
            if (i < args.I)
                stored_put(y, at, args.accumulate ? stored_get(y, at) + total : total);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
