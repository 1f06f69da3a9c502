/* A square tile of a product by one work-group, through local memory: the portable form.
 *
 *     sum[i][j] += sum over k < GROUP of a[k][y + i GROUP] b[k][x + j GROUP]
 *
 * GROUP x GROUP work-items, each with ITEM x ITEM sums of rows y + i GROUP and columns x + j GROUP, so that
 * neighbouring items read neighbouring words of local memory and write neighbouring words of the output.  Both operands
 * lie in local memory as [k][TILE + 1]; the odd pitch keeps transposing stores off one bank.
 *
 *     GROUP   side of the work-group (-D): 16, or 8 on devices that hold no 256 items
 *     ITEM    sums of one item in each direction (-D)
 *
 * Measured on an H200 (f32 peak 67 TFLOP/s) with ITEM 4: 8 experts of 1024 rows, D = 2048, F = 4096: 24 to 25 TFLOP/s
 * in every product; 64 experts of 64 rows, D = 1024, F = 2816: 22.  ITEM 8: 25 to 27, and 12 to 22.
 *
 * Operands are stored as STORAGE_A and STORAGE_B, outputs as STORAGE_Y (storage.h; -D, default 0); tiles and sums are
 * f32.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_TILE_H
#define MOTLEY_CL_TILE_H

#include "storage.h"

#ifndef STORAGE_A
#define STORAGE_A 0
#endif
#ifndef STORAGE_B
#define STORAGE_B 0
#endif
#ifndef STORAGE_Y
#define STORAGE_Y 0
#endif
typedef STORED_TYPE(STORAGE_A) A_TYPE;
typedef STORED_TYPE(STORAGE_B) B_TYPE;
typedef STORED_TYPE(STORAGE_Y) Y_TYPE;

#ifndef GROUP
#define GROUP 16
#endif
#ifndef ITEM
#define ITEM 4
#endif
#define TILE (GROUP * ITEM)
#define PITCH (TILE + 1)
#define TILE_FLOATS (GROUP * PITCH)

static inline void tile_clear(float sum[ITEM][ITEM])
{
#pragma unroll
    for (int i = 0; i < ITEM; i++)
#pragma unroll
        for (int j = 0; j < ITEM; j++)
            sum[i][j] = 0.0f;
}

static inline void tile_multiply(__local const float *a, __local const float *b, int x, int y, float sum[ITEM][ITEM])
{
#pragma unroll
    for (int k = 0; k < GROUP; k++) {
        float left[ITEM], right[ITEM];
#pragma unroll
        for (int i = 0; i < ITEM; i++) {
            left[i] = a[k * PITCH + y + i * GROUP];
            right[i] = b[k * PITCH + x + i * GROUP];
        }
#pragma unroll
        for (int i = 0; i < ITEM; i++)
#pragma unroll
            for (int j = 0; j < ITEM; j++)
                sum[i][j] += left[i] * right[j];
    }
}

/* Operand of storage S whose contraction index is contiguous: row[i][k] -> tile [k][row].  Item (x, y) fetches k =
 * from + x of the rows y + i GROUP, given as pointers (NULL: zero). */
#define TILE_FETCH_ROWS(S)                                                                                     \
    static inline void STORED_JOIN(tile_fetch_rows_, S)(__global const STORED_TYPE(S) *const row[ITEM], int from, \
                                                        int depth, int x, int y, __local float *tile)          \
    {                                                                                                          \
        for (int i = 0; i < ITEM; i++)                                                                         \
            tile[x * PITCH + y + i * GROUP] = row[i] && from + x < depth ? STORED_GET(S, row[i], from + x) : 0.0f; \
    }

/* Operand whose other index is contiguous: line[column] for k = y of this step -> tile [k][column]; NULL: zero. */
#define TILE_FETCH_COLUMNS(S)                                                                                  \
    static inline void STORED_JOIN(tile_fetch_columns_, S)(__global const STORED_TYPE(S) *line, int column,    \
                                                           int columns, int x, int y, __local float *tile)     \
    {                                                                                                          \
        for (int i = 0; i < ITEM; i++)                                                                         \
        {                                                                                                      \
            int c = column + x + i * GROUP;                                                                    \
            tile[y * PITCH + x + i * GROUP] = line && c < columns ? STORED_GET(S, line, c) : 0.0f;             \
        }                                                                                                      \
    }

TILE_FETCH_ROWS(0)
TILE_FETCH_ROWS(1)
TILE_FETCH_ROWS(2)
TILE_FETCH_COLUMNS(0)
TILE_FETCH_COLUMNS(1)
TILE_FETCH_COLUMNS(2)

#define tile_fetch_rows_a STORED_JOIN(tile_fetch_rows_, STORAGE_A)
#define tile_fetch_rows_b STORED_JOIN(tile_fetch_rows_, STORAGE_B)
#define tile_fetch_columns_a STORED_JOIN(tile_fetch_columns_, STORAGE_A)
#define tile_fetch_columns_b STORED_JOIN(tile_fetch_columns_, STORAGE_B)

/* One number of the output, or added to it. */
static inline void tile_store(__global Y_TYPE *y, size_t at, float value, int accumulate)
{
    STORED_PUT(STORAGE_Y, y, at, accumulate ? STORED_GET(STORAGE_Y, y, at) + value : value);
}

#endif
