/* ESMM, transposed, on a CPU.
 *
 *   y[p,:] = g[row p,:] W[e]                                 g [*,O], W [E,O,I] in panels, y [P,I]
 *
 * Work-groups as of the forward product (cpu/esmm.cl) with O and I exchanged, reading the same copy of the weights: a
 * group packs DEPTH columns of its rows once and multiplies them with blocks of its inputs' weights (across.h).  A tile
 * of FEW_ROWS or less takes dot products instead (few.h).
 *
 * g, weights and y are stored as STORAGE.
 *
 * 2 P O I flops; weights are read once per row tile, rows once per run of panels.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "cpu/across.h"
#include "cpu/few.h"

/* A tile of few rows, inputs from .. to-1; w is the expert's matrix. */
static inline void multiply_few(struct motley__product_args args, struct ragged_tile tile, __global const int *index,
                                __global const STORED *own, __global const STORED *received, int from, int to,
                                __global const STORED *w, VECTOR *dots, __global STORED *y)
{
    __global const STORED *row[FEW_ROWS];
    int passes = (tile.rows + FEW_PASS - 1) / FEW_PASS, share = (tile.rows + passes - 1) / passes;
    int block = max(FEW_DOTS * 16 / LANES / share, LANES) / LANES * LANES;

    share = (share + 3) / 4 * 4;
    for (int r = 0; r < tile.rows; r++)
        row[r] = ragged_row(tile.first + r, index, own, received, args.own_rows, args.O);
    for (int i = from; i < to; i += block)
        for (int r = 0; r < tile.rows; r += share) {
            int inputs = min(block, to - i), rows = min(share, tile.rows - r);
            __global STORED *to_rows = y + (size_t)(tile.first + r) * args.I + i;
            few_multiply(rows, row + r, args.O, args.I, i, inputs, w, dots);
            for (int n = 0; n < rows; n++, to_rows += args.I)
                few_store(rows, n, inputs, dots, args.accumulate, to_rows);
        }
}

/* The weights of `inputs` inputs from w on, `depth` outputs; wide: room for them as floats. */
static inline struct across_block block_of(__global const STORED *w, int inputs, int depth, size_t stride,
                                           __global const STORED *next, float *wide)
{
    struct across_block block = {.next = (size_t)next, .next_stride = stride * sizeof(STORED)};
#if STORAGE == 0
    block.w = w;
    block.stride = stride;
#else
    block.w = wide;
    block.stride = inputs * PANEL;
    for (; depth > 0; depth -= PANEL, w += stride)
        for (int i = 0; i < inputs; i++, wide += PANEL) {
            PANEL_LOAD(v0, v1, w + i * PANEL);
            const VECTOR both[] = {v0, v1};
            STORE(panel_half(both, 0), 0, wide);
            STORE(panel_half(both, 1), 1, wide);
        }
#endif
    return block;
}

__kernel void esmm_transposed(struct motley__product_args args, __global const int *offsets, __global const int *index,
                              __global const STORED *own, __global const STORED *received, __global const STORED *w,
                              __global STORED *y)
{
    VECTOR sums[2 * MAX_PANELS * (BLOCK_ROWS + LANES)];
    float packed[BLOCK_ROWS * DEPTH + LANES], wide[STORAGE == 0 ? 1 : ROWS * DEPTH];
    struct ragged_tile tile = rows_tile(args, offsets, LANES);
    int panels = (args.I + PANEL - 1) / PANEL, padded = (args.O + PANEL - 1) / PANEL * PANEL;
    int first = run_of(panels).first * PANEL, all = min(run_of(panels).count * PANEL, args.I - first);
    const size_t stride = (size_t)args.I * PANEL, below = DEPTH / PANEL * stride;

    if (tile.rows == 0)
        return;
    w += (size_t)(tile.expert - args.first) * padded * args.I;
    if (tile.rows <= FEW_ROWS) {
        multiply_few(args, tile, index, own, received, first, first + all, w, sums, y);
        return;
    }
    w += (size_t)first * PANEL;
    for (int k = 0; k < args.O; k += DEPTH, w += below) {
        int depth = min(DEPTH, args.O - k);
        across_pack(tile, index, own, received, args.own_rows, args.O, k, depth, packed);
        for (int i = 0, inputs; i < all; i += inputs) {
            inputs = across_inputs(all - i);
            __global const STORED *from = w + i * PANEL, *next = from + inputs * PANEL;
            if (i + inputs == all)
                next = k + depth < args.O ? w + below : from;
            across_multiply(tile.rows, depth, packed, block_of(from, inputs, depth, stride, next, wide), i, inputs, all,
                            k > 0, (float *)sums);
        }
    }
    across_store(tile.rows, all, (const float *)sums, args.I, args.accumulate,
                 y + (size_t)tile.first * args.I + first);
}
