/* ESTMM on the tensor cores of NVIDIA GPUs since sm_80; inputs bf16 or f16, the gradient f32 in canonical form.
 *
 *   dW[e] (+)= sum over p with e(p)=e of a[row p,:]^T b[row p,:]        a [*,O], b [*,I], dW [E,O,I]
 *
 * A work-group of four warps for each tile of 128 outputs by 128 inputs of one expert, as in esmm_mma.cl; a step takes
 * 32 of the expert's rows, both operands WIDE [32][128], 8 KiB each.
 *
 * Tiles of the expert with most rows come first, so that the last ones to end are short; with more experts than
 * work-items, whose tiles are many, the order stays.
 * 2 P O I flops; a is read I/128 times, b O/128 times through the L2 cache, dW written once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "nvidia/mma.h"
#include "nvidia/schedule.h"
#include "nvidia/store.h"

/* One operand: rows from two sources, [*,width]; a work-item copies the same chunk of 4 rows, 8 apart. */
struct operand {
    __global const int *index;
    __global const ushort *own, *received; /* at this work-item's columns; received less the rows before it */
    int own_rows, width;
    int within; /* columns of the matrix from this work-item's on, 0 or less: none */
    int next[4]; /* numbers of its rows of the next step */
};

static inline struct operand operand_create(__global const int *index, __global const ushort *own,
                                            __global const ushort *received, int own_rows, int width, int column)
{
    column += 8 * (get_local_id(0) & 15);
    return (struct operand){index, own + column, received + column - (size_t)own_rows * width, own_rows, width,
                            width - column, {0, 0, 0, 0}};
}

/* Rows beyond the last repeat it: they are not copied. */
static inline INLINE void find_next(struct operand *of, int first, int last)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int p = min(first + (int)(get_local_id(0) >> 4) + 8 * i, last);
        of->next[i] = of->index ? of->index[p] : p;
    }
}

static inline __global const ushort *row_of(const struct operand *of, int n)
{
    return (n < of->own_rows ? of->own : of->received) + (size_t)(uint)n * (uint)of->width;
}

/* `left` rows of the expert remain; zero beyond them and beyond the matrix's columns. */
static inline INLINE void fill(const struct operand *of, int left, __local uchar *memory, uint at)
{
    const int line = get_local_id(0) >> 4, bytes = 2 * clamp(of->within, 0, 8);
    const uint base = LOCAL_ADDRESS(memory);
    at += WIDE(line, (int)get_local_id(0) & 15);
    if (!(of->width & 7)) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            copy_chunk(base + at + 2048 * i, (ulong)row_of(of, of->next[i]), line + 8 * i < left ? bytes : 0);
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++)
            fetch(memory, base, at + 2048 * i, row_of(of, of->next[i]), line + 8 * i < left ? of->within : 0, 0);
    }
}

/* c = the sum over rows first .. first + rows - 1.  A stage is filled again after the barrier that follows its
 * multiplication. */
static inline INLINE void
compute(struct operand *a, struct operand *b, int first, int rows, __local uchar *memory, float c[128])
{
    const int ahead = (STAGES - 1) * DEPTH, last = first + rows - 1;
    const uint base = LOCAL_ADDRESS(memory);
    uint to = 0, at = 0;
#pragma unroll
    for (int i = 0; i < 128; i++)
        c[i] = 0.0f;
    if (rows == 0)
        return;
    find_next(a, first, last);
    find_next(b, first, last);
    for (int k = -ahead; k < rows; k += DEPTH) {
        const int filled = k + ahead;
        if (k >= 0) {
            COPIES_WAIT(STAGES - 2);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (filled < rows) {
            fill(a, rows - filled, memory, to);
            fill(b, rows - filled, memory, to + OPERAND_BYTES);
            find_next(a, first + filled + DEPTH, last);
            find_next(b, first + filled + DEPTH, last);
        }
        copies_commit();
        to = stage_after(to);
        if (k >= 0) {
            multiply(base + at, base + at + OPERAND_BYTES, 1, 1, c);
            at = stage_after(at);
        }
    }
}

/* A warp's share of the tile at output, input of one expert's dw. */
static inline INLINE void store(struct motley__product_args args, int output, int input,
                                                        const float c[128], __global float *dw)
{
    const int lane = get_local_id(0) & 31;
    const int o = output + warp_row() + (lane >> 2), i = input + warp_column() + 2 * (lane & 3);
    __global float *to = dw + (size_t)o * args.I + i;
#pragma unroll
    for (int row = 0; row < 8; row++, to += 8 * (size_t)args.I) {
        if (o + 8 * row < args.O) {
            const float *of_row = c + 32 * (row >> 1) + 2 * (row & 1);
#pragma unroll
            for (int j = 0; j < 8; j++)
                store_pair(to + 8 * j, (float2)(of_row[4 * j], of_row[4 * j + 1]), args.I - i - 8 * j, !(args.I & 1),
                           args.accumulate);
        }
    }
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
estmm_mma(struct motley__product_args args, __global const int *offsets, __global const int *index,
          __global const ushort *own, __global const ushort *received, __global const int *index_b,
          __global const ushort *own_b, __global const ushort *received_b, __global float *dw)
{
    __local uchar memory[STAGES * STAGE_BYTES] __attribute__((aligned(128)));
    __local int *first_pair = (__local int *)memory; /* until the first stage is filled */
    __local ushort *order = (__local ushort *)(first_pair + args.experts + 1);
    const int outputs = (args.O + SIDE - 1) / SIDE, inputs = (args.I + SIDE - 1) / SIDE, each = outputs * inputs;
    const int number = (int)get_group_id(0) % each, output = number % outputs * SIDE, input = number / outputs * SIDE;
    float c[128];

    offsets_copy(args, offsets, first_pair);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (args.experts <= ITEMS)
        experts_sort(args.experts, first_pair, order);
    barrier(CLK_LOCAL_MEM_FENCE);
    const int turn = (int)get_group_id(0) / each, expert = args.experts <= ITEMS ? order[turn] : turn;
    const int first = first_pair[expert];
    const int rows = first_pair[expert + 1] - first;
    if (rows == 0 && args.accumulate)
        return;
    barrier(CLK_LOCAL_MEM_FENCE);
    struct operand a = operand_create(index, own, received, args.own_rows, args.O, output);
    struct operand b = operand_create(index_b, own_b, received_b, args.own_rows_b, args.I, input);
    compute(&a, &b, first, rows, memory, c);
    store(args, output, input, c, dw + (size_t)expert * args.O * args.I);
}
