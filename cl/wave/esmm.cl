/* ESMM by matrix instructions; weights in canonical form (panel 1), rows, weights and outputs in one storage type.
 *
 *   esmm              y[p,:] = act(x[row p,:] W[e]^T + b[e])     x [*,I], W [E,O,I], y [P,O]
 *   with w3           y[p,:] = silu(x W^T) * (x W3^T)            half of a wave's columns are W's, half W3's
 *   esmm_transposed   y[p,:] = g[row p,:] W[e]                   g [*,O], y [P,I]
 *
 * One wave a work-group (wave.h): dimension 0 counts tiles of the output's columns, dimension 1 row tiles (ragged.h).
 * Both operands go from memory to registers; rows beyond the tile and columns beyond the matrix repeat the last one and
 * are not stored.  2 P O I flops (swiglu 4); reads (1 / TILE_ROWS + 1 / TILE_COLUMNS) P O I numbers, most of them from
 * the cache.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "wave/wave.h"
#include "nonlinear.h"

/* The rows of x that this lane loads. */
static inline void wave_rows(struct ragged_tile tile, __global const int *index, __global const STORED *own,
                             __global const STORED *received, int own_rows, int width,
                             __global const STORED *row[ROW_STEPS][A_ROWS])
{
    int lane = get_local_id(0);
WAVE_UNROLL
    for (int i = 0; i < ROW_STEPS; i++)
WAVE_UNROLL
        for (int r = 0; r < A_ROWS; r++) {
            int at = min(i * WAVE_M + A_ROW(lane, r * (A_HELD / A_ROWS)), tile.rows - 1);
            row[i][r] = ragged_row(tile.first + at, index, own, received, own_rows, width);
        }
}

/* sum += A B for WAVE_K numbers from k on; the contraction ends at `depth`, B's next number is `stride` further on. */
static inline void wave_step(__global const STORED *const row[ROW_STEPS][A_ROWS],
                             __global const STORED *const column[COLUMN_STEPS], size_t stride, int k, int depth,
                             wave_c sum[ROW_STEPS][COLUMN_STEPS] WAVE_SCRATCH_PARAMETER)
{
    int lane = get_local_id(0);
    wave_a a;
    wave_b b[COLUMN_STEPS];
WAVE_UNROLL
    for (int j = 0; j < COLUMN_STEPS; j++)
WAVE_UNROLL
        for (int e = 0; e < B_HELD; e++) {
            int at = k + B_K(lane, e);
            b[j].one[e] = at < depth ? column[j][at * stride] : (STORED)0;
        }
WAVE_UNROLL
    for (int i = 0; i < ROW_STEPS; i++) {
WAVE_UNROLL
        for (int e = 0; e < A_HELD; e++) {
            int at = k + A_K(lane, e);
            a.one[e] = at < depth ? row[i][e / (A_HELD / A_ROWS)][at] : (STORED)0;
        }
WAVE_UNROLL
        for (int j = 0; j < COLUMN_STEPS; j++)
            wave_multiply(&a, &b[j], &sum[i][j]);
    }
}

static inline void wave_product(__global const STORED *const row[ROW_STEPS][A_ROWS],
                                __global const STORED *const column[COLUMN_STEPS], size_t stride, int depth,
                                wave_c sum[ROW_STEPS][COLUMN_STEPS] WAVE_SCRATCH_PARAMETER)
{
    int k = 0;
WAVE_UNROLL
    for (int i = 0; i < ROW_STEPS; i++)
WAVE_UNROLL
        for (int j = 0; j < COLUMN_STEPS; j++)
            sum[i][j].all = (C_VECTOR)0.0f;
    for (; k + WAVE_K <= depth; k += WAVE_K)
        wave_step(row, column, stride, k, INT_MAX, sum WAVE_SCRATCH_ARGUMENT);
    if (k < depth)
        wave_step(row, column, stride, k, depth, sum WAVE_SCRATCH_ARGUMENT);
}

static inline void esmm_store(struct motley__product_args args, int p, int o, float value, float value3,
                              __global STORED *pre, __global STORED *pre3, __global STORED *y)
{
    size_t at = (size_t)p * args.O + o;
    float result = nonlinear(value, args.activation);
    if (pre)
        stored_put(pre, at, value);
    if (args.activation == MOTLEY__ACT_SWIGLU) {
        if (pre3)
            stored_put(pre3, at, value3);
        result *= value3;
    }
    stored_put(y, at, args.accumulate ? stored_get(y, at) + result : result);
}

__kernel WAVE_ATTRIBUTES
void esmm(struct motley__product_args args, __global const int *offsets, __global const int *index,
          __global const STORED *own, __global const STORED *received, __global const STORED *w,
          __global const STORED *w3, __global const float *bias, __global STORED *pre, __global STORED *pre3,
          __global STORED *y)
{
    WAVE_SCRATCH
    int lane = get_local_id(0), steps = w3 ? COLUMN_STEPS / 2 : COLUMN_STEPS;
    int first = get_group_id(0) * steps * WAVE_N;
    struct ragged_tile tile = ragged_tile(args, offsets, get_group_id(1), TILE_ROWS, 1);
    size_t begin = (size_t)(tile.expert - args.first) * args.O * args.I;
    __global const STORED *row[ROW_STEPS][A_ROWS], *column[COLUMN_STEPS];
    wave_c sum[ROW_STEPS][COLUMN_STEPS];

    if (tile.rows == 0)
        return;
    wave_rows(tile, index, own, received, args.own_rows, args.I, row);
WAVE_UNROLL
    for (int j = 0; j < COLUMN_STEPS; j++) {
        int o = min(first + (j < steps ? j : j - steps) * WAVE_N + B_COLUMN(lane), args.O - 1);
        column[j] = (j < steps ? w : w3) + begin + (size_t)o * args.I;
    }
    wave_product(row, column, 1, args.I, sum WAVE_SCRATCH_ARGUMENT);
WAVE_UNROLL
    for (int j = 0; j < COLUMN_STEPS; j++) {
        int o = first + j * WAVE_N + B_COLUMN(lane);
        if (j >= steps || o >= args.O)
            continue;
        float shift = bias ? bias[(size_t)tile.expert * args.O + o] : 0.0f;
WAVE_UNROLL
        for (int i = 0; i < ROW_STEPS; i++)
WAVE_UNROLL
            for (int e = 0; e < C_HELD; e++) {
                int r = i * WAVE_M + C_ROW(lane, e);
                float value3 = w3 ? sum[i][(j + COLUMN_STEPS / 2) % COLUMN_STEPS].one[e] : 0.0f;
                if (r < tile.rows)
                    esmm_store(args, tile.first + r, o, sum[i][j].one[e] + shift, value3, pre, pre3, y);
            }
    }
}

__kernel WAVE_ATTRIBUTES
void esmm_transposed(struct motley__product_args args, __global const int *offsets, __global const int *index,
                     __global const STORED *own, __global const STORED *received, __global const STORED *w,
                     __global STORED *y)
{
    WAVE_SCRATCH
    int lane = get_local_id(0), first = get_group_id(0) * TILE_COLUMNS;
    struct ragged_tile tile = ragged_tile(args, offsets, get_group_id(1), TILE_ROWS, 1);
    __global const STORED *row[ROW_STEPS][A_ROWS], *column[COLUMN_STEPS];
    wave_c sum[ROW_STEPS][COLUMN_STEPS];

    if (tile.rows == 0)
        return;
    wave_rows(tile, index, own, received, args.own_rows, args.O, row);
WAVE_UNROLL
    for (int j = 0; j < COLUMN_STEPS; j++)
        column[j] = w + (size_t)(tile.expert - args.first) * args.O * args.I +
                    min(first + j * WAVE_N + B_COLUMN(lane), args.I - 1);
    wave_product(row, column, args.I, args.O, sum WAVE_SCRATCH_ARGUMENT);
WAVE_UNROLL
    for (int i = 0; i < ROW_STEPS; i++)
WAVE_UNROLL
        for (int j = 0; j < COLUMN_STEPS; j++)
WAVE_UNROLL
            for (int e = 0; e < C_HELD; e++) {
                int r = i * WAVE_M + C_ROW(lane, e), c = first + j * WAVE_N + B_COLUMN(lane);
                if (r < tile.rows && c < args.I) {
                    size_t at = (size_t)(tile.first + r) * args.I + c;
                    stored_put(y, at, args.accumulate ? stored_get(y, at) + sum[i][j].one[e] : sum[i][j].one[e]);
                }
            }
}
