/* ESTMM on Hopper's tensor cores; inputs bf16 or f16, the gradient f32 in canonical form.
 *
 *   dW[e] (+)= sum over p with e(p)=e of a[row p,:]^T b[row p,:]        a [*,O], b [*,I], dW [E,O,I]
 *
 * Resident work-groups of three warpgroups as in esmm_wgmma.cl; a tile is 128 outputs by 256 inputs of one expert, a
 * stage 64 of its rows: both operands lie with the contraction across the 128-byte rows.
 *
 *     a    two blocks [64 rows][64 outputs]     16 KiB
 *     b    four blocks [64 rows][64 inputs]     32 KiB
 *
 * Work-groups draw tiles (schedule.h), those of the expert with most rows first, so that the last ones to end are
 * short; an expert's tiles go in bands of 16 of its row tiles, which share what they read in the L2 cache.
 * 2 P O I flops; a is read I/256 times, b O/128 times through the L2 cache, dW written once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "nvidia/pipeline.h"
#include "nvidia/schedule.h"
#include "nvidia/store.h"
#include "nvidia/wgmma.h"

#define OUTPUTS 128
#define INPUTS 256
#define DEPTH 64
#define A_BYTES (OUTPUTS * DEPTH * 2)
#define STAGE_BYTES (A_BYTES + INPUTS * DEPTH * 2)
#define BLOCK_BYTES (64 * DEPTH * 2)

struct place {
    int expert, first, rows;
    int output, input;
};

static inline struct place place_of(int t, int outputs, int inputs, __local const int *offsets,
                                    __local const ushort *order)
{
    const int each = outputs * inputs, expert = order[t / each], number = t % each;
    const int band = number / (BAND * inputs) * BAND, in_band = number % (BAND * inputs);
    const int high = min(BAND, outputs - band);
    return (struct place){expert, offsets[expert], offsets[expert + 1] - offsets[expert],
                          (band + in_band % high) * OUTPUTS, in_band / high * INPUTS};
}

/* The numbers of the rows that a producer copies: 16 apart, from `first` on; those beyond the end repeat the last. */
static inline void find_rows(int first, int last, __global const int *index, int n[4])
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int p = min(first + 16 * i, last);
        n[i] = index ? index[p] : p;
    }
}

/* A producer's chunk of four rows, in each of `blocks` blocks of 64 columns from `column` on; zero beyond the expert's
 * rows and the matrix's columns.  `inside`: neither ends here. */
static inline INLINE void
produce_blocks(__local uchar *memory, uint at, const int n[4], int line, int rows, __global const ushort *own,
               __global const ushort *received, int own_rows, int width, int column, const int blocks, int inside)
{
    const int chunk = get_local_id(0) & 7;
    const uint to = LOCAL_ADDRESS(memory) + at + SWIZZLED(line, chunk);
    own += column + 8 * chunk;
    received += column + 8 * chunk - (size_t)own_rows * width;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        __global const ushort *row = (n[i] < own_rows ? own : received) + (size_t)(uint)n[i] * (uint)width;
        if (inside) {
#pragma unroll
            for (int block = 0; block < blocks; block++)
                copy_whole(to + block * BLOCK_BYTES + 2048 * i, row + 64 * block);
        } else {
#pragma unroll
            for (int block = 0; block < blocks; block++)
                fetch(memory, LOCAL_ADDRESS(memory), at + block * BLOCK_BYTES + SWIZZLED(line + 16 * i, chunk),
                      row + 64 * block, line + 16 * i < rows ? width - column - 64 * block - 8 * chunk : 0,
                      !(width & 7));
        }
    }
}

/* The producers' part of one tile, which has rows. */
static inline INLINE void produce(struct motley__product_args args, int t, struct place place,
                                  __global const int *index, __global const ushort *own,
                                  __global const ushort *received, __global const int *index_b,
                                  __global const ushort *own_b, __global const ushort *received_b,
                                  __local uchar *memory, __local int *number, uint full, uint empty,
                                  struct ring *ring)
{
    const int line = get_local_id(0) >> 3, last = place.first + place.rows - 1;
    const int inner = !((args.O | args.I) & 7) && place.output + OUTPUTS <= args.O && place.input + INPUTS <= args.I;
    int n[4], n_b[4], next[4], next_b[4];
    find_rows(place.first + line, last, index, next);
    find_rows(place.first + line, last, index_b, next_b);
    phase_wait(empty + 8 * ring->stage, ring->parity ^ 1);
    if (get_local_id(0) == 0)
        number[ring->stage] = t;
    for (int k = 0; k < place.rows; k += DEPTH) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            n[i] = next[i], n_b[i] = next_b[i];
        find_rows(place.first + k + DEPTH + line, last, index, next);
        find_rows(place.first + k + DEPTH + line, last, index_b, next_b);
        const int inside = inner && k + DEPTH <= place.rows;
        phase_wait(empty + 8 * ring->stage, ring->parity ^ 1);
        produce_blocks(memory, ring->stage * STAGE_BYTES, n, line, place.rows - k, own, received, args.own_rows,
                       args.O, place.output, 2, inside);
        produce_blocks(memory, ring->stage * STAGE_BYTES + A_BYTES, n_b, line, place.rows - k, own_b, received_b,
                       args.own_rows_b, args.I, place.input, 4, inside);
        if (inside)
            issued(ring, full);
        else
            written(ring, full);
    }
}

/* c = this warpgroup's 64 outputs by 256 inputs. */
static inline INLINE void consume(int rows, int group, uint base, uint full, uint empty, struct ring *ring,
                                  float c[128])
{
    int last = 0;
    for (int k = 0; k < rows; k += DEPTH) {
        const uint a = base + ring->stage * STAGE_BYTES + group * BLOCK_BYTES;
        const uint b = base + ring->stage * STAGE_BYTES + A_BYTES;
        stage_wait(*ring, full);
        wgmma_begin();
#pragma unroll
        for (int i = 0; i < DEPTH / 16; i++)
            WGMMA(c, DESCRIPTOR(WIDTH_ROWS, a) + i * WIDTH_ROWS_STEP, DESCRIPTOR(WIDTH_ROWS, b) + i * WIDTH_ROWS_STEP,
                  1, 1, k == 0 && i == 0);
        wgmma_commit();
        if (k > 0) {
            WGMMA_WAIT(1);
            release(last, empty);
        }
        last = ring->stage;
        ring_next(ring);
    }
    WGMMA_WAIT(0);
    WGMMA_DONE(c);
    release(last, empty);
}

static inline INLINE void store(struct motley__product_args args, struct place place, int group, const float c[128],
                         __global float *dw)
{
    const int lane = get_local_id(0) & 31, warp = (get_local_id(0) >> 5) & 3;
    const int o = place.output + 64 * group + 16 * warp + (lane >> 2), i = place.input + 2 * (lane & 3);
    __global float *to = dw + ((size_t)place.expert * args.O + o) * args.I + i;

#pragma unroll
    for (int j = 0; j < 32; j++) {
        const int left = args.I - i - 8 * j;
        if (o < args.O)
            store_pair(to + 8 * j, (float2)(c[4 * j], c[4 * j + 1]), left, !(args.I & 1), args.accumulate);
        if (o + 8 < args.O)
            store_pair(to + 8 * (size_t)args.I + 8 * j, (float2)(c[4 * j + 2], c[4 * j + 3]), left, !(args.I & 1),
                       args.accumulate);
    }
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
estmm_wgmma(struct motley__product_args args, __global const int *offsets, __global const int *index,
            __global const ushort *own, __global const ushort *received, __global const int *index_b,
            __global const ushort *own_b, __global const ushort *received_b, __global float *dw,
            volatile __global int *tickets)
{
    __local uchar memory[STAGES * STAGE_BYTES] __attribute__((aligned(1024)));
    __local ulong full[STAGES], empty[STAGES];
    __local int number[STAGES]; /* of the tile that begins with a stage; NO_TILE: there are no more */
    __local int drawn[2];
    __local int first_pair[MAX_EXPERTS + 1];
    __local ushort order[MAX_EXPERTS];
    const int outputs = (args.O + OUTPUTS - 1) / OUTPUTS, inputs = (args.I + INPUTS - 1) / INPUTS;
    const uint full_ = LOCAL_ADDRESS(full), empty_ = LOCAL_ADDRESS(empty);
    struct ring ring = {0, 0};

    pipeline_create(full_, empty_);
    offsets_copy(args, offsets, first_pair);
    barrier(CLK_LOCAL_MEM_FENCE);
    experts_sort(args.experts, first_pair, order);
    barrier(CLK_LOCAL_MEM_FENCE);

    const int tiles = experts_busy(args.experts, first_pair, order) * outputs * inputs;
    if (get_local_id(0) < PRODUCERS) {
        for (int t = get_group_id(0), turn = 0; ; turn ^= 1) {
            const int ticket = get_local_id(0) == 0 ? ticket_draw(tickets, tiles) : 0;
            if (t < tiles)
                produce(args, t, place_of(t, outputs, inputs, first_pair, order), index, own, received, index_b, own_b,
                        received_b, memory, number, full_, empty_, &ring);
            t = ticket_share(ticket, &drawn[turn]);
            if (t >= tiles)
                break;
        }
        phase_wait(empty_ + 8 * ring.stage, ring.parity ^ 1);
        if (get_local_id(0) == 0)
            number[ring.stage] = NO_TILE;
        written(&ring, full_);
        return;
    }
    const int group = (get_local_id(0) - PRODUCERS) >> 7;
    for (;;) {
        float c[128];
        phase_wait(full_ + 8 * ring.stage, ring.parity);
        const int t = number[ring.stage];
        if (t == NO_TILE)
            break;
        const struct place place = place_of(t, outputs, inputs, first_pair, order);
        consume(place.rows, group, LOCAL_ADDRESS(memory), full_, empty_, &ring, c);
        store(args, place, group, c, dw);
    }
    if (args.accumulate)
        return;
    float c[128];
#pragma unroll
    for (int i = 0; i < 128; i++)
        c[i] = 0.0f;
    for (int t = tiles + get_group_id(0); t < args.experts * outputs * inputs; t += get_num_groups(0))
        store(args, place_of(t, outputs, inputs, first_pair, order), group, c, dw); /* experts without rows */
}
