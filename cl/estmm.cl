/* ESTMM on any device; gradients in canonical form (panel 1).
 *
 *   dW[e] (+)= sum over p with e(p)=e of a[row p,:]^T b[row p,:]        a [*,O], b [*,I], dW [E,O,I]
 *
 * Work-groups of GROUP x GROUP items: dimension 0 counts tiles of inputs, dimension 1 tiles of outputs, dimension 2
 * experts; each computes a TILE x TILE tile of dW[e] (tile.h) from the expert's rows in ascending order, GROUP at a
 * time.
 *
 * 2 P O I flops; dW, f32, is written once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "tile.h"

__kernel void estmm(struct motley__product_args args, __global const int *offsets,
                    __global const int *index, __global const A_TYPE *own, __global const A_TYPE *received,
                    __global const int *index_b, __global const B_TYPE *own_b, __global const B_TYPE *received_b,
                    __global float *dw)
{
    __local float a[TILE_FLOATS], b[TILE_FLOATS];
    int lx = get_local_id(0), ly = get_local_id(1);
    int input = get_group_id(0) * TILE, output = get_group_id(1) * TILE, expert = get_group_id(2);
    struct ragged_tile rows = ragged_rows(args, offsets, args.first + expert);
    float sum[ITEM][ITEM];

    tile_clear(sum);
    for (int k = 0; k < rows.rows; k += GROUP) {
        __global const A_TYPE *line = 0;
        __global const B_TYPE *line_b = 0;
        if (k + ly < rows.rows) {
            int p = rows.first + k + ly;
            line = ragged_row(p, index, own, received, args.own_rows, args.O);
            line_b = ragged_row(p, index_b, own_b, received_b, args.own_rows_b, args.I);
        }
        tile_fetch_columns_a(line, output, args.O, lx, ly, a);
        tile_fetch_columns_b(line_b, input, args.I, lx, ly, b);
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(a, b, lx, ly, sum);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int i = 0; i < ITEM; i++) {
        int o = output + ly + i * GROUP;
#pragma unroll
        for (int j = 0; j < ITEM; j++) {
            int c = input + lx + j * GROUP;
            if (o < args.O && c < args.I) {
                size_t at = ((size_t)expert * args.O + o) * args.I + c;
                dw[at] = args.accumulate ? dw[at] + sum[i][j] : sum[i][j];
            }
        }
    }
}
