/* ESTMM on a CPU.
 *
 *   dW[e] (+)= sum over p with e(p)=e of a[row p,:]^T b[row p,:]        a [*,O], b [*,I], dW [E,O,I] in panels
 *
 * Work-groups of one item: dimension 0 counts (expert, block of BLOCK_ROWS inputs), dimension 1 runs of panels
 * of outputs, so that few experts also occupy all threads.  The forward product's loop with other parts:
 * inputs are the broadcast side, a panel of a's columns the vector side, rows of the expert the contraction, in
 * ascending order.  Padding comes out as zero, because a's columns beyond O are packed as zero.
 *
 * a and b are stored as STORAGE, dW as f32.
 *
 * 2 P O I flops; a is read once per block of inputs, b once per run of panels, dW written once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "cpu/tile.h"

TILE_MULTIPLY(block)

/* Columns from .. from+columns-1 of rows first .. first+depth-1 in chunks [chunk][k][columns of the chunk].  Columns
 * that only fill up the last chunk repeat the row's last one.  Where the row is long enough a whole vector is copied;
 * what that writes beyond the chunk's height is overwritten by the next k, so the last k is copied number by number. */
static inline void pack_inputs(int first, int depth, __global const int *index, __global const STORED *own,
                               __global const STORED *received, int own_rows, int width, int from, int columns,
                               float *packed)
{
    for (int k = 0; k < depth; k++) {
        __global const STORED *row = ragged_row(first + k, index, own, received, own_rows, width) + from;
        int whole = LANES >= ROWS && k + 1 < depth ? LANES : INT_MAX;
        for (int c = 0, height; c < columns; c += height) {
            height = tile_height(columns - c);
            float *to = packed + c * depth + k * height;
            int left = width - from - c;
            if (left >= whole)
                *(ANYWHERE *)to = STORED_LOAD(0, row + c);
            else
                for (int i = 0; i < height; i++)
                    to[i] = stored_get(row, c + min(i, left - 1));
        }
    }
}

/* Columns from .. from+PANEL-1 of the same rows, [k][PANEL], zero beyond the width. */
static inline void pack_panel(int first, int depth, __global const int *index, __global const STORED *own,
                              __global const STORED *received, int own_rows, int width, int from, VECTOR *block)
{
    for (int k = 0; k < depth; k++) {
        __global const STORED *row = ragged_row(first + k, index, own, received, own_rows, width) + from;
        block[2 * k] = stored_read(row, width - from);
        block[2 * k + 1] = stored_read(row + LANES, width - from - LANES);
        FETCH(row + PANEL);
        FETCH(row + PANEL + LANES);
    }
}

__kernel void estmm(struct motley__product_args args, __global const int *offsets,
                    __global const int *index, __global const STORED *own, __global const STORED *received,
                    __global const int *index_b, __global const STORED *own_b, __global const STORED *received_b,
                    __global float *dw)
{
    float packed[BLOCK_ROWS * DEPTH + LANES];
    VECTOR block[2 * DEPTH], sums[2 * MAX_PANELS * BLOCK_ROWS];
    int blocks = (args.I + BLOCK_ROWS - 1) / BLOCK_ROWS, panels = (args.O + PANEL - 1) / PANEL;
    int share = ((args.I + blocks - 1) / blocks + ROWS - 1) / ROWS * ROWS;
    int expert = get_group_id(0) / blocks, input = get_group_id(0) % blocks * share;
    int first = run_of(panels).first, count = run_of(panels).count;
    int columns = min(share, args.I - input);
    struct ragged_tile rows = ragged_rows(args, offsets, args.first + expert);

    for (int k = 0; k < rows.rows; k += DEPTH) {
        int depth = min(DEPTH, rows.rows - k);
        pack_inputs(rows.first + k, depth, index_b, own_b, received_b, args.own_rows_b, args.I, input, columns, packed);
        for (int j = 0; j < count; j++) {
            pack_panel(rows.first + k, depth, index, own, received, args.own_rows, args.O, (first + j) * PANEL, block);
            block_multiply(columns, depth, packed, (const float *)block, k > 0, ahead_of(own, 0),
                           sums + 2 * j * BLOCK_ROWS);
        }
    }
    if (rows.rows == 0 && args.accumulate)
        return;
    for (int j = 0; j < count; j++) {
        __global float *to = dw + (((size_t)expert * panels + first + j) * args.I + input) * PANEL;
        const VECTOR *sum = sums + 2 * j * BLOCK_ROWS;
        if (args.accumulate)
            for (int i = 0; i < 2 * columns; i++)
                STORE(sum[i] + LOAD(i, to), i, to);
        else
            for (int i = 0; i < 2 * columns; i++)
                STREAM(rows.rows > 0 ? sum[i] : (VECTOR)0.0f, i, to);
    }
}
