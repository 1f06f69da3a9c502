/* The one inner loop of every product on a CPU: ROWS broadcast numbers times two vectors, in registers.
 *
 *     sums[r][0..PANEL-1] (+)= sum over k of a[k][r] b[k][0..PANEL-1]
 *
 *              b[k]:  |  vector 0  |  vector 1  |          PANEL = 2 LANES neighbouring outputs
 *     a[k]:  0        |  s0_0      |  s0_1      |
 *            1        |  s1_0      |  s1_1      |          2 ROWS accumulators, 2 of b, 1 broadcast:
 *            ..       |            |            |          12 rows fill the 32 registers of AVX-512,
 *            ROWS-1   |  s11_0     |  s11_1     |          6 rows the 16 of AVX2 and SSE
 *
 * One work-item is one work-group, so nothing is shared and nothing waits; the compiler sees only constant
 * register numbers, because every accumulator is a variable of its own, and contracts product and sum where the CPU
 * can.  Left-over rows use two narrower forms.
 *
 *     DEPTH        contraction block: a block of b, DEPTH * PANEL floats, stays in the first two caches
 *     BLOCK_ROWS   rows of one work-group at most
 *     MAX_PANELS   panels of one work-group at most
 *
 * Measured with PoCL 3.1 on two Zen 4 cores (AVX-512 as two halves), D = 1024, F = 2816, 4 experts of 128 rows, in turn
 * with OpenBLAS 0.3.21: forward 186 GFLOP/s (OpenBLAS 152), swiglu 193, transposed 154 (160), estmm 167 (160).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_TILE_H
#define MOTLEY_CL_CPU_TILE_H

#include "cpu/vector.h"

#ifndef DEPTH
#define DEPTH 256
#endif
#ifndef BLOCK_ROWS
#define BLOCK_ROWS 144 /* a multiple of both ROWS; src/layer/cpu.c says the same */
#endif
#ifndef MAX_PANELS
#define MAX_PANELS 8
#endif
#define PANEL (2 * LANES)
#if LANES == 16
#define ROWS 12
#else
#define ROWS 6
#endif

#define TILE_ZERO(r) VECTOR s##r##_0 = 0.0f, s##r##_1 = 0.0f;
#define TILE_AGAIN(r) s##r##_0 = sums[2 * r], s##r##_1 = sums[2 * r + 1];
#define TILE_STEP(r) s##r##_0 += (VECTOR)(a[r]) * b0; s##r##_1 += (VECTOR)(a[r]) * b1;
#define TILE_KEEP(r) sums[2 * r] = s##r##_0, sums[2 * r + 1] = s##r##_1;

/* What the next block of b will be made of, fetched while this one is multiplied: pieces of PANEL * PANEL neighbouring
 * floats, `stride` floats apart.  Each k fetches two lines, the same one twice where the chunks of rows share the work. */
struct ahead {
    __global const float *at;
    size_t stride;
    int line[2];
};

/* PANEL_SPACE: the address space of b, __global or __private. */
#define TILE(height)                                                                                               \
    static inline void tile_##height(int depth, const float *a, PANEL_SPACE const float *b, int add,               \
                                     struct ahead ahead, VECTOR *sums)                                             \
    {                                                                                                              \
        EACH_##height(TILE_ZERO)                                                                                   \
        if (add) {                                                                                                 \
            EACH_##height(TILE_AGAIN)                                                                              \
        }                                                                                                          \
        for (int left = depth; left > 0; left -= PANEL, ahead.at += ahead.stride) {                                \
            for (int k = 0; k < min(left, PANEL); k++, a += height, b += PANEL) {                                  \
                FETCH(ahead.at + k * PANEL + ahead.line[0]);                                                       \
                FETCH(ahead.at + k * PANEL + ahead.line[1]);                                                       \
                VECTOR b0 = LOAD(0, b), b1 = LOAD(1, b);                                                           \
                EACH_##height(TILE_STEP)                                                                           \
            }                                                                                                      \
        }                                                                                                          \
        EACH_##height(TILE_KEEP)                                                                                   \
    }

#if LANES == 16
TILE(12)
TILE(8)
TILE(4)
#define TILE_FULL tile_12
#define TILE_MEDIUM tile_8
#define TILE_SMALL tile_4
#else
TILE(6)
TILE(4)
TILE(2)
#define TILE_FULL tile_6
#define TILE_MEDIUM tile_4
#define TILE_SMALL tile_2
#endif

/* Rows of a block are packed in chunks of ROWS, [chunk][k][rows of the chunk], so that the inner loop reads them
 * from one pointer; the last chunk is as narrow as one of the three forms allows. */
static inline int tile_height(int left)
{
    return left > ROWS * 2 / 3 ? ROWS : left > ROWS / 3 ? ROWS * 2 / 3 : ROWS / 3;
}

/* sums [rows][PANEL] (+)= packed a [rows][depth] times b [depth][PANEL].  The first chunk of rows fetches the first lines
 * of the next block, the second the second; all the others find it fetched. */
static inline void tile_multiply(int rows, int depth, const float *a, PANEL_SPACE const float *b, int add,
                                 __global const float *next, size_t stride, VECTOR *sums)
{
    struct ahead ahead = {next, stride, {0, rows > ROWS ? 0 : LANES}};
    for (int r = 0; r < rows; r += ROWS) {
        int height = tile_height(rows - r);
        if (height == ROWS)
            TILE_FULL(depth, a + r * depth, b, add, ahead, sums + 2 * r);
        else if (height > ROWS / 3)
            TILE_MEDIUM(depth, a + r * depth, b, add, ahead, sums + 2 * r);
        else
            TILE_SMALL(depth, a + r * depth, b, add, ahead, sums + 2 * r);
        ahead.line[0] = ahead.line[1] = LANES;
    }
}

#endif
