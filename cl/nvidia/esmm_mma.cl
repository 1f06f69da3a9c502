/* ESMM, forward and transposed, on the tensor cores of NVIDIA GPUs since sm_80; weights in canonical form, storage bf16
 * or f16.
 *
 *   esmm             y[p,:] = act(x[row p,:] W[e]^T + b[e])     x [*,I], W [E,O,I], y [P,O]
 *   esmm, swiglu     y[p,:] = silu(x W^T) * (x W3^T)            a tile's 128 columns are 64 of W and 64 of W3
 *   esmm_transposed  y[p,:] = g[row p,:] W[e]                   g [*,O], y [P,I]; with own3 also + g3[row p,:] W3[e]
 *
 * A work-group of four warps for each tile of 128 rows by 128 columns, in schedule.h's order, surplus tiles included:
 * two fit a multiprocessor, one multiplies while the other begins or stores, and the device hands out the next tile
 * itself.  Each step takes 32 of the contraction through a ring of STAGES stages (mma.h), filled STAGES - 1 ahead:
 *
 *     rows     DEEP [128][32]       8 KiB
 *     weights  DEEP [128][32]       8 KiB    transposed: WIDE [32][128]
 *
 * 2 P O I flops (swiglu 4); reads (rows + columns) / (rows * columns) * flops numbers through the L2 cache.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#define NATIVE
#include "nonlinear.h"
#include "nvidia/direction.h"
#include "nvidia/mma.h"
#include "nvidia/schedule.h"
#include "nvidia/store.h"

#ifdef TRANSPOSED
#define WIDE_WEIGHTS 1
#define PRODUCTS(own3) ((own3) ? 2 : 1)
#else
#define WIDE_WEIGHTS 0
#define PRODUCTS(own3) 1
#endif
#define TILE_COLUMNS OUTPUT_COLUMNS(SIDE)
#define WARP_COLUMNS (TILE_COLUMNS / 2)

/* What a work-item copies in each step: the same chunk of 4 rows, 32 apart, and as much of the weights. */
struct sources {
    __global const ushort *row[4], *weight[4];
};

/* Rows beyond the tile and columns beyond the matrix repeat the last ones: what comes of them is not stored. */
static inline INLINE void
find_sources(struct motley__product_args args, struct tile tile, __global const int *index, __global const ushort *own,
             __global const ushort *received, __global const ushort *w, __global const ushort *w3,
             struct sources *from)
{
    const int item = get_local_id(0), line = item >> 2, chunk = item & 3, depth = DEPTH_OF(args);
    const size_t matrix = (size_t)tile.expert * args.O * args.I;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int p = tile.first + min(line + 32 * i, tile.rows - 1), n = index ? index[p] : p;
        from->row[i] = (n < args.own_rows ? own + (size_t)n * depth : received + (size_t)(n - args.own_rows) * depth) +
                       8 * chunk;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
#ifdef TRANSPOSED /* 8 of the contraction apart */
        const int column = min(tile.column * TILE_COLUMNS + 8 * (item & 15), (args.I - 1) & ~7);
        from->weight[i] = w + matrix + (size_t)((item >> 4) + 8 * i) * args.I + column;
#elif ACTIVATION == MOTLEY__ACT_SWIGLU /* a warp's 64 columns: 32 of W, the same 32 of W3 */
        const int o = min(tile.column * TILE_COLUMNS + WARP_COLUMNS * (i >> 1) + line, args.O - 1);
        from->weight[i] = (i & 1 ? w3 : w) + matrix + (size_t)o * args.I + 8 * chunk;
#else
        const int o = min(tile.column * TILE_COLUMNS + 32 * i + line, args.O - 1);
        from->weight[i] = w + matrix + (size_t)o * args.I + 8 * chunk;
#endif
    }
}

/* Where in a stage a work-item's i-th chunk of rows and of weights goes. */
#define ROWS_AT(item, i) (DEEP((item) >> 2, (item)&3) + 2048 * (i))
#ifdef TRANSPOSED
#define WEIGHTS_AT(item, i) (OPERAND_BYTES + WIDE((item) >> 4, (item)&15) + 2048 * (i))
#else
#define WEIGHTS_AT(item, i) (OPERAND_BYTES + ROWS_AT(item, i))
#endif

/* One step of the contraction, of which `left` remains, into the stage at `at`. */
static inline INLINE void
fill(struct motley__product_args args, struct tile tile, struct sources *from, int left, __local uchar *memory, uint at)
{
    const uint base = LOCAL_ADDRESS(memory);
    const int item = get_local_id(0), chunk = item & 3;
#ifdef TRANSPOSED
    const int step = DEPTH * args.I, odd = (args.O | args.I) & 7;
#else
    const int step = DEPTH, odd = args.I & 7;
#endif
    if (left >= DEPTH && !odd) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            copy_whole(base + at + ROWS_AT(item, i), from->row[i]);
            copy_whole(base + at + WEIGHTS_AT(item, i), from->weight[i]);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            fetch(memory, base, at + ROWS_AT(item, i), from->row[i], left - 8 * chunk, !(DEPTH_OF(args) & 7));
#ifdef TRANSPOSED
            const int within = args.I - tile.column * TILE_COLUMNS - 8 * (item & 15);
            fetch(memory, base, at + WEIGHTS_AT(item, i), from->weight[i],
                  (item >> 4) + 8 * i < left ? within : 0, !(args.I & 7));
#else
            fetch(memory, base, at + WEIGHTS_AT(item, i), from->weight[i], left - 8 * chunk, !odd);
#endif
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        from->row[i] += DEPTH;
        from->weight[i] += step;
    }
}

/* c += the tile's product.  A stage is filled again after the barrier that follows its multiplication. */
static inline INLINE void
compute(struct motley__product_args args, struct tile tile, struct sources *from, __local uchar *memory, float c[128])
{
    const int depth = DEPTH_OF(args), ahead = (STAGES - 1) * DEPTH;
    const uint base = LOCAL_ADDRESS(memory);
    uint to = 0, at = 0;
    for (int k = -ahead; k < depth; k += DEPTH) {
        if (k >= 0) {
            COPIES_WAIT(STAGES - 2);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (k + ahead < depth)
            fill(args, tile, from, depth - k - ahead, memory, to);
        copies_commit();
        to = stage_after(to);
        if (k >= 0) {
            if (warp_row() < tile.rows)
                multiply(base + at, base + at + OPERAND_BYTES, 0, WIDE_WEIGHTS, c);
            at = stage_after(at);
        }
    }
}

/* c += the expert's bias, columns from `first` on. */
static inline INLINE void add_bias(__global const float *bias, int first, int width,
                                                           float c[128])
{
    const int o = first + 2 * (get_local_id(0) & 3);
#pragma unroll
    for (int j = 0; j < 8; j++) {
        const float x = o + 8 * j < width ? bias[o + 8 * j] : 0.0f;
        const float y = o + 8 * j + 1 < width ? bias[o + 8 * j + 1] : 0.0f;
#pragma unroll
        for (int i = 4 * j; i < 128; i += 32) {
            c[i] += x;
            c[i + 1] += y;
            c[i + 2] += x;
            c[i + 3] += y;
        }
    }
}

/* Two numbers of a row in storage type; `result`: what comes of them, not they themselves.  Only here, so that what an
 * activation needs on the way takes few registers beside c. */
static inline INLINE uint packed(const float *c, const int result)
{
#if ACTIVATION == MOTLEY__ACT_SWIGLU
    if (result)
        return pack(nonlinear(c[0], ACTIVATION) * c[16], nonlinear(c[1], ACTIVATION) * c[17]);
#elif ACTIVATION != MOTLEY__ACT_NONE
    if (result)
        return pack(nonlinear(c[0], ACTIVATION), nonlinear(c[1], ACTIVATION));
#endif
    return pack(c[0], c[1]);
}

/* A row of y, columns from `first` on, of which this warp has WARP_COLUMNS; c points at the work-item's first two. */
static inline INLINE void store_row(__global ushort *row, int first, int width, int end, int add, const float *c,
                                    const int result)
{
    const int column = first + 8 * (get_local_id(0) & 3), whole = !(width & 7);
#pragma unroll
    for (int j = 0; j < WARP_COLUMNS / 8; j += 4, c += 16) {
        const uint4 block = gather_block((uint4)(packed(c, result), packed(c + 4, result), packed(c + 8, result),
                                                 packed(c + 12, result)));
        if (!whole)
            store_block(row, column + 8 * j, end, block, add);
        else if (column + 8 * j < end)
            store_chunk(row + column + 8 * j, block, add);
    }
}

/* y = a warp's share of the tile; c begins at its first number of y. */
static inline INLINE void store_rows(__global ushort *y, struct tile tile, int first, int width, int add,
                                     const float *c, const int result)
{
    const int row = warp_row() + (get_local_id(0) >> 2 & 7);
    __global ushort *to = y + (size_t)(tile.first + row) * width;
#pragma unroll
    for (int i = 0; i < 8; i++)
        store_row(to + 8 * i * (size_t)width, first, width, row + 8 * i < tile.rows ? width : 0, add,
                  c + 32 * (i >> 1) + 2 * (i & 1), result);
}

static inline INLINE void finish(struct motley__product_args args, struct tile tile, float c[128],
                                 __global const float *bias, __global ushort *pre, __global ushort *pre3,
                                 __global ushort *y)
{
    const int width = WIDTH_OF(args), first = tile.column * TILE_COLUMNS + warp_column() * WARP_COLUMNS / 64;
    if (bias)
        add_bias(bias + (size_t)(args.first + tile.expert) * width, first, width, c);
    if (pre)
        store_rows(pre, tile, first, width, 0, c, 0);
#if ACTIVATION == MOTLEY__ACT_SWIGLU
    if (pre3)
        store_rows(pre3, tile, first, width, 0, c + 16, 0);
#endif
    store_rows(y, tile, first, width, args.accumulate, c, 1);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
esmm_mma(struct motley__product_args args, __global const int *offsets, __global const int *index,
         __global const ushort *own, __global const ushort *received, __global const ushort *own3,
         __global const ushort *w, __global const ushort *w3, __global const float *bias, __global ushort *pre,
         __global ushort *pre3, __global ushort *y)
{
    __local uchar memory[STAGES * STAGE_BYTES] __attribute__((aligned(128)));
    __local int *first_pair = (__local int *)memory; /* until the first stage is filled */
    struct sources from;
    float c[128];

    offsets_copy(args, offsets, first_pair);
    barrier(CLK_LOCAL_MEM_FENCE);
    const struct tile tile = tile_find(args, first_pair, get_group_id(0), SIDE,
                                       (WIDTH_OF(args) + TILE_COLUMNS - 1) / TILE_COLUMNS);
    if (tile.rows == 0)
        return;
#pragma unroll
    for (int i = 0; i < 128; i++)
        c[i] = 0.0f;
    for (int left = PRODUCTS(own3); left > 0; left--, own = own3, w = w3) {
        barrier(CLK_LOCAL_MEM_FENCE);
        find_sources(args, tile, index, own, received, w, w3, &from);
        compute(args, tile, &from, memory, c);
    }
    finish(args, tile, c, bias, pre, pre3, y);
}
