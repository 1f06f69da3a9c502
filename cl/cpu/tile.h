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
 * register numbers, because every accumulator is a variable of its own.  Left-over rows use two narrower forms.
 *
 *     LANES        floats in a vector: 4, 8 or 16 (-D)
 *     DEPTH        contraction block: a block of b, DEPTH * PANEL floats, stays in the first two caches
 *     BLOCK_ROWS   rows of one work-group
 *     MAX_PANELS   panels of one work-group at most
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_TILE_H
#define MOTLEY_CL_CPU_TILE_H

#ifndef LANES
#define LANES 8
#endif
#ifndef ROWS
#define ROWS (LANES == 16 ? 12 : 6)
#endif
#ifndef DEPTH
#define DEPTH 256
#endif
#ifndef MAX_PANELS
#define MAX_PANELS 8
#endif
#define PANEL (2 * LANES)
#define BLOCK_ROWS 144 /* a multiple of both ROWS */

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(float, LANES)
#define LOAD(offset, address) JOIN(vload, LANES)((offset), (address))
#define STORE(value, offset, address) JOIN(vstore, LANES)((value), (offset), (address))

#define EACH_2(M) M(0) M(1)
#define EACH_4(M) EACH_2(M) M(2) M(3)
#define EACH_6(M) EACH_4(M) M(4) M(5)
#define EACH_8(M) EACH_6(M) M(6) M(7)
#define EACH_12(M) EACH_8(M) M(8) M(9) M(10) M(11)

#define TILE_ZERO(r) VECTOR s##r##_0 = 0.0f, s##r##_1 = 0.0f;
#define TILE_AGAIN(r) s##r##_0 = LOAD(2 * r, sums); s##r##_1 = LOAD(2 * r + 1, sums);
#define TILE_STEP(r) s##r##_0 = fma((VECTOR)(a[r]), b0, s##r##_0); s##r##_1 = fma((VECTOR)(a[r]), b1, s##r##_1);
#define TILE_KEEP(r) STORE(s##r##_0, 2 * r, sums); STORE(s##r##_1, 2 * r + 1, sums);

/* PANEL_SPACE: the address space of b, __global or __private. */
#define TILE(height)                                                                                               \
    static inline void tile_##height(int depth, const float *a, PANEL_SPACE const float *b, int add, float *sums)  \
    {                                                                                                              \
        EACH_##height(TILE_ZERO)                                                                                   \
        if (add) {                                                                                                 \
            EACH_##height(TILE_AGAIN)                                                                              \
        }                                                                                                          \
        for (int k = 0; k < depth; k++, a += height, b += PANEL) {                                                 \
            VECTOR b0 = LOAD(0, b), b1 = LOAD(1, b);                                                               \
            EACH_##height(TILE_STEP)                                                                               \
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

/* sums [rows][PANEL] (+)= packed a [rows][depth] times b [depth][PANEL]. */
static inline void tile_multiply(int rows, int depth, const float *a, PANEL_SPACE const float *b, int add, float *sums)
{
    for (int r = 0; r < rows; r += ROWS) {
        int height = tile_height(rows - r);
        if (height == ROWS)
            TILE_FULL(depth, a + r * depth, b, add, sums + r * PANEL);
        else if (height > ROWS / 3)
            TILE_MEDIUM(depth, a + r * depth, b, add, sums + r * PANEL);
        else
            TILE_SMALL(depth, a + r * depth, b, add, sums + r * PANEL);
    }
}

/* A square of LANES x LANES numbers turned around: every round deals the two halves of the rows out alternately. */
static inline void tile_turn(VECTOR v[LANES])
{
#pragma unroll
    for (int round = 1; round < LANES; round *= 2) {
        VECTOR dealt[LANES];
#pragma unroll
        for (int i = 0; i < LANES / 2; i++) {
            dealt[2 * i].even = v[i].lo;
            dealt[2 * i].odd = v[i + LANES / 2].lo;
            dealt[2 * i + 1].even = v[i].hi;
            dealt[2 * i + 1].odd = v[i + LANES / 2].hi;
        }
#pragma unroll
        for (int i = 0; i < LANES; i++)
            v[i] = dealt[i];
    }
}

/* Up to LANES numbers; the others come as zero and are not touched in memory. */
static inline VECTOR tile_read(__global const float *from, int count)
{
    if (count >= LANES)
        return LOAD(0, from);
    float part[LANES];
    for (int i = 0; i < LANES; i++)
        part[i] = i < count ? from[i] : 0.0f;
    return LOAD(0, part);
}

static inline void tile_write(VECTOR value, __global float *to, int count)
{
    if (count >= LANES) {
        STORE(value, 0, to);
        return;
    }
    float part[LANES];
    STORE(value, 0, part);
    for (int i = 0; i < count; i++)
        to[i] = part[i];
}

#endif
