/* The inner loop of the forward products and of ESTMM on a CPU: ROWS broadcast numbers times two vectors, in registers.
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
 * can.  Left-over rows use narrower forms.
 *
 *     DEPTH        contraction block, a multiple of PANEL: a block of b, DEPTH * PANEL floats, stays in the first two
 *                  caches
 *     BLOCK_ROWS   rows of one work-group at most
 *     MAX_PANELS   panels of one work-group at most
 *
 * Measured with PoCL 3.1 on two Zen 4 cores (AVX-512 as two halves), 234 GFLOP/s at most, D = 1024, F = 2816, 8
 * experts of 128 rows, in turn with OpenBLAS 0.3.21: forward 206 GFLOP/s (OpenBLAS 155), swiglu 215, estmm 208
 * (153).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_TILE_H
#define MOTLEY_CL_CPU_TILE_H

#include "cpu/stored.h"

#ifndef DEPTH
#define DEPTH 256
#endif
#ifndef BLOCK_ROWS
#define BLOCK_ROWS 144 /* a multiple of both ROWS; src/product/cpu.c says the same */
#endif
#ifndef MAX_PANELS
#define MAX_PANELS 32
#endif
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
 * weights, `stride` bytes apart.  Each k fetches two lines, the same one twice where chunks of rows share the work. */
struct ahead {
    size_t at, stride;
    size_t line[2];
};
#define STEP_BYTES (PANEL * sizeof(STORED))
#define LINE_BYTES 64

static inline struct ahead ahead_of(__global const STORED *next, size_t stride)
{
    return (struct ahead){(size_t)next, stride * sizeof(STORED), {0, 0}};
}

/* b comes from two places: as the weights lie in memory (direct), or from private memory (block), already floats. */
#define direct_from __global const STORED *
#define direct_load PANEL_LOAD
#if STORAGE == 0
#define direct_fetch FETCH
#else
#define direct_fetch FETCH_NEAR /* of few rows only: esmm.cl widens the weights for others */
#endif
#define block_from const float *
#define block_load(v0, v1, from) const VECTOR v0 = LOAD(0, (from)), v1 = LOAD(1, (from))
#define block_fetch FETCH

#define TILE(place, height)                                                                                        \
    static inline void place##_##height(int depth, const float *a, place##_from b, int add, struct ahead ahead,    \
                                        VECTOR *sums)                                                              \
    {                                                                                                              \
        EACH_##height(TILE_ZERO)                                                                                   \
        if (add) {                                                                                                 \
            EACH_##height(TILE_AGAIN)                                                                              \
        }                                                                                                          \
        for (int left = depth; left > 0; left -= PANEL, ahead.at += ahead.stride) {                                \
            for (int k = 0; k < min(left, PANEL); k++, a += height, b += PANEL) {                                  \
                place##_fetch(ahead.at + k * STEP_BYTES + ahead.line[0]);                                          \
                if (STEP_BYTES > LINE_BYTES)                                                                       \
                    place##_fetch(ahead.at + k * STEP_BYTES + ahead.line[1]);                                      \
                place##_load(b0, b1, b);                                                                           \
                EACH_##height(TILE_STEP)                                                                           \
            }                                                                                                      \
        }                                                                                                          \
        EACH_##height(TILE_KEEP)                                                                                   \
    }

/* Rows of a block are packed in chunks of at most ROWS, [chunk][k][rows of the chunk], so that the inner loop reads
 * them from one pointer.  The last two chunks share what is left evenly: narrow ones load more for each product. */
#if LANES == 16
#define TILE_FORMS(M, place) M(place, 1) M(place, 2) M(place, 4) M(place, 8) M(place, 12)
static inline int tile_height(int left)
{
    return left > 16 ? 12 : left > 12 ? 8 : left > 8 ? 12 : left > 4 ? 8 : left > 2 ? 4 : left;
}
#else
#define TILE_FORMS(M, place) M(place, 1) M(place, 2) M(place, 4) M(place, 6)
static inline int tile_height(int left)
{
    return left > 8 ? 6 : left > 6 ? 4 : left > 4 ? 6 : left > 2 ? 4 : left;
}
#endif

#define TILE_CASE(place, height)                                                                                   \
    case height: place##_##height(depth, a + r * depth, b, add, ahead, sums + 2 * r); break;

/* sums [rows][PANEL] (+)= packed a [rows][depth] times b [depth][PANEL].  The first chunk of rows fetches the first
 * lines of the next block, the second the second; all the others find it fetched. */
#define TILE_MULTIPLY(place)                                                                                       \
    TILE_FORMS(TILE, place)                                                                                        \
    static inline void place##_multiply(int rows, int depth, const float *a, place##_from b, int add,              \
                                        struct ahead ahead, VECTOR *sums)                                          \
    {                                                                                                              \
        ahead.line[1] = rows > ROWS || STEP_BYTES <= LINE_BYTES ? 0 : LINE_BYTES;                                  \
        for (int r = 0; r < rows; r += tile_height(rows - r)) {                                                    \
            switch (tile_height(rows - r)) {                                                                       \
                TILE_FORMS(TILE_CASE, place)                                                                       \
            }                                                                                                      \
            ahead.line[0] = ahead.line[1] = STEP_BYTES <= LINE_BYTES ? 0 : LINE_BYTES;                             \
        }                                                                                                          \
    }

/* The panels of one work-group: dimension 1 of the groups shares them evenly, at most MAX_PANELS each. */
struct run {
    int first, count;
};

static inline struct run run_of(int panels)
{
    int group = get_group_id(1), groups = get_num_groups(1), first = panels * group / groups;
    return (struct run){first, panels * (group + 1) / groups - first};
}

#endif
