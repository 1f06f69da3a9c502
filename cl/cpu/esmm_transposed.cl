/* ESMM, transposed, on a CPU.
 *
 *   y[p,:] = g[row p,:] W[e]                                 g [*,O], W [E,O,I] in panels, y [P,I]
 *
 * The forward product (cpu/esmm.cl) with O and I exchanged, reading the same copy of the weights: a DEPTH x PANEL
 * block of W is turned around into private memory first, where BLOCK_ROWS rows share it.
 *
 * 2 P O I flops; weights are read and turned once per row tile, rows once per run of panels.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#define PANEL_SPACE __private
#include "types.h"
#include "ragged.h"
#include "cpu/tile.h"
#include "cpu/rows.h"

/* block[o - from][i - i0] = W[o,i] for outputs from .. from+depth-1, rounded up to whole panels, and PANEL inputs
 * from i0 on; inputs beyond I repeat the last one, what is computed from them is not stored. */
static inline void turn(__global const float *w, int I, int from, int depth, int i0, float *block)
{
    for (int o = 0; o < depth; o += LANES) {
        __global const float *panel = w + (size_t)((from + o) / PANEL) * I * PANEL + (from + o) % PANEL;
        for (int side = 0; side < 2; side++) {
            VECTOR square[LANES];
#pragma unroll
            for (int i = 0; i < LANES; i++)
                square[i] = LOAD(0, panel + (size_t)min(i0 + side * LANES + i, I - 1) * PANEL);
            tile_turn(square);
#pragma unroll
            for (int lane = 0; lane < LANES; lane++)
                STORE(square[lane], side, block + (o + lane) * PANEL);
        }
    }
}

__kernel void esmm_transposed(struct motley__product_args args, __global const int *offsets, __global const int *index,
                              __global const float *own, __global const float *received, __global const float *w,
                              __global float *y)
{
    float packed[BLOCK_ROWS * DEPTH];
    float block[DEPTH * PANEL];
    float sums[MAX_PANELS * BLOCK_ROWS * PANEL];
    struct ragged_tile tile = ragged_tile(args, offsets, get_group_id(0), BLOCK_ROWS, ROWS);
    int panels = (args.I + PANEL - 1) / PANEL, padded = (args.O + PANEL - 1) / PANEL * PANEL;
    int first = get_group_id(1) * args.block_panels, count = min(args.block_panels, panels - first);

    if (tile.rows == 0)
        return;
    w += (size_t)(tile.expert - args.first) * padded * args.I;
    for (int k = 0; k < args.O; k += DEPTH) {
        int depth = min(DEPTH, args.O - k);
        rows_pack(tile, index, own, received, args.own_rows, args.O, k, depth, packed);
        for (int j = 0; j < count; j++) {
            turn(w, args.I, k, depth, (first + j) * PANEL, block);
            tile_multiply(tile.rows, depth, packed, block, k > 0, sums + j * BLOCK_ROWS * PANEL);
        }
    }
    for (int j = 0; j < 2 * count; j++) {
        int i = first * PANEL + j * LANES;
        if (i >= args.I)
            break;
        const float *sum = sums + j / 2 * BLOCK_ROWS * PANEL + j % 2 * LANES;
        for (int r = 0; r < tile.rows; r++) {
            __global float *to = y + (size_t)(tile.first + r) * args.I + i;
            VECTOR result = LOAD(0, sum + r * PANEL);
            if (args.accumulate)
                result += tile_read(to, args.I - i);
            tile_write(result, to, args.I - i);
        }
    }
}
