/* ESTMM by matrix instructions; gradients f32 in canonical form (panel 1).
 *
 *   dW[e] (+)= sum over p with e(p)=e of a[row p,:]^T b[row p,:]        a [*,O], b [*,I], dW [E,O,I]
 *
 * One wave a work-group (wave.h): dimension 0 counts tiles of inputs, dimension 1 tiles of outputs, dimension 2
 * experts; the expert's rows are taken in ascending order, WAVE_K at a time.  Outputs and inputs beyond the matrix
 * repeat the last one and are not stored.  2 P O I flops; dW is written once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "wave/wave.h"

__kernel WAVE_ATTRIBUTES
void estmm(struct motley__product_args args, __global const int *offsets, __global const int *index,
           __global const STORED *own, __global const STORED *received, __global const int *index_b,
           __global const STORED *own_b, __global const STORED *received_b, __global float *dw)
{
    WAVE_SCRATCH
    int lane = get_local_id(0), expert = get_group_id(2);
    int output = get_group_id(1) * TILE_ROWS, input = get_group_id(0) * TILE_COLUMNS;
    struct ragged_tile rows = ragged_rows(args, offsets, args.first + expert);
    wave_c sum[ROW_STEPS][COLUMN_STEPS];

WAVE_UNROLL
    for (int i = 0; i < ROW_STEPS; i++)
WAVE_UNROLL
        for (int j = 0; j < COLUMN_STEPS; j++)
            sum[i][j].all = (C_VECTOR)0.0f;
    for (int k = 0; k < rows.rows; k += WAVE_K) {
        wave_a a[ROW_STEPS];
        wave_b b[COLUMN_STEPS];
WAVE_UNROLL
        for (int e = 0; e < A_HELD; e++) {
            int at = k + A_K(lane, e), p = rows.first + min(at, rows.rows - 1);
            __global const STORED *line = ragged_row(p, index, own, received, args.own_rows, args.O);
WAVE_UNROLL
            for (int i = 0; i < ROW_STEPS; i++) {
                STORED value = line[min(output + i * WAVE_M + A_ROW(lane, e), args.O - 1)];
                a[i].one[e] = at < rows.rows ? value : (STORED)0;
            }
        }
WAVE_UNROLL
        for (int e = 0; e < B_HELD; e++) {
            int at = k + B_K(lane, e), p = rows.first + min(at, rows.rows - 1);
            __global const STORED *line = ragged_row(p, index_b, own_b, received_b, args.own_rows_b, args.I);
WAVE_UNROLL
            for (int j = 0; j < COLUMN_STEPS; j++) {
                STORED value = line[min(input + j * WAVE_N + B_COLUMN(lane), args.I - 1)];
                b[j].one[e] = at < rows.rows ? value : (STORED)0;
            }
        }
WAVE_UNROLL
        for (int i = 0; i < ROW_STEPS; i++)
WAVE_UNROLL
            for (int j = 0; j < COLUMN_STEPS; j++)
                wave_multiply(&a[i], &b[j], &sum[i][j]);
    }
WAVE_UNROLL
    for (int i = 0; i < ROW_STEPS; i++)
WAVE_UNROLL
        for (int j = 0; j < COLUMN_STEPS; j++)
WAVE_UNROLL
            for (int e = 0; e < C_HELD; e++) {
                int o = output + i * WAVE_M + C_ROW(lane, e), c = input + j * WAVE_N + B_COLUMN(lane);
                if (o < args.O && c < args.I) {
                    size_t at = ((size_t)expert * args.O + o) * args.I + c;
                    dw[at] = args.accumulate ? dw[at] + sum[i][j].one[e] : sum[i][j].one[e];
                }
            }
}
