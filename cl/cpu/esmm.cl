/* ESMM, forward, on a CPU.
 *
 *   y[p,:] = act(x[row p,:] W[e]^T + b[e])                  x [*,I], W [E,O,I] in panels, y [P,O]
 *   swiglu: y[p,:] = silu(x W^T) * (x W3^T)
 *
 * Work-groups of one item: dimension 0 counts row tiles (rows.h), dimension 1 runs of panels of the output.  A
 * group packs DEPTH columns of its rows once, multiplies them with each of its panels (tile.h) into private
 * sums, and after the last columns applies bias and activation and stores.
 *
 * x, weights, pre and y are stored as STORAGE, the bias as f32.
 *
 * 2 P O I flops (swiglu 4); weights are read once per row tile, rows once per run of panels.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "cpu/tile.h"
#include "cpu/rows.h"
#define REAL VECTOR
#include "nonlinear.h"

/* Few rows, one chunk of the tile, read each panel from end to end and the panels one after the other.  How far ahead
 * of what is used they fetch was measured: up to four go on at the memory's speed, one of narrow storage best without,
 * more leave it time.  AHEAD (-D): so many bytes instead. */
static inline size_t stream_ahead(int rows)
{
#ifdef AHEAD
    return AHEAD / sizeof(STORED);
#elif STORAGE == 0
    return (rows > ROWS / 3 ? 16384 : 1024) / sizeof(STORED);
#else
    return (rows > 1 ? 4096 : 0) / sizeof(STORED);
#endif
}

TILE_MULTIPLY(direct)
#if STORAGE != 0
TILE_MULTIPLY(block)
#endif

/* A block of weights, depth times PANEL from w on, with the tile's packed rows.  Narrow storage is widened once for
 * all chunks of rows where there are several. */
static inline void multiply(int rows, int depth, const float *packed, __global const STORED *w, int add,
                            struct ahead ahead, VECTOR *sums)
{
#if STORAGE != 0
    if (rows > ROWS) {
        VECTOR block[2 * DEPTH];
        for (int k = 0; k < depth; k++) {
            PANEL_LOAD(v0, v1, w + (size_t)k * PANEL);
            block[2 * k] = v0;
            block[2 * k + 1] = v1;
        }
        block_multiply(rows, depth, packed, (const float *)block, add, ahead, sums);
        return;
    }
#endif
    direct_multiply(rows, depth, packed, w, add, ahead, sums);
}

/* One vector of finished sums, outputs o .. o+LANES-1 of pair p. */
static inline void finish(struct motley__product_args args, size_t at, int count, VECTOR sum, VECTOR sum3,
                          __global STORED *pre, __global STORED *pre3, __global STORED *y)
{
    if (pre)
        stored_write(sum, pre + at, count);
    VECTOR result = nonlinear(sum, args.activation);
    if (args.activation == MOTLEY__ACT_SWIGLU) {
        if (pre3)
            stored_write(sum3, pre3 + at, count);
        result *= sum3;
    }
    if (args.accumulate)
        result += stored_read(y + at, count);
    stored_write(result, y + at, count);
}

__kernel void esmm(struct motley__product_args args, __global const int *offsets, __global const int *index,
                   __global const STORED *own, __global const STORED *received, __global const STORED *w,
                   __global const STORED *w3, __global const float *bias, __global STORED *pre, __global STORED *pre3,
                   __global STORED *y)
{
    float packed[BLOCK_ROWS * DEPTH + LANES];
    VECTOR sums[2 * MAX_PANELS * BLOCK_ROWS];
    struct ragged_tile tile = rows_tile(args, offsets, ROWS);
    int panels = (args.O + PANEL - 1) / PANEL;
    int first = run_of(panels).first, count = run_of(panels).count;
    int matrices = args.activation == MOTLEY__ACT_SWIGLU ? 2 : 1;
    size_t begin = ((size_t)(tile.expert - args.first) * panels + first) * args.I * PANEL;

    if (tile.rows == 0)
        return;
    int few = tile.rows <= ROWS, step = few ? BLOCK_ROWS / ROWS * DEPTH : DEPTH;
    for (int k = 0; k < args.I; k += step) {
        int depth = min(step, args.I - k);
        rows_pack(tile, index, own, received, args.own_rows, args.I, k, depth, packed);
        __global const STORED *from = w + begin + (size_t)k * PANEL;
        for (int j = 0; j < matrices * count; j++) {
            int after = (j + 1) % (matrices * count);
            __global const STORED *next = (after < count ? w : w3) + begin +
                                         ((size_t)(after % count) * args.I + k + (after == 0 ? depth : 0)) * PANEL;
            if (k + depth == args.I && after == 0)
                next = from;
            multiply(tile.rows, depth, packed, from, k > 0,
                     ahead_of(few ? from + stream_ahead(tile.rows) : next, PANEL * PANEL), sums + 2 * j * BLOCK_ROWS);
            from = next;
        }
    }
    for (int j = 0; j < 2 * count; j++) {
        int o = first * PANEL + j * LANES;
        if (o >= args.O)
            break;
        VECTOR shift = bias ? vector_read(bias + (size_t)tile.expert * args.O + o, args.O - o) : (VECTOR)0.0f;
        const VECTOR *sum = sums + 2 * (j / 2) * BLOCK_ROWS;
        const VECTOR *sum3 = sum + 2 * (matrices - 1) * count * BLOCK_ROWS;
        for (int r = 0; r < tile.rows; r++)
            finish(args, (size_t)(tile.first + r) * args.O + o, args.O - o, panel_half(sum + 2 * r, j % 2) + shift,
                   panel_half(sum3 + 2 * r, j % 2), pre, pre3, y);
    }
}
