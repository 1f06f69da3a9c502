/* The inner loop of the transposed product: broadcast weights times vectors of rows, in registers.
 *
 *     sums[i][..] (+)= sum over k of w[i][k] b[k][..]
 *
 *              b[k]:  |  vector 0  |  vector 1  |
 *     w:    input 0   |  s0_0      |  s0_1      |
 *           ..        |            |            |          as many inputs as tile.h has rows
 *           input 11  |  s11_0     |  s11_1     |
 *
 * A panel holds an input's weights of neighbouring outputs side by side, so they are broadcast from where they lie;
 * what is turned around are rows, once for all inputs of a work-group, and results.  Rows go in chunks of the largest
 * form that they fill well; what a chunk lacks repeats the last row and is not stored.
 *
 *     form    rows      a vector of b
 *     two     2 LANES   one k of half of the rows; two of them share a broadcast
 *     one     LANES     one k of the rows
 *     half    8         the same, in half a vector: half the time, where a whole one is computed in halves
 *     quad    4         SPREAD k of each row, by as many weights repeated; sums of SPREAD lanes are added at the end
 *
 * Of 232 GFLOP/s in registers two Zen 4 cores reach 209 with 32 rows, 206 with 16, weights from the third cache.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_ACROSS_H
#define MOTLEY_CL_CPU_ACROSS_H

#include "ragged.h"
#include "cpu/rows.h"
#include "cpu/tile.h"

enum { ROWS_two = 2 * LANES, ROWS_one = LANES, ROWS_half = 8, ROWS_quad = 4, SPREAD = LANES / ROWS_quad };

#if LANES == 16
#define ACROSS_FORMS(M) M(two) M(one) M(half) M(quad)
#define REPEAT(at) (VECTOR)(vload4(0, at), vload4(0, at), vload4(0, at), vload4(0, at))
static inline int across_rows(int left)
{
    return left > 24 ? ROWS_two : left > 8 ? ROWS_one : left > 4 ? ROWS_half : ROWS_quad;
}
#else
#define ACROSS_FORMS(M) M(two) M(one) M(quad)
#if LANES == 8
#define REPEAT(at) (VECTOR)(vload2(0, at), vload2(0, at), vload2(0, at), vload2(0, at))
#else
#define REPEAT(at) (VECTOR)(*(at))
#endif
static inline int across_rows(int left)
{
    return left > LANES + 4 ? ROWS_two : left > 4 ? ROWS_one : ROWS_quad;
}
#endif

/* Inputs of the next block, when so many are left: the heights of tile.h, but no more than there are. */
static inline int across_inputs(int left)
{
    int inputs = left == ROWS ? ROWS : tile_height(left);
    return inputs <= left ? inputs : left >= 8 && ROWS > 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* Numbers that a form of so many rows keeps for an input. */
static inline int across_width(int rows)
{
    return rows == ROWS_half ? 8 : max(rows, LANES);
}

/* A block of weights, [panels][inputs][PANEL] floats: in memory, or where narrow ones were widened. */
#if STORAGE == 0
typedef __global const float *WEIGHTS;
#else
typedef const float *WEIGHTS;
#endif
struct across_block {
    WEIGHTS w;
    size_t stride;                  /* numbers from one panel to the next */
    size_t next, next_stride;       /* what is fetched meanwhile, for the second cache: address, bytes between panels */
};

/* Where weights are read from memory the next panel's are fetched into the first cache: without, every line of them is
 * missed by all inputs at once. */
#if STORAGE == 0
#define ACROSS_FETCH(left, k, inputs)                                                                              \
    FETCH(block.next + k * inputs * sizeof(STORED));                                                               \
    FETCH_NEAR((left > PANEL ? (size_t)(block.w + block.stride) : after) + k * inputs * sizeof(STORED));
#else
#define ACROSS_FETCH(left, k, inputs) FETCH(block.next + k * inputs * sizeof(STORED));
#endif

#define TYPE_two VECTOR
#define TYPE_one VECTOR
#define TYPE_half float8
#define TYPE_quad VECTOR
enum { PARTS_two = 2, PARTS_one = 1, PARTS_half = 1, PARTS_quad = 1 };
enum { STEP_two = 1, STEP_one = 1, STEP_half = 1, STEP_quad = SPREAD };

#define ACROSS_ZERO(i) form s##i##_0 = 0.0f, s##i##_1 = 0.0f;
#define ACROSS_AGAIN(i) s##i##_0 = to[parts * i], s##i##_1 = to[parts * i + parts - 1];
#define ACROSS_ADD(i, weights)                                                                                     \
    s##i##_0 += (weights) * b0;                                                                                    \
    if (parts == 2)                                                                                                \
        s##i##_1 += (weights) * b1;
#define ACROSS_ADD_two(i) ACROSS_ADD(i, (form)(block.w[i * PANEL + k]))
#define ACROSS_ADD_one ACROSS_ADD_two
#define ACROSS_ADD_half ACROSS_ADD_two
#define ACROSS_ADD_quad(i) ACROSS_ADD(i, REPEAT(block.w + i * PANEL + k))
#define ACROSS_KEEP(i)                                                                                             \
    to[parts * i] = s##i##_0;                                                                                      \
    if (parts == 2)                                                                                                \
        to[parts * i + 1] = s##i##_1;

#define ACROSS(name, inputs)                                                                                       \
    static inline void across_##name##_##inputs(int depth, const float *b, struct across_block block, int add,     \
                                                float *sums)                                                       \
    {                                                                                                              \
        typedef TYPE_##name form;                                                                                  \
        typedef form form_anywhere __attribute__((aligned(4)));                                                    \
        const int parts = PARTS_##name;                                                                            \
        const size_t after = block.next;                                                                           \
        const form_anywhere *from = (const form_anywhere *)b;                                                      \
        form_anywhere *to = (form_anywhere *)sums;                                                                 \
        EACH_##inputs(ACROSS_ZERO)                                                                                 \
        if (add) {                                                                                                 \
            EACH_##inputs(ACROSS_AGAIN)                                                                            \
        }                                                                                                          \
        for (int left = depth; left > 0; left -= PANEL, block.w += block.stride, block.next += block.next_stride)  \
            for (int k = 0; k < min(left, PANEL); k += STEP_##name, from += parts) {                               \
                ACROSS_FETCH(left, k, inputs)                                                                      \
                const form b0 = from[0], b1 = from[parts - 1];                                                     \
                EACH_##inputs(ACROSS_ADD_##name)                                                                   \
            }                                                                                                      \
        EACH_##inputs(ACROSS_KEEP)                                                                                 \
    }
#define ACROSS_CASE(name, inputs)                                                                                  \
    case inputs: across_##name##_##inputs(depth, b, block, add, sums); break;
#define ACROSS_FORM(name)                                                                                          \
    TILE_FORMS(ACROSS, name)                                                                                       \
    static inline void across_##name(int inputs, int depth, const float *b, struct across_block block, int add,    \
                                     float *sums)                                                                  \
    {                                                                                                              \
        switch (inputs) {                                                                                          \
            TILE_FORMS(ACROSS_CASE, name)                                                                          \
        }                                                                                                          \
    }
ACROSS_FORMS(ACROSS_FORM)

#define ACROSS_CHUNK(name)                                                                                         \
    if (chunk == ROWS_##name)                                                                                      \
        across_##name(inputs, depth, packed + r * depth, block, add, sums + r * all + i * across_width(chunk));    \
    else
/* Inputs i .. i+inputs-1 of `all`, for all rows.  sums: [chunk][all][width of the chunk], from all times the chunk's
 * first row on; room for LANES rows more than there are. */
static inline void across_multiply(int rows, int depth, const float *packed, struct across_block block, int i,
                                   int inputs, int all, int add, float *sums)
{
    for (int r = 0, chunk; r < rows; r += chunk) {
        chunk = across_rows(rows - r);
        ACROSS_FORMS(ACROSS_CHUNK) {}
    }
}

/* Four rows, first .. last and then the last one again, zero beyond the columns: [k / SPREAD][4][SPREAD]. */
static inline void across_pack_quad(int first, int last, __global const int *index, __global const STORED *own,
                                    __global const STORED *received, int own_rows, int width, int from, int depth,
                                    float *packed)
{
    for (int r = 0; r < ROWS_quad; r++, packed += SPREAD) {
        __global const STORED *row = ragged_row(min(first + r, last), index, own, received, own_rows, width) + from;
        for (int k = 0; k < depth; k += SPREAD)
            for (int j = 0; j < SPREAD; j++)
                packed[k * ROWS_quad + j] = k + j < depth ? stored_get(row, k + j) : 0.0f;
    }
}

/* Columns from .. from+depth-1 of the tile's rows, each chunk depth times its first row after `packed`, which has LANES
 * numbers of slack. */
static inline void across_pack(struct ragged_tile tile, __global const int *index, __global const STORED *own,
                               __global const STORED *received, int own_rows, int width, int from, int depth,
                               float *packed)
{
    int last = tile.first + tile.rows - 1;
    for (int r = 0, chunk; r < tile.rows; r += chunk) {
        chunk = across_rows(tile.rows - r);
        if (chunk == ROWS_quad)
            across_pack_quad(tile.first + r, last, index, own, received, own_rows, width, from, depth,
                             packed + r * depth);
        else
            for (int part = 0; part < chunk; part += LANES)
                rows_pack_chunk(tile.first + r + part, last, min(chunk, LANES), chunk, index, own, received, own_rows,
                                width, from, depth, packed + r * depth + part);
    }
}

/* LANES numbers of a form's; those beyond its width are not used. */
static inline VECTOR across_read(const float *sums, int width)
{
#if LANES == 16
    if (width < LANES)
        return (VECTOR)(vload8(0, sums), vload8(0, sums));
#endif
    return LOAD(0, sums);
}

#define ACROSS_GATHER(i) square[i] = across_read(sums + min(i, inputs - 1) * width, width);

/* y[r][0..inputs-1] (+)= the sums of `count` rows, at most LANES, of a chunk. */
static inline void across_store_rows(int count, int chunk, int inputs, const float *sums, int I, int accumulate,
                                     __global STORED *y)
{
    int width = across_width(chunk), spread = chunk == ROWS_quad ? SPREAD : 1;
    for (; inputs > 0; inputs -= LANES, sums += LANES * width, y += LANES) {
        VECTOR square[LANES];
        EACH_LANE(ACROSS_GATHER)
        vector_transpose(square);
        for (int r = 0; r < count; r++) {
            VECTOR result = square[r * spread];
            for (int j = 1; j < spread; j++)
                result += square[r * spread + j];
            if (accumulate)
                result += stored_read(y + (size_t)r * I, inputs);
            stored_write(result, y + (size_t)r * I, inputs);
        }
    }
}

/* All rows; y: the first one, at the first input. */
static inline void across_store(int rows, int inputs, const float *sums, int I, int accumulate, __global STORED *y)
{
    for (int r = 0, chunk; r < rows; r += chunk) {
        chunk = across_rows(rows - r);
        for (int part = 0; part < min(chunk, rows - r); part += LANES)
            across_store_rows(min(rows - r - part, min(chunk, LANES)), chunk, inputs, sums + r * inputs + part, I,
                              accumulate, y + (size_t)(r + part) * I);
    }
}

#endif
