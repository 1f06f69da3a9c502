/* ESMM, forward and transposed, in f32 by plain multiply-adds; weights in canonical form (panel 1).
 *
 *   esmm             y[p,:] = act(x[row p,:] W[e]^T + b[e])     x [*,I], W [E,O,I], y [P,O]
 *   esmm, swiglu     y[p,:] = silu(x W^T) * (x W3^T)            a tile's left half is of W, its right half of W3
 *   TRANSPOSED       y[p,:] = g[row p,:] W[e]                   g [*,O], y [P,I]
 *
 * Work-groups of ITEMS items: dimension 0 counts tiles of the output's columns, dimension 1 row tiles (ragged.h); each
 * computes a tile of HEIGHT x WIDTH (fma.h), DEPTH of the contraction at a time, and fetches the next step while it
 * multiplies the present one.  Rows beyond the tile and columns beyond the matrix repeat the last ones: what comes of
 * them is not stored.  Surplus row tiles run no step and store nothing: every barrier is met by the whole group.
 *
 * 2 P O I flops (swiglu 4); reads (1 / HEIGHT + 1 / WIDTH) P O I numbers, most of them from the cache.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#define REAL float4
#include "types.h"
#include "ragged.h"
#include "nonlinear.h"
#include "nvidia/direction.h"
#include "nvidia/fma.h"

#define TILE_COLUMNS OUTPUT_COLUMNS(WIDTH)

/* The numbers that a work-item fetches first. */
struct sources {
    __global const float *row[LINES(HEIGHT)];
#ifdef TRANSPOSED
    __global const float *weight;
#else
    __global const float *weight[LINES(WIDTH)];
#endif
};

INLINE void find_sources(struct motley__product_args args, struct ragged_tile tile, int column,
                         __global const int *index, __global const float *own, __global const float *received,
                         __global const float *w, __global const float *w3, struct sources *from)
{
    const size_t matrix = (size_t)(tile.expert - args.first) * args.O * args.I;
#pragma unroll
    for (int i = 0; i < LINES(HEIGHT); i++) {
        const int p = tile.first + max(min(LINE + i * LINE_STEP, tile.rows - 1), 0);
        from->row[i] = ragged_row(p, index, own, received, args.own_rows, DEPTH_OF(args)) + LINE_K;
    }
#ifdef TRANSPOSED
    from->weight = w + matrix + (size_t)ACROSS(WIDTH) * args.I + column + COLUMN(WIDTH);
#else
#pragma unroll
    for (int i = 0; i < LINES(WIDTH); i++) {
        const int c = LINE + i * LINE_STEP, o = min(column + c % TILE_COLUMNS, args.O - 1);
        from->weight[i] = (c < TILE_COLUMNS ? w : w3) + matrix + (size_t)o * args.I + LINE_K;
    }
#endif
}

/* The step from k on, zero beyond the contraction. */
INLINE void fetch_step(struct motley__product_args args, const struct sources *from, int column, int k, int depth,
                       float4 *rows, float4 *weights)
{
    fetch_lines(from->row, HEIGHT, k, depth, rows);
#ifdef TRANSPOSED
#pragma unroll
    for (int i = 0; i < FETCHES(WIDTH); i++) {
        const int o = k + i * ACROSS_STEP(WIDTH), left = args.I - column - COLUMN(WIDTH);
        weights[i] = fetch(from->weight + (size_t)o * args.I, o + ACROSS(WIDTH) < depth ? left : 0);
    }
#else
    fetch_lines(from->weight, WIDTH, k, depth, weights);
#endif
}

INLINE void put_step(__local float *step, const float4 *rows, const float4 *weights)
{
    put_lines(step, HEIGHT, rows);
#ifdef TRANSPOSED
    put_columns(step + A_FLOATS, WIDTH, weights);
#else
    put_lines(step + A_FLOATS, WIDTH, weights);
#endif
}

/* Bias, activation and store of a row's sums, in columns o to o + 3 and those half a tile further. */
INLINE void finish_row(struct motley__product_args args, size_t at, int o, float4 sum[2], const float4 shift[2],
                       __global float *pre, __global float *pre3, __global float *y)
{
    const int width = WIDTH_OF(args);
#if ACTIVATION == MOTLEY__ACT_SWIGLU
    if (pre)
        store(pre + at, o, width, sum[0], 0);
    if (pre3)
        store(pre3 + at, o, width, sum[1], 0);
    store(y + at, o, width, nonlinear(sum[0], ACTIVATION) * sum[1], args.accumulate);
#else
#pragma unroll
    for (int half_ = 0; half_ < 2; half_++, o += WIDTH / 2) {
        const float4 value = sum[half_] + shift[half_];
        if (pre)
            store(pre + at, o, width, value, 0);
        store(y + at, o, width, nonlinear(value, ACTIVATION), args.accumulate);
    }
#endif
}

INLINE void finish(struct motley__product_args args, struct ragged_tile tile, int column, float4 sum[8][2],
                   __global const float *bias, __global float *pre, __global float *pre3, __global float *y)
{
    const int width = WIDTH_OF(args), o = column + 4 * ITEM_X;
    float4 shift[2] = {(float4)(0.0f), (float4)(0.0f)};
    if (bias) {
        __global const float *from = bias + (size_t)tile.expert * width + o;
        shift[0] = fetch(from, width - o);
        shift[1] = fetch(from + WIDTH / 2, width - o - WIDTH / 2);
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
        if (SUM_ROW(i) < tile.rows)
            finish_row(args, (size_t)(tile.first + SUM_ROW(i)) * width, o, sum[i], shift, pre, pre3, y);
}

__kernel void
esmm_fma(struct motley__product_args args, __global const int *offsets, __global const int *index,
         __global const float *own, __global const float *received, __global const float *w,
         __global const float *w3, __global const float *bias, __global float *pre, __global float *pre3,
         __global float *y)
{
    __local float memory[2 * STEP_FLOATS] __attribute__((aligned(16)));
    const struct ragged_tile tile = ragged_tile(args, offsets, get_group_id(1), HEIGHT, 1);
    const int column = get_group_id(0) * TILE_COLUMNS, depth = tile.rows ? DEPTH_OF(args) : 0;
    float4 rows[FETCHES(HEIGHT)], weights[FETCHES(WIDTH)], sum[8][2];
    struct sources from;
    int present = 0;

    find_sources(args, tile, column, index, own, received, w, w3, &from);
    clear_sums(sum);
    fetch_step(args, &from, column, 0, depth, rows, weights);
    put_step(memory, rows, weights);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = 0; k < depth; k += DEPTH) {
        fetch_step(args, &from, column, k + DEPTH, depth, rows, weights);
        multiply(memory + present, sum);
        present = STEP_FLOATS - present;
        put_step(memory + present, rows, weights);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    finish(args, tile, column, sum, bias, pre, pre3, y);
}
