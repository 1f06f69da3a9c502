/* ESMM, transposed, on a CPU.
 *
 *   y[p,:] = g[row p,:] W[e]                                 g [*,O], W [E,O,I] in panels, y [P,I]
 *
 * The forward product (cpu/esmm.cl) with O and I exchanged, reading the same copy of the weights: a DEPTH x PANEL
 * block of W is turned around into private memory first, where BLOCK_ROWS rows share it.  A tile of FEW_ROWS or less
 * takes dot products with the weights as they lie instead (few.h).
 *
 * g, weights and y are stored as STORAGE.
 *
 * 2 P O I flops; weights are read and turned once per row tile, rows once per run of panels.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "cpu/tile.h"
#include "cpu/rows.h"
#include "cpu/few.h"

TILE_MULTIPLY(block)

#define TURN_LOAD(i) square[i] = STORED_LOAD(half_panel, panel + (size_t)min(first + i, I - 1) * PANEL);
#define TURN_STORE(i) block[2 * (o + half_panel * LANES + i) + side] = square[i];

/* block[o - from][i - i0] = W[o,i] for outputs from .. from+depth-1, rounded up to whole panels, and PANEL inputs
 * from i0 on; inputs beyond I repeat the last one, what is computed from them is not stored.  Both halves of a panel
 * come one after the other because they share pages and, for the prefetcher, neighbouring lines. */
static inline void turn(__global const STORED *w, int I, int from, int depth, int i0, VECTOR *block)
{
    for (int o = 0; o < depth; o += PANEL) {
        __global const STORED *panel = w + (size_t)((from + o) / PANEL) * I * PANEL;
        for (int side = 0; side < 2; side++)
            for (int half_panel = 0; half_panel < 2; half_panel++) {
                int first = i0 + side * LANES;
                VECTOR square[LANES];
                EACH_LANE(TURN_LOAD)
                vector_transpose(square);
                EACH_LANE(TURN_STORE)
            }
    }
}

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

__kernel void esmm_transposed(struct motley__product_args args, __global const int *offsets, __global const int *index,
                              __global const STORED *own, __global const STORED *received, __global const STORED *w,
                              __global STORED *y)
{
    float packed[BLOCK_ROWS * DEPTH + LANES];
    VECTOR block[2 * DEPTH], sums[2 * MAX_PANELS * BLOCK_ROWS];
    struct ragged_tile tile = rows_tile(args, offsets);
    int panels = (args.I + PANEL - 1) / PANEL, padded = (args.O + PANEL - 1) / PANEL * PANEL;
    int first = run_of(panels).first, count = run_of(panels).count;

    if (tile.rows == 0)
        return;
    w += (size_t)(tile.expert - args.first) * padded * args.I;
    if (tile.rows <= FEW_ROWS) {
        multiply_few(args, tile, index, own, received, first * PANEL, min((first + count) * PANEL, args.I), w, sums, y);
        return;
    }
    for (int k = 0; k < args.O; k += DEPTH) {
        int depth = min(DEPTH, args.O - k);
        rows_pack(tile, index, own, received, args.own_rows, args.O, k, depth, packed);
        for (int j = 0; j < count; j++) {
            int after = (j + 1) % count, from = after == 0 && k + depth < args.O ? k + depth : k;
            __global const STORED *next = w + ((size_t)(from / PANEL) * args.I + (first + after) * PANEL) * PANEL;
            turn(w, args.I, k, depth, (first + j) * PANEL, block);
            block_multiply(tile.rows, depth, packed, (const float *)block, k > 0,
                           ahead_of(next, (size_t)args.I * PANEL), sums + 2 * j * BLOCK_ROWS);
        }
    }
    for (int j = 0; j < 2 * count; j++) {
        int i = first * PANEL + j * LANES;
        if (i >= args.I)
            break;
        const VECTOR *sum = sums + 2 * (j / 2) * BLOCK_ROWS + j % 2;
        for (int r = 0; r < tile.rows; r++) {
            __global STORED *to = y + (size_t)(tile.first + r) * args.I + i;
            VECTOR result = sum[2 * r];
            if (args.accumulate)
                result += stored_read(to, args.I - i);
            stored_write(result, to, args.I - i);
        }
    }
}
