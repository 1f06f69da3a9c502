/* Packing routed rows for the inner loop: [rows, columns] found by index become chunks of floats
 * [column][row].
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_ROWS_H
#define MOTLEY_CL_CPU_ROWS_H

#include "ragged.h"
#include "cpu/tile.h"

/* The row tile of this work-group, in multiples of `grain` rows.  Groups that follow each other go to one thread: a
 * stride spreads an expert's many tiles, and the surplus ones without rows, over the threads. */
static inline struct ragged_tile rows_tile(struct motley__product_args args, __global const int *offsets, int grain)
{
    int tile = get_group_id(0) * (size_t)args.tile_stride % get_num_groups(0);
    return ragged_tile(args, offsets, tile, BLOCK_ROWS, grain);
}

#define ROWS_FIND(i)                                                                                               \
    row[i] = ragged_row(min(first + i, last), index, own, received, own_rows, width) + from;
#define ROWS_LOAD(i) square[i] = STORED_LOAD(0, row[i] + k);
#define ROWS_STORE(i) *(ANYWHERE *)(chunk + (k + i) * stride) = square[i];

/* LANES columns of 1, 2, 4 or 8 rows, `step` apart, dealt out: a chunk of that height. */
static inline void rows_deal_1(const VECTOR *from, int step, VECTOR *to)
{
    to[0] = from[0];
}

#define ROWS_DEAL(height, half_height)                                                                             \
    static inline void rows_deal_##height(const VECTOR *from, int step, VECTOR *to)                                \
    {                                                                                                              \
        VECTOR even[half_height], odd[half_height];                                                                \
        rows_deal_##half_height(from, 2 * step, even);                                                             \
        rows_deal_##half_height(from + step, 2 * step, odd);                                                       \
        for (int i = 0; i < half_height; i++) {                                                                    \
            to[2 * i] = DEAL_LOW(even[i], odd[i]);                                                                 \
            to[2 * i + 1] = DEAL_HIGH(even[i], odd[i]);                                                            \
        }                                                                                                          \
    }
ROWS_DEAL(2, 1)
ROWS_DEAL(4, 2)
ROWS_DEAL(8, 4)

#define ROWS_FEW(height)                                                                                           \
    case height:                                                                                                   \
        for (; k + LANES <= depth; k += LANES) {                                                                   \
            VECTOR square[height], dealt[height];                                                                  \
            EACH_##height(ROWS_LOAD)                                                                               \
            rows_deal_##height(square, 1, dealt);                                                                  \
            for (int i = 0; i < height; i++)                                                                       \
                *(ANYWHERE *)(chunk + k * height + i * LANES) = dealt[i];                                          \
        }                                                                                                          \
        break;

/* A chunk of `height` rows, or so many of its `stride` rows: first .. last and then the last one again.  All but a few
 * turn a square of LANES columns at a time; what a store of LANES numbers writes beyond its `height` is overwritten by
 * the next, or lies in the slack. */
static inline void rows_pack_chunk(int first, int last, int height, int stride, __global const int *index,
                                   __global const STORED *own, __global const STORED *received, int own_rows, int width,
                                   int from, int depth, float *chunk)
{
    __global const STORED *row[LANES > ROWS ? LANES : ROWS];
    int k = 0;
    for (int i = 0; i < (LANES > ROWS ? LANES : ROWS); i++)
        ROWS_FIND(i)
    switch (height == stride ? height : 0) {
        ROWS_FEW(1)
        ROWS_FEW(2)
        ROWS_FEW(4)
        ROWS_FEW(8)
    }
    for (; height <= LANES && k + LANES <= depth; k += LANES) {
        VECTOR square[LANES];
        EACH_LANE(ROWS_LOAD)
        vector_transpose(square);
        EACH_LANE(ROWS_STORE)
    }
    for (; k < depth; k++)
        for (int i = 0; i < height; i++)
            chunk[k * stride + i] = stored_get(row[i], k);
}

/* Columns from .. from+depth-1 of the tile's rows, as tile.h wants them; packed has LANES numbers of slack.  Rows that
 * only fill up the last chunk repeat the last one; what is computed from them is not stored. */
static inline void rows_pack(struct ragged_tile tile, __global const int *index, __global const STORED *own,
                             __global const STORED *received, int own_rows, int width, int from, int depth,
                             float *packed)
{
    for (int r = 0, height; r < tile.rows; r += height) {
        height = tile_height(tile.rows - r);
        rows_pack_chunk(tile.first + r, tile.first + tile.rows - 1, height, height, index, own, received, own_rows,
                        width, from, depth, packed + r * depth);
    }
}

#endif
