/* ESTMM on a CPU.
 *
 *   dW[e] (+)= sum over p with e(p)=e of a[row p,:]^T b[row p,:]        a [*,O], b [*,I], dW [E,O,I] in panels
 *
 * Work-groups of one item: dimension 0 counts (expert, block of BLOCK_INPUTS inputs), dimension 1 runs of panels
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

#ifndef BLOCK_INPUTS
#define BLOCK_INPUTS 288 /* inputs of one work-group at most, a multiple of both ROWS; as in src/product/cpu.c */
#endif

/* The tile of tile.h, put straight into the gradient: `count` of its rows are inputs that exist, and a sum that is not
 * the last of its place stays near. */
#define GRADIENT_PUT(r)                                                                                            \
    if (r < count) {                                                                                               \
        if (add)                                                                                                   \
            s##r##_0 += LOAD(2 * r, to), s##r##_1 += LOAD(2 * r + 1, to);                                          \
        if (last) {                                                                                                \
            STREAM(s##r##_0, 2 * r, to);                                                                           \
            STREAM(s##r##_1, 2 * r + 1, to);                                                                       \
        } else {                                                                                                   \
            STORE(s##r##_0, 2 * r, to);                                                                            \
            STORE(s##r##_1, 2 * r + 1, to);                                                                        \
        }                                                                                                          \
    }

#define GRADIENT(place, height)                                                                                    \
    static inline void place##_##height(int depth, const float *a, const VECTOR *b, int count, int add, int last,  \
                                        __global float *to)                                                        \
    {                                                                                                              \
        EACH_##height(TILE_ZERO)                                                                                   \
        for (int k = 0; k < depth; k++, a += height) {                                                             \
            VECTOR b0 = b[2 * k], b1 = b[2 * k + 1];                                                               \
            EACH_##height(TILE_STEP)                                                                               \
        }                                                                                                          \
        EACH_##height(GRADIENT_PUT)                                                                                \
    }
TILE_FORMS(GRADIENT, gradient)

#define GRADIENT_CASE(place, height)                                                                               \
    case height:                                                                                                   \
        place##_##height(depth, packed + c * depth, block, columns - c, add, last, to + (size_t)c * PANEL);        \
        break;

/* to [columns][PANEL] (+)= packed [columns][depth] times block [depth][PANEL]. */
static inline void gradient_multiply(int columns, int depth, const float *packed, const VECTOR *block, int add,
                                     int last, __global float *to)
{
    for (int c = 0, height; c < columns; c += height) {
        height = tile_height(columns - c);
        switch (height) {
            TILE_FORMS(GRADIENT_CASE, gradient)
        }
    }
}

/* Columns from .. from+columns-1 of rows first .. first+depth-1 in chunks [chunk][k][columns of the chunk], TOGETHER
 * rows at a time: chunks, and often rows, are a multiple of 4096 bytes apart, and the first cache holds few such lines.
 * Columns that only fill up the last chunk repeat the row's last one.  Where the row is long enough a whole vector is
 * copied; what that writes beyond the chunk's height is overwritten by the next k, so the last k is copied number by
 * number. */
#define TOGETHER 8

static inline void pack_inputs(int first, int depth, __global const int *index, __global const STORED *own,
                               __global const STORED *received, int own_rows, int width, int from, int columns,
                               float *packed)
{
    __global const STORED *row[TOGETHER];
    for (int k = 0; k < depth; k += TOGETHER) {
        int rows = min(TOGETHER, depth - k);
        for (int i = 0; i < rows; i++)
            row[i] = ragged_row(first + k + i, index, own, received, own_rows, width) + from;
        for (int c = 0, height; c < columns; c += height) {
            height = tile_height(columns - c);
            float *to = packed + c * depth + k * height;
            int left = width - from - c, whole = LANES < ROWS || left < LANES ? 0 : min(rows, depth - 1 - k);
            for (int i = 0; i < whole; i++)
                *(ANYWHERE *)(to + i * height) = STORED_LOAD(0, row[i] + c);
            for (int i = whole; i < rows; i++)
                for (int j = 0; j < height; j++)
                    to[i * height + j] = stored_get(row[i], c + min(j, left - 1));
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
    float packed[BLOCK_INPUTS * DEPTH + LANES];
    VECTOR block[2 * DEPTH];
    int blocks = (args.I + BLOCK_INPUTS - 1) / BLOCK_INPUTS, panels = (args.O + PANEL - 1) / PANEL;
    int share = ((args.I + blocks - 1) / blocks + ROWS - 1) / ROWS * ROWS;
    int group = get_group_id(0), expert = group / blocks, input = (group - expert * blocks) * share;
    int first = run_of(panels).first, count = run_of(panels).count;
    int columns = min(share, args.I - input);
    struct ragged_tile rows = ragged_rows(args, offsets, args.first + expert);

    dw += (((size_t)expert * panels + first) * args.I + input) * PANEL;
    for (int k = 0; k < rows.rows; k += DEPTH) {
        int depth = min(DEPTH, rows.rows - k), last = k + depth == rows.rows;
        pack_inputs(rows.first + k, depth, index_b, own_b, received_b, args.own_rows_b, args.I, input, columns, packed);
        for (int j = 0; j < count; j++) {
            pack_panel(rows.first + k, depth, index, own, received, args.own_rows, args.O, (first + j) * PANEL, block);
            gradient_multiply(columns, depth, packed, block, k > 0 || args.accumulate, last,
                              dw + (size_t)j * args.I * PANEL);
        }
    }
    if (rows.rows == 0 && !args.accumulate)
        for (int j = 0; j < count; j++)
            for (int i = 0; i < 2 * columns; i++)
                STREAM((VECTOR)0.0f, i, dw + (size_t)j * args.I * PANEL);
}
