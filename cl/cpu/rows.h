/* Packing routed rows for the inner loop: [rows, columns] found by index become chunks of [column][row].
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_ROWS_H
#define MOTLEY_CL_CPU_ROWS_H

#include "ragged.h"
#include "cpu/tile.h"

/* Columns from .. from+depth-1 of the tile's rows, as tile.h wants them.  Rows that only fill up the last chunk
 * repeat the last one; what is computed from them is not stored. */
static inline void rows_pack(struct ragged_tile tile, __global const int *index, __global const float *own,
                             __global const float *received, int own_rows, int width, int from, int depth,
                             float *packed)
{
    for (int r = 0; r < tile.rows; r += ROWS) {
        int height = tile_height(tile.rows - r);
        float *chunk = packed + r * depth;
        for (int i = 0; i < height; i += 2) {
            int p = tile.first + r + i, last = tile.first + tile.rows - 1;
            __global const float *row0 = ragged_row(min(p, last), index, own, received, own_rows, width) + from;
            __global const float *row1 = ragged_row(min(p + 1, last), index, own, received, own_rows, width) + from;
            for (int k = 0; k < depth; k++) {
                chunk[k * height + i] = row0[k];
                chunk[k * height + i + 1] = row1[k];
            }
        }
    }
}

#endif
