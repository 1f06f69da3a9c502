/* Packing routed rows for the inner loop: [rows, columns] found by index become chunks of floats
 * [column][row].
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_ROWS_H
#define MOTLEY_CL_CPU_ROWS_H

#include "ragged.h"
#include "cpu/tile.h"

/* The row tile of this work-group.  Groups that follow each other go to one thread: a stride spreads an expert's many
 * tiles, and the surplus ones without rows, over the threads. */
static inline struct ragged_tile rows_tile(struct motley__product_args args, __global const int *offsets)
{
    int tile = get_group_id(0) * (size_t)args.tile_stride % get_num_groups(0);
    return ragged_tile(args, offsets, tile, BLOCK_ROWS, ROWS);
}

#define ROWS_FIND(i)                                                                                               \
    row[i] = ragged_row(min(first + i, last), index, own, received, own_rows, width) + from;
#define ROWS_LOAD(i) square[i] = STORED_LOAD(0, row[i] + k);
#define ROWS_STORE(i) *(ANYWHERE *)(chunk + (k + i) * height) = square[i];

/* One chunk of `height` rows, first .. last and then the last one again.  A square of LANES columns is turned at a
 * time; what a store of LANES numbers writes beyond its `height` is overwritten by the next, or lies in the slack. */
static inline void rows_pack_chunk(int first, int last, int height, __global const int *index,
                                   __global const STORED *own, __global const STORED *received, int own_rows, int width,
                                   int from, int depth, float *chunk)
{
    __global const STORED *row[LANES > ROWS ? LANES : ROWS];
    int k = 0;
#if LANES > ROWS
    EACH_LANE(ROWS_FIND)
    for (; k + LANES <= depth; k += LANES) {
        VECTOR square[LANES];
        EACH_LANE(ROWS_LOAD)
        vector_transpose(square);
        EACH_LANE(ROWS_STORE)
    }
#else
    EACH_6(ROWS_FIND)
#endif
    for (; k < depth; k++)
        for (int i = 0; i < height; i++)
            chunk[k * height + i] = stored_get(row[i], k);
}

/* Columns from .. from+depth-1 of the tile's rows, as tile.h wants them; packed has LANES numbers of slack.  Rows that
 * only fill up the last chunk repeat the last one; what is computed from them is not stored. */
static inline void rows_pack(struct ragged_tile tile, __global const int *index, __global const STORED *own,
                             __global const STORED *received, int own_rows, int width, int from, int depth,
                             float *packed)
{
    for (int r = 0; r < tile.rows; r += tile_height(tile.rows - r))
        rows_pack_chunk(tile.first + r, tile.first + tile.rows - 1, tile_height(tile.rows - r), index, own, received,
                        own_rows, width, from, depth, packed + r * depth);
}

#endif
