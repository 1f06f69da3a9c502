/* ESMM, forward and transposed, on any device; weights in canonical form (panel 1).
 *
 *   esmm, esmm_swiglu   y[p,:] = act(x[row p,:] W[e]^T + b[e])     x [*,I], W [E,O,I], y [P,O]
 *   esmm_transposed     y[p,:] = g[row p,:] W[e]                   g [*,O], y [P,I]
 *
 * Work-groups of GROUP x GROUP items: dimension 0 counts tiles of the output's columns, dimension 1 row tiles
 * (ragged.h); each computes a TILE x TILE tile of the output (tile.h), stepping through the contraction GROUP at a
 * time.  Surplus row tiles run no step and store nothing, so that every barrier is met by the whole group.
 *
 * 2 P O I flops (swiglu 4); reads (P O I / TILE) * 2 numbers, most of them from the cache.
 * x is operand A of tile.h, W operand B; pre and y are stored as STORAGE_Y, the bias is f32.  esmm leaves w3 and pre3
 * alone, esmm_swiglu the bias: one list of arguments serves both.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "tile.h"
#include "nonlinear.h"

/* The rows y + i GROUP of a row tile; NULL beyond its end. */
static inline void input_rows(struct ragged_tile tile, __global const int *index, __global const A_TYPE *own,
                              __global const A_TYPE *received, int own_rows, int width, int y,
                              __global const A_TYPE *row[ITEM])
{
#pragma unroll
    for (int i = 0; i < ITEM; i++) {
        int r = y + i * GROUP;
        row[i] = r < tile.rows ? ragged_row(tile.first + r, index, own, received, own_rows, width) : 0;
    }
}

static inline void weight_rows(__global const B_TYPE *w, int column, int O, int I, int y,
                               __global const B_TYPE *row[ITEM])
{
#pragma unroll
    for (int i = 0; i < ITEM; i++) {
        int o = column + y + i * GROUP;
        row[i] = o < O ? w + (size_t)o * I : 0;
    }
}

static inline void esmm_store(struct motley__product_args args, int p, int o, float value, float value3, float shift,
                              __global Y_TYPE *pre, __global Y_TYPE *pre3, __global Y_TYPE *y)
{
    size_t at = (size_t)p * args.O + o;
    value += shift;
    if (pre)
        STORED_PUT(STORAGE_Y, pre, at, value);
    float result = nonlinear(value, args.activation);
    if (args.activation == MOTLEY__ACT_SWIGLU) {
        if (pre3)
            STORED_PUT(STORAGE_Y, pre3, at, value3);
        result *= value3;
    }
    tile_store(y, at, result, args.accumulate);
}

__kernel void esmm(struct motley__product_args args, __global const int *offsets, __global const int *index,
                   __global const A_TYPE *own, __global const A_TYPE *received, __global const B_TYPE *w,
                   __global const B_TYPE *w3, __global const float *bias, __global Y_TYPE *pre, __global Y_TYPE *pre3,
                   __global Y_TYPE *y)
{
    __local float a[TILE_FLOATS], b[TILE_FLOATS];
    int lx = get_local_id(0), ly = get_local_id(1), column = get_group_id(0) * TILE;
    struct ragged_tile tile = ragged_tile(args, offsets, get_group_id(1), TILE, 1);
    int depth = tile.rows ? args.I : 0;
    __global const A_TYPE *rows[ITEM];
    __global const B_TYPE *weights[ITEM];
    float sum[ITEM][ITEM];

    input_rows(tile, index, own, received, args.own_rows, args.I, ly, rows);
    weight_rows(w + (size_t)(tile.expert - args.first) * args.O * args.I, column, args.O, args.I, ly, weights);
    tile_clear(sum);
    for (int k = 0; k < depth; k += GROUP) {
        tile_fetch_rows_a(rows, k, depth, lx, ly, a);
        tile_fetch_rows_b(weights, k, depth, lx, ly, b);
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(a, b, lx, ly, sum);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int j = 0; j < ITEM; j++) {
        int o = column + lx + j * GROUP;
        float shift = bias && o < args.O ? bias[(size_t)tile.expert * args.O + o] : 0.0f;
#pragma unroll
        for (int i = 0; i < ITEM; i++)
            if (o < args.O && ly + i * GROUP < tile.rows)
                esmm_store(args, tile.first + ly + i * GROUP, o, sum[i][j], 0.0f, shift, pre, 0, y);
    }
}

__kernel void esmm_swiglu(struct motley__product_args args, __global const int *offsets, __global const int *index,
                          __global const A_TYPE *own, __global const A_TYPE *received, __global const B_TYPE *w,
                          __global const B_TYPE *w3, __global const float *bias, __global Y_TYPE *pre,
                          __global Y_TYPE *pre3, __global Y_TYPE *y)
{
    __local float a[TILE_FLOATS], b[TILE_FLOATS], b3[TILE_FLOATS];
    int lx = get_local_id(0), ly = get_local_id(1), column = get_group_id(0) * TILE;
    struct ragged_tile tile = ragged_tile(args, offsets, get_group_id(1), TILE, 1);
    int depth = tile.rows ? args.I : 0;
    size_t begin = (size_t)(tile.expert - args.first) * args.O * args.I;
    __global const A_TYPE *rows[ITEM];
    __global const B_TYPE *weights[ITEM], *weights3[ITEM];
    float sum[ITEM][ITEM], sum3[ITEM][ITEM];

    input_rows(tile, index, own, received, args.own_rows, args.I, ly, rows);
    weight_rows(w + begin, column, args.O, args.I, ly, weights);
    weight_rows(w3 + begin, column, args.O, args.I, ly, weights3);
    tile_clear(sum);
    tile_clear(sum3);
    for (int k = 0; k < depth; k += GROUP) {
        tile_fetch_rows_a(rows, k, depth, lx, ly, a);
        tile_fetch_rows_b(weights, k, depth, lx, ly, b);
        tile_fetch_rows_b(weights3, k, depth, lx, ly, b3);
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(a, b, lx, ly, sum);
        tile_multiply(a, b3, lx, ly, sum3);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int j = 0; j < ITEM; j++) {
        int o = column + lx + j * GROUP;
#pragma unroll
        for (int i = 0; i < ITEM; i++)
            if (o < args.O && ly + i * GROUP < tile.rows)
                esmm_store(args, tile.first + ly + i * GROUP, o, sum[i][j], sum3[i][j], 0.0f, pre, pre3, y);
    }
}

__kernel void esmm_transposed(struct motley__product_args args, __global const int *offsets, __global const int *index,
                              __global const A_TYPE *own, __global const A_TYPE *received, __global const B_TYPE *w,
                              __global Y_TYPE *y)
{
    __local float a[TILE_FLOATS], b[TILE_FLOATS];
    int lx = get_local_id(0), ly = get_local_id(1), column = get_group_id(0) * TILE;
    struct ragged_tile tile = ragged_tile(args, offsets, get_group_id(1), TILE, 1);
    int depth = tile.rows ? args.O : 0;
    __global const A_TYPE *rows[ITEM];
    float sum[ITEM][ITEM];

    input_rows(tile, index, own, received, args.own_rows, args.O, ly, rows);
    w += (size_t)(tile.expert - args.first) * args.O * args.I;
    tile_clear(sum);
    for (int k = 0; k < depth; k += GROUP) {
        tile_fetch_rows_a(rows, k, depth, lx, ly, a);
        tile_fetch_columns_b(k + ly < depth ? w + (size_t)(k + ly) * args.I : 0, column, args.I, lx, ly, b);
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(a, b, lx, ly, sum);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int i = 0; i < ITEM; i++) {
        int r = ly + i * GROUP;
#pragma unroll
        for (int j = 0; j < ITEM; j++) {
            int c = column + lx + j * GROUP;
            if (r < tile.rows && c < args.I) {
                size_t at = (size_t)(tile.first + r) * args.I + c;
                tile_store(y, at, sum[i][j], args.accumulate);
            }
        }
    }
}
