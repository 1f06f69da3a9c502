/* A tile of an f32 product by plain multiply-adds, for GPUs that read local memory 16 bytes at a time.
 *
 *     sum[row][column] += sum over k < DEPTH of a[k][row] b[k][column]
 *
 * A work-group computes HEIGHT x WIDTH sums, a work-item (x, y) 8 x 8 of them: four neighbouring rows from 4 y and four
 * columns from 4 x, in both halves of the tile.  A k then costs 64 multiply-adds and four reads of 16 bytes.
 * Thirty-two neighbouring items are 8 x by 4 y: each of their reads touches 128 or 64 neighbouring bytes, so no bank
 * of local memory twice.
 *
 * Local memory holds two steps, one being multiplied, one being filled:
 *
 *     a [DEPTH][HEIGHT + 4]   b [DEPTH][WIDTH + 4]      the next step: the same again
 *
 * The pitch puts a[k] and a[k + 4] sixteen banks apart: items fetch 4 neighbouring k of a row and store them below each
 * other, sixteen rows by two such groups at a time.
 *
 *     HEIGHT, WIDTH   128 x 128, 64 x 128, 64 x 64 or 32 x 128 (-D)
 *     DEPTH           k of a step: 8 or 16 (-D, default 8)
 *     VECTOR          4: all rows are multiples of 4 numbers, and fetched and stored so; else 1 (-D)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_FMA_H
#define MOTLEY_CL_NVIDIA_FMA_H

#ifndef HEIGHT
#define HEIGHT 128
#endif
#ifndef WIDTH
#define WIDTH 128
#endif
#ifndef DEPTH
#define DEPTH 8
#endif
#ifndef VECTOR
#define VECTOR 1
#endif

#define ITEMS (HEIGHT * WIDTH / 64)
#define PITCH(side) ((side) + 4)
#define A_FLOATS (DEPTH * PITCH(HEIGHT))
#define STEP_FLOATS (A_FLOATS + DEPTH * PITCH(WIDTH))

#define ITEM_X ((int)(get_local_id(0) >> 5) % (WIDTH / 64) * 8 + (int)(get_local_id(0) & 7))
#define ITEM_Y ((int)(get_local_id(0) >> 5) / (WIDTH / 64) * 4 + (int)(get_local_id(0) >> 3 & 3))

/* A work-item fetches this many times 4 numbers of an operand in a step. */
#define FETCHES(side) ((side) * DEPTH / 4 / ITEMS)

/* An operand whose rows run along k: rows LINE + i LINE_STEP, i < LINES, from k = LINE_K, and 8 further. */
#define LINES(side) ((side) * 2 / ITEMS)
#define LINE ((int)get_local_id(0) >> 1)
#define LINE_STEP (ITEMS / 2)
#define LINE_K (4 * ((int)get_local_id(0) & 1))

/* An operand whose rows run across k: four columns from COLUMN, of rows k = ACROSS + i ACROSS_STEP. */
#define COLUMN(side) (4 * ((int)get_local_id(0) % ((side) / 4)))
#define ACROSS(side) ((int)get_local_id(0) / ((side) / 4))
#define ACROSS_STEP(side) (4 * ITEMS / (side))

#define INLINE static inline __attribute__((always_inline))

/* 4 numbers of a row of which `left` are within the matrix; the others are zero. */
INLINE float4 fetch(__global const float *from, int left)
{
#if VECTOR == 4
    return left > 0 ? *(__global const float4 *)from : (float4)(0.0f);
#else
    return (float4)(left > 0 ? from[0] : 0.0f, left > 1 ? from[1] : 0.0f, left > 2 ? from[2] : 0.0f,
                    left > 3 ? from[3] : 0.0f);
#endif
}

/* A step of an operand whose rows run along k, from k on. */
INLINE void fetch_lines(__global const float *const *line, int side, int k, int depth, float4 *fetched)
{
#pragma unroll
    for (int i = 0; i < LINES(side); i++)
#pragma unroll
        for (int j = 0; j < DEPTH / 8; j++)
            fetched[i * (DEPTH / 8) + j] = fetch(line[i] + k + 8 * j, depth - k - 8 * j - LINE_K);
}

/* What fetch_lines fetched, to [k][row]. */
INLINE void put_lines(__local float *operand, int side, const float4 *fetched)
{
#pragma unroll
    for (int i = 0; i < LINES(side); i++)
#pragma unroll
        for (int j = 0; j < DEPTH / 8; j++) {
            __local float *to = operand + (8 * j + LINE_K) * PITCH(side) + LINE + i * LINE_STEP;
            const float4 numbers = fetched[i * (DEPTH / 8) + j];
            to[0] = numbers.x;
            to[PITCH(side)] = numbers.y;
            to[2 * PITCH(side)] = numbers.z;
            to[3 * PITCH(side)] = numbers.w;
        }
}

/* What was fetched of an operand whose rows run across k. */
INLINE void put_columns(__local float *operand, int side, const float4 *fetched)
{
#pragma unroll
    for (int i = 0; i < FETCHES(side); i++)
        *(__local float4 *)(operand + (ACROSS(side) + i * ACROSS_STEP(side)) * PITCH(side) + COLUMN(side)) = fetched[i];
}

INLINE void clear_sums(float4 sum[8][2])
{
#pragma unroll
    for (int i = 0; i < 8; i++)
        sum[i][0] = sum[i][1] = (float4)(0.0f);
}

INLINE void multiply_row(float a, float4 b0, float4 b1, float4 sum[2])
{
    sum[0] = fma((float4)(a), b0, sum[0]);
    sum[1] = fma((float4)(a), b1, sum[1]);
}

/* A step: row 4 * half + i of the sums lies at row HEIGHT / 2 * half + 4 y + i of the tile, likewise the columns. */
INLINE void multiply(__local const float *step, float4 sum[8][2])
{
    __local const float *a = step + 4 * ITEM_Y, *b = step + A_FLOATS + 4 * ITEM_X;
#pragma unroll
    for (int k = 0; k < DEPTH; k++) {
        const float4 a0 = *(__local const float4 *)(a + k * PITCH(HEIGHT));
        const float4 a1 = *(__local const float4 *)(a + k * PITCH(HEIGHT) + HEIGHT / 2);
        const float4 b0 = *(__local const float4 *)(b + k * PITCH(WIDTH));
        const float4 b1 = *(__local const float4 *)(b + k * PITCH(WIDTH) + WIDTH / 2);
        multiply_row(a0.x, b0, b1, sum[0]);
        multiply_row(a0.y, b0, b1, sum[1]);
        multiply_row(a0.z, b0, b1, sum[2]);
        multiply_row(a0.w, b0, b1, sum[3]);
        multiply_row(a1.x, b0, b1, sum[4]);
        multiply_row(a1.y, b0, b1, sum[5]);
        multiply_row(a1.z, b0, b1, sum[6]);
        multiply_row(a1.w, b0, b1, sum[7]);
    }
}

/* The row of the tile that row i of the sums is. */
#define SUM_ROW(i) ((i) / 4 * (HEIGHT / 2) + 4 * ITEM_Y + (i) % 4)

INLINE void store_one(__global float *to, float value, int accumulate)
{
    *to = accumulate ? *to + value : value;
}

/* 4 numbers to a row, as far as they lie within it, or added to what is there. */
INLINE void store(__global float *row, int column, int width, float4 value, int accumulate)
{
#if VECTOR == 4
    __global float4 *to = (__global float4 *)(row + column);
    if (column < width)
        *to = accumulate ? *to + value : value;
#else
    if (column < width)
        store_one(row + column, value.x, accumulate);
    if (column + 1 < width)
        store_one(row + column + 1, value.y, accumulate);
    if (column + 2 < width)
        store_one(row + column + 2, value.z, accumulate);
    if (column + 3 < width)
        store_one(row + column + 3, value.w, accumulate);
#endif
}

#endif
