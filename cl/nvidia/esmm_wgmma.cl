/* ESMM, forward and transposed, on Hopper's tensor cores; weights in canonical form, storage bf16 or f16.
 *
 *   esmm             y[p,:] = act(x[row p,:] W[e]^T + b[e])     x [*,I], W [E,O,I], y [P,O]
 *   esmm, swiglu     y[p,:] = silu(x W^T) * (x W3^T)            a tile's 256 columns are 128 of W and 128 of W3
 *   esmm_transposed  y[p,:] = g[row p,:] W[e]                   g [*,O], y [P,I]; with own3 also + g3[row p,:] W3[e]
 *
 * Resident work-groups of three warpgroups (schedule.h): the first gathers rows and weights into STAGES stages of local
 * memory, the other two multiply 64 rows each by all 256 columns (wgmma.h) and store while the next tile's
 * stages fill.  A stage is 64 of the contraction:
 *
 *     rows     [128][64]       16 KiB
 *     weights  [256][64]       32 KiB    transposed: four blocks [64 of the contraction][64 columns]
 *
 * 2 P O I flops (swiglu 4); reads (rows + columns) / (rows * columns) * flops numbers through the L2 cache.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#define NATIVE
#include "nonlinear.h"
#include "nvidia/direction.h"
#include "nvidia/pipeline.h"
#include "nvidia/schedule.h"
#include "nvidia/store.h"
#include "nvidia/wgmma.h"

#define ROWS 128
#define COLUMNS 256
#define DEPTH 64
#define ROW_BYTES (ROWS * DEPTH * 2)
#define STAGE_BYTES (ROW_BYTES + COLUMNS * DEPTH * 2)
#define TILE_COLUMNS OUTPUT_COLUMNS(COLUMNS)

/* What a producer copies in each step: 8 chunks of rows, 16 apart, and 16 of weights. */
struct sources {
    __global const ushort *row[8];
    __global const ushort *weight[16];
};

/* Rows beyond the tile and columns beyond the matrix repeat the last ones: what comes of them is not stored. */
static inline INLINE void find_sources(struct motley__product_args args, struct tile tile, __global const int *index,
                                __global const ushort *own, __global const ushort *received,
                                __global const ushort *w, __global const ushort *w3, struct sources *from)
{
    const int item = get_local_id(0), chunk = item & 7, line = item >> 3, depth = DEPTH_OF(args);
    const size_t matrix = (size_t)tile.expert * args.O * args.I;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int p = tile.first + min(line + 16 * i, tile.rows - 1), n = index ? index[p] : p;
        from->row[i] = (n < args.own_rows ? own + (size_t)n * depth : received + (size_t)(n - args.own_rows) * depth) +
                       8 * chunk;
    }
#ifdef TRANSPOSED
    const int column = min(tile.column * COLUMNS + 8 * (item & 31), (args.I - 1) & ~7);
#pragma unroll
    for (int i = 0; i < 16; i++)
        from->weight[i] = w + matrix + (size_t)((item >> 5) + 4 * i) * args.I + column;
#else
#pragma unroll
    for (int i = 0; i < 16; i++) {
        const int c = line + 16 * i, o = min(tile.column * TILE_COLUMNS + c % TILE_COLUMNS, args.O - 1);
        from->weight[i] = (c < TILE_COLUMNS ? w : w3) + matrix + (size_t)o * args.I + 8 * chunk;
    }
#endif
}

/* Local memory of a work-item's first chunk of rows and of weights within a stage, and from each to the next. */
#define ROWS_AT SWIZZLED(get_local_id(0) >> 3, get_local_id(0) & 7)
#ifdef TRANSPOSED /* o = item / 32 + 4 i, column 8 (item % 32): the exchange alternates with i */
#define WEIGHTS_AT(i) (ROW_BYTES + ((get_local_id(0) >> 3 & 3) << 13) + \
                       SWIZZLED((get_local_id(0) >> 5) + 4 * (i), get_local_id(0) & 7))
#else
#define WEIGHTS_AT(i) (ROW_BYTES + ROWS_AT + 2048 * (i))
#endif

/* A step that lies within the matrices. */
static inline INLINE void produce_whole(struct sources *from, int I, uint at)
{
    const uint rows = at + ROWS_AT;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        copy_whole(rows + 2048 * i, from->row[i]);
        from->row[i] += DEPTH;
    }
#pragma unroll
    for (int i = 0; i < 16; i++) {
        copy_whole(at + WEIGHTS_AT(i), from->weight[i]);
#ifdef TRANSPOSED
        from->weight[i] += (size_t)DEPTH * I;
#else
        from->weight[i] += DEPTH;
#endif
    }
}

/* The last step, when `left` < DEPTH, and every step of matrices whose rows are not whole chunks. */
static inline INLINE void produce_part(struct motley__product_args args, struct tile tile, struct sources *from,
                                       int left,
                                __local uchar *memory, uint at)
{
    const uint base = LOCAL_ADDRESS(memory);
    const int item = get_local_id(0), chunk = item & 7;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        fetch(memory, base, at + ROWS_AT + 2048 * i, from->row[i], left - 8 * chunk, !(DEPTH_OF(args) & 7));
        from->row[i] += DEPTH;
    }
#pragma unroll
    for (int i = 0; i < 16; i++) {
#ifdef TRANSPOSED
        const int within = args.I - tile.column * COLUMNS - 8 * (item & 31);
        fetch(memory, base, at + WEIGHTS_AT(i), from->weight[i], (item >> 5) + 4 * i < left ? within : 0,
              !(args.I & 7));
        from->weight[i] += (size_t)DEPTH * args.I;
#else
        fetch(memory, base, at + WEIGHTS_AT(i), from->weight[i], left - 8 * chunk, !(args.I & 7));
        from->weight[i] += DEPTH;
#endif
    }
}

/* The producers' part of one tile. */
static inline INLINE void produce(struct motley__product_args args, struct tile tile, struct sources *from,
                           __local uchar *memory, uint full, uint empty, struct ring *ring)
{
    const int depth = DEPTH_OF(args), whole = (args.O | args.I) & 7 ? 0 : depth / DEPTH * DEPTH;
    int k = 0;
#pragma unroll 4
    for (; k < whole; k += DEPTH) {
        phase_wait(empty + 8 * ring->stage, ring->parity ^ 1);
        produce_whole(from, args.I, LOCAL_ADDRESS(memory) + ring->stage * STAGE_BYTES);
        issued(ring, full);
    }
    for (; k < depth; k += DEPTH) {
        phase_wait(empty + 8 * ring->stage, ring->parity ^ 1);
        produce_part(args, tile, from, depth - k, memory, ring->stage * STAGE_BYTES);
        written(ring, full);
    }
}

/* The consumers' part of one tile: c = its 64 rows by 256 columns. */
static inline INLINE void consume(int steps, int group, uint base, uint full, uint empty, struct ring *ring,
                                  float c[128])
{
    int last = 0;
    for (int step = 0; step < steps; step++) {
        const uint rows = base + ring->stage * STAGE_BYTES + group * (ROW_BYTES / 2);
        const uint weights = base + ring->stage * STAGE_BYTES + ROW_BYTES;
        stage_wait(*ring, full);
        wgmma_begin();
#pragma unroll
        for (int i = 0; i < DEPTH / 16; i++) {
            const int clear = step == 0 && i == 0;
#ifdef TRANSPOSED
            WGMMA(c, DESCRIPTOR(DEPTH_ROWS, rows) + i * DEPTH_ROWS_STEP,
                  DESCRIPTOR(WIDTH_ROWS, weights) + i * WIDTH_ROWS_STEP, 0, 1, clear);
#else
            WGMMA(c, DESCRIPTOR(DEPTH_ROWS, rows) + i * DEPTH_ROWS_STEP,
                  DESCRIPTOR(DEPTH_ROWS, weights) + i * DEPTH_ROWS_STEP, 0, 0, clear);
#endif
        }
        wgmma_commit();
        if (step > 0) {
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

/* The same for a warpgroup that has none of the tile's rows. */
static inline INLINE void let_pass(int steps, uint full, uint empty, struct ring *ring)
{
    for (int step = 0; step < steps; step++) {
        phase_wait(full + 8 * ring->stage, ring->parity);
        release(ring->stage, empty);
        ring_next(ring);
    }
}

/* c += the expert's bias, columns from `first` on. */
static inline INLINE void add_bias(__global const float *bias, int first, int width, float c[128])
{
    const int o = first + 2 * (get_local_id(0) & 3);
#pragma unroll
    for (int j = 0; j < 32; j++) {
        const float2 shift = (float2)(o + 8 * j < width ? bias[o + 8 * j] : 0.0f,
                                      o + 8 * j + 1 < width ? bias[o + 8 * j + 1] : 0.0f);
        c[4 * j] += shift.x;
        c[4 * j + 1] += shift.y;
        c[4 * j + 2] += shift.x;
        c[4 * j + 3] += shift.y;
    }
}

/* Number n of the result: c, or its activation. */
static inline INLINE float result(const float *c, const int n, const int activated)
{
    if (!activated)
        return c[n];
#if ACTIVATION == MOTLEY__ACT_SWIGLU
    return nonlinear(c[n], ACTIVATION) * c[64 + n];
#else
    return nonlinear(c[n], ACTIVATION);
#endif
}

/* Two neighbouring ones. */
static inline INLINE uint results(const float *c, const int n, const int activated)
{
    return pack(result(c, n, activated), result(c, n + 1, activated));
}

/* y = results, columns from `first` on of the two rows that a work-item shares in: numbers 4 j and 4 j + 1 of c belong
 * to the one, 4 j + 2 and 4 j + 3 to the other, 8 further down. */
static inline INLINE void store_rows(__global ushort *y, struct tile tile, int group, int first, int width, int add,
                              const float *c, const int activated)
{
    const int lane = get_local_id(0) & 31, warp = get_local_id(0) >> 5 & 3, r = group * 64 + warp * 16 + (lane >> 2);
    const int column = first + 8 * (lane & 3), whole = !(width & 7);
    __global ushort *to = y + (size_t)(tile.first + r) * width;
#pragma unroll
    for (int half_ = 0; half_ < 2; half_++, to += 8 * (size_t)width) {
        const int end = r + 8 * half_ < tile.rows ? width : 0;
#pragma unroll
        for (int j = 0; j < TILE_COLUMNS / 8; j += 4) {
            const int n = 4 * j + 2 * half_;
            const uint4 row = gather_block((uint4)(results(c, n, activated), results(c, n + 4, activated),
                                                   results(c, n + 8, activated), results(c, n + 12, activated)));
            if (!whole)
                store_block(to, column + 8 * j, end, row, add);
            else if (column + 8 * j < end)
                store_chunk(to + column + 8 * j, row, add);
        }
    }
}

static inline INLINE void finish(struct motley__product_args args, struct tile tile, int group, float c[128],
                          __global const float *bias, __global ushort *pre, __global ushort *pre3, __global ushort *y)
{
    const int width = WIDTH_OF(args), first = tile.column * TILE_COLUMNS;
    if (bias)
        add_bias(bias + (size_t)(args.first + tile.expert) * width, first, width, c);
    if (pre)
        store_rows(pre, tile, group, first, width, 0, c, 0);
#if ACTIVATION == MOTLEY__ACT_SWIGLU
    if (pre3)
        store_rows(pre3, tile, group, first, width, 0, c + 64, 0);
#endif
    store_rows(y, tile, group, first, width, args.accumulate, c, 1);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
esmm_wgmma(struct motley__product_args args, __global const int *offsets, __global const int *index,
           __global const ushort *own, __global const ushort *received, __global const ushort *own3,
           __global const ushort *w, __global const ushort *w3, __global const float *bias, __global ushort *pre,
           __global ushort *pre3, __global ushort *y)
{
    __local uchar memory[STAGES * STAGE_BYTES] __attribute__((aligned(1024)));
    __local ulong full[STAGES], empty[STAGES];
    __local int first_pair[MAX_EXPERTS + 1];
    const int columns = (WIDTH_OF(args) + TILE_COLUMNS - 1) / TILE_COLUMNS;
    const uint full_ = LOCAL_ADDRESS(full), empty_ = LOCAL_ADDRESS(empty);
    struct ring ring = {0, 0};

    pipeline_create(full_, empty_);
    offsets_copy(args, offsets, first_pair);
    barrier(CLK_LOCAL_MEM_FENCE);
    const int tiles = tiles_before(first_pair, args.experts, ROWS) * columns;

    if (get_local_id(0) < PRODUCERS) {
        for (int t = get_group_id(0); t < tiles; t += get_num_groups(0)) {
            struct tile tile = tile_find(args, first_pair, t, ROWS, columns);
            if (tile.rows == 0)
                continue;
            struct sources from;
            find_sources(args, tile, index, own, received, w, w3, &from);
            produce(args, tile, &from, memory, full_, empty_, &ring);
#ifdef TRANSPOSED
            if (own3) {
                find_sources(args, tile, index, own3, received, w3, w3, &from);
                produce(args, tile, &from, memory, full_, empty_, &ring);
            }
#endif
        }
        copies_wait_all();
    } else {
        const int group = (get_local_id(0) - PRODUCERS) >> 7;
        const int steps = (DEPTH_OF(args) + DEPTH - 1) / DEPTH * (own3 ? 2 : 1);
        for (int t = get_group_id(0); t < tiles; t += get_num_groups(0)) {
            struct tile tile = tile_find(args, first_pair, t, ROWS, columns);
            float c[128];
            if (tile.rows == 0)
                continue;
            if (64 * group >= tile.rows) {
                let_pass(steps, full_, empty_, &ring);
                continue;
            }
            consume(steps, group, LOCAL_ADDRESS(memory), full_, empty_, &ring, c);
            finish(args, tile, group, c, bias, pre, pre3, y);
        }
    }
}
