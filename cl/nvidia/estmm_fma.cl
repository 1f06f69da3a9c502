/* ESTMM in f32 by plain multiply-adds; gradients in canonical form (panel 1).
 *
 *   dW[e] (+)= sum over p with e(p)=e of a[row p,:]^T b[row p,:]        a [*,O], b [*,I], dW [E,O,I]
 *
 * Work-groups of ITEMS items: dimension 0 counts tiles of inputs, dimension 1 tiles of outputs, dimension 2 experts;
 * each computes HEIGHT outputs by WIDTH inputs of dW[e] (fma.h) from the expert's rows in ascending order, DEPTH at a
 * time.  While a step is multiplied the next one's rows are fetched, and the index of the one after.
 *
 * 2 P O I flops; reads (1 / HEIGHT + 1 / WIDTH) P O I numbers, most of them from the cache; dW is written once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "nvidia/fma.h"

/* Where a step's rows are: numbers of pairs k on, -1 beyond the expert's. */
INLINE void find_rows(struct ragged_tile pairs, __global const int *index, int side, int k, int *number)
{
#pragma unroll
    for (int i = 0; i < FETCHES(side); i++) {
        const int p = k + ACROSS(side) + i * ACROSS_STEP(side);
        number[i] = p < pairs.rows ? ragged_at(pairs.first + p, index) : -1;
    }
}

/* Four columns of these rows. */
INLINE void fetch_rows(const int *number, __global const float *own, __global const float *received, int own_rows,
                       int width, int side, int first, float4 *fetched)
{
    const int column = first + COLUMN(side);
#pragma unroll
    for (int i = 0; i < FETCHES(side); i++) {
        const int n = number[i];
        __global const float *row = n < own_rows ? own + (size_t)max(n, 0) * width
                                                 : received + (size_t)(n - own_rows) * width;
        fetched[i] = fetch(row + column, n < 0 ? 0 : width - column);
    }
}

__kernel void
estmm_fma(struct motley__product_args args, __global const int *offsets, __global const int *index,
          __global const float *own, __global const float *received, __global const int *index_b,
          __global const float *own_b, __global const float *received_b, __global float *dw)
{
    __local float memory[2 * STEP_FLOATS] __attribute__((aligned(16)));
    const int input = get_group_id(0) * WIDTH, output = get_group_id(1) * HEIGHT, expert = get_group_id(2);
    const struct ragged_tile pairs = ragged_rows(args, offsets, args.first + expert);
    int number[FETCHES(HEIGHT)], number_b[FETCHES(WIDTH)], present = 0;
    float4 a[FETCHES(HEIGHT)], b[FETCHES(WIDTH)], sum[8][2];

    clear_sums(sum);
    find_rows(pairs, index, HEIGHT, 0, number);
    find_rows(pairs, index_b, WIDTH, 0, number_b);
    for (int k = -DEPTH; k < pairs.rows; k += DEPTH) {
        fetch_rows(number, own, received, args.own_rows, args.O, HEIGHT, output, a);
        fetch_rows(number_b, own_b, received_b, args.own_rows_b, args.I, WIDTH, input, b);
        find_rows(pairs, index, HEIGHT, k + 2 * DEPTH, number);
        find_rows(pairs, index_b, WIDTH, k + 2 * DEPTH, number_b);
        if (k >= 0)
            multiply(memory + present, sum);
        present = STEP_FLOATS - present;
        put_columns(memory + present, HEIGHT, a);
        put_columns(memory + present + A_FLOATS, WIDTH, b);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int o = output + SUM_ROW(i), c = input + 4 * ITEM_X;
        if (o < args.O) {
            __global float *row = dw + ((size_t)expert * args.O + o) * args.I;
            store(row, c, args.I, sum[i][0], args.accumulate);
            store(row, c + WIDTH / 2, args.I, sum[i][1], args.accumulate);
        }
    }
}
