/* The gate's logits.
 *
 *   logits[t,e] = sum_i x[t,i] w[e,i]      x [T,D] STORAGE, w [E,D] f32 in panels (src/product/matrix.h), i ascending
 *
 * Two maps of the same sum, bit for bit the same result:
 *
 *   logits_tile    one work-item per group (CPUs): TOKENS tokens times `block` experts; x and w are widened
 *                       once into private tiles, products run in registers, SUB tokens by LANES experts.
 *   logits_group   128 work-items (GPUs): 16 HIGH tokens by 8 ACROSS experts over __local tiles, HIGH x ACROSS an item:
 *                  2 x 4; 4 x 8 where so many larger groups fill the device, 1 x 1 and longer stages where these
 *                  are too few.
 *
 * Flops 2 T E D; bytes 4 (T D + groups E D + 2 T E).  Measured at T = D = 2048, E = 128, gate_select included: 17 ms
 * (63 Gflop/s in double) on 2 cores with 512-bit vectors, 0.13 ms (8.2 Tflop/s) on an H200, there at T = 16384
 * 0.73 ms (12 Tflop/s); its limit in double is 34.
 *
 * Tunables, by -D:
 *   PANEL                       panel width of w (default 1)
 *   LANES, SUB, TOKENS, CHUNK   the register and private tiles (defaults for 512-bit vectors)
 *   HIGH, ACROSS, DEPTH         the tokens and experts of an item of logits_group; inputs of a stage
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "real.h"
#include "storage.h"

#ifndef PANEL
#define PANEL 1
#endif
#ifndef LANES
#define LANES 16
#endif
#ifndef SUB
#define SUB 8
#endif
#ifndef TOKENS
#define TOKENS 32
#endif
#ifndef CHUNK
#define CHUNK 128
#endif

/* Where element (o,i) of a matrix with I inputs lies.  Unsigned, here and below: then shifts divide. */
#define MOTLEY__AT(o, i, I) (((uint)(o) / PANEL * (I) + (i)) * PANEL + (uint)(o) % PANEL)

typedef MOTLEY__REALS(LANES) lanes;
#define LOAD_LANES MOTLEY__JOIN(vload, LANES)
#define STORE_LANES MOTLEY__JOIN(vstore, LANES)
#define WIDEN MOTLEY__JOIN(convert_, MOTLEY__REALS(LANES))

/* to[token / SUB][i][token % SUB] = x[token, i]; absent tokens are 0. */
static void stage_tokens(__global const STORED *x, int D, int tokens, int n, real *to)
{
    for (int t = 0; t < TOKENS; t++) {
        real *row = to + t / SUB * CHUNK * SUB + t % SUB;
        if (t < tokens)
            for (int i = 0; i < n; i++)
                row[i * SUB] = stored_get(x, (size_t)t * D + i);
        else
            for (int i = 0; i < n; i++)
                row[i * SUB] = 0;
    }
}

/* to[i][lane] = w[o + lane, i0 + i]; experts beyond E are 0. */
static void stage_experts(__global const float *w, int E, int D, int o, int i0, int n, real *to)
{
#if PANEL % LANES == 0
    for (int i = 0; i < n; i++)
        STORE_LANES(WIDEN(LOAD_LANES(0, w + MOTLEY__AT(o, i0 + i, D))), i, to);
#else
    for (int lane = 0; lane < LANES; lane++) {
        const int e = o + lane;
        for (int i = 0; i < n; i++)
            to[i * LANES + lane] = e < E ? w[MOTLEY__AT(e, i0 + i, D)] : 0;
    }
#endif
}

/* y[r, 0..LANES) (+)= sum_i x[i][r] w[i][0..LANES) for SUB tokens; lost is y's plane of rounding errors. */
static void multiply(int n, int rows, int begin, const real *x, const real *w, int stride, __global real *y,
                     __global real *lost)
{
    lanes sum[SUB];
#if !MOTLEY__DOUBLE
    lanes rest[SUB];
#endif
#pragma unroll
    for (int r = 0; r < SUB; r++) {
        sum[r] = begin || r >= rows ? (lanes)0 : LOAD_LANES(0, y + r * stride);
#if !MOTLEY__DOUBLE
        rest[r] = begin || r >= rows ? (lanes)0 : LOAD_LANES(0, lost + r * stride);
#endif
    }
    for (int i = 0; i < n; i++) {
        const lanes b = LOAD_LANES(i, w);
#pragma unroll
        for (int r = 0; r < SUB; r++) {
            const lanes a = (lanes)x[i * SUB + r];
            MOTLEY__ADD_PRODUCT(sum[r], rest[r], a, b);
        }
    }
#pragma unroll
    for (int r = 0; r < SUB; r++)
        if (r < rows) {
            STORE_LANES(sum[r], 0, y + r * stride);
#if !MOTLEY__DOUBLE
            STORE_LANES(rest[r], 0, lost + r * stride);
#endif
        }
}

/* Group (token tile, block of experts). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void logits_tile(const struct motley__gate_args a, __global const STORED *restrict x,
                      __global const float *restrict w, __global real *restrict logits)
{
    real xs[TOKENS * CHUNK], ws[CHUNK * LANES];
    const int t = get_group_id(0) * TOKENS, tokens = min(TOKENS, a.T - t);
    const int first = get_group_id(1) * a.block, last = min(first + a.block, a.E);
    __global real *y = logits + (size_t)t * a.stride;
    __global real *lost = y + (MOTLEY__DOUBLE ? 0 : (size_t)a.T * a.stride); /* the second plane of the scratch */

    for (int i0 = 0; i0 < a.D; i0 += CHUNK) {
        const int n = min(CHUNK, a.D - i0);
        stage_tokens(x + (size_t)t * a.D + i0, a.D, tokens, n, xs);
        for (int o = first; o < last; o += LANES) {
            stage_experts(w, a.E, a.D, o, i0, n, ws);
            for (int s = 0; s < tokens; s += SUB)
                multiply(n, tokens - s, i0 == 0, xs + s * CHUNK, ws, a.stride, y + s * a.stride + o,
                         lost + s * a.stride + o);
        }
    }
#if !MOTLEY__DOUBLE
    for (int s = 0; s < tokens; s++)
        for (int o = first; o < last; o++)
            y[s * a.stride + o] += lost[s * a.stride + o];
#endif
}

#ifndef HIGH
#define HIGH 2
#endif
#ifndef ACROSS
#define ACROSS 4
#endif
#define TILE_TOKENS (16 * HIGH)
#define TILE_EXPERTS (8 * ACROSS)
#ifndef DEPTH
#define DEPTH 16            /* inputs staged at once */
#endif
#define ITEMS 128           /* work-items: 8 columns of experts by 16 rows of tokens, HIGH by ACROSS each */
#define LOADS_X (DEPTH * TILE_TOKENS / ITEMS)
#define LOADS_W (DEPTH * TILE_EXPERTS / ITEMS)

/* Element j of a tile of x, or of w: which row, which input.  Neighbouring items read neighbouring addresses; those of
 * a panel are outputs. */
#define ROW_OF(j) ((uint)(j) / DEPTH)
#define INPUT_OF(j) ((uint)(j) % DEPTH)
#if PANEL == 1
#define EXPERT_OF ROW_OF
#define EXPERT_INPUT_OF INPUT_OF
#else
#define EXPERT_OF(j) ((uint)(j) % TILE_EXPERTS)
#define EXPERT_INPUT_OF(j) ((uint)(j) / TILE_EXPERTS)
#endif

/* This item's part of the tiles that begin at token t, expert o, input i0: loaded while the tiles before are in use. */
static inline void fetch(const struct motley__gate_args a, __global const STORED *x, __global const float *w, int t,
                         int o, int i0, float u[LOADS_X], float v[LOADS_W])
{
#pragma unroll
    for (int l = 0; l < LOADS_X; l++) {
        const int j = get_local_id(0) + l * ITEMS, token = t + ROW_OF(j), i = i0 + INPUT_OF(j);
        u[l] = i < a.D && token < a.T ? stored_get(x, (size_t)token * a.D + i) : 0;
    }
#pragma unroll
    for (int l = 0; l < LOADS_W; l++) {
        const int j = get_local_id(0) + l * ITEMS, e = o + EXPERT_OF(j), k = i0 + EXPERT_INPUT_OF(j);
        v[l] = k < a.D && e < a.E ? w[MOTLEY__AT(e, k, a.D)] : 0;
    }
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void logits_group(const struct motley__gate_args a, __global const STORED *restrict x,
                  __global const float *restrict w, __global real *restrict logits)
{
    __local real xs[DEPTH][TILE_TOKENS + 1], ws[DEPTH][TILE_EXPERTS + 1];
    const uint item = get_local_id(0);
    const int column = item % 8, row = item / 8;
    const int t = get_group_id(0) * TILE_TOKENS, o = get_group_id(1) * TILE_EXPERTS;
    real sum[HIGH][ACROSS] = {{0}}, rest[HIGH][ACROSS] = {{0}};
    float u[LOADS_X], v[LOADS_W];

    fetch(a, x, w, t, o, 0, u, v);
    for (int i0 = 0; i0 < a.D; i0 += DEPTH) {
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int l = 0; l < LOADS_X; l++)
            xs[INPUT_OF(item + l * ITEMS)][ROW_OF(item + l * ITEMS)] = u[l];
#pragma unroll
        for (int l = 0; l < LOADS_W; l++)
            ws[EXPERT_INPUT_OF(item + l * ITEMS)][EXPERT_OF(item + l * ITEMS)] = v[l];
        barrier(CLK_LOCAL_MEM_FENCE);
        fetch(a, x, w, t, o, i0 + DEPTH, u, v);
        for (int i = 0; i < DEPTH; i++) {
            real token[HIGH], expert[ACROSS];
#pragma unroll
            for (int r = 0; r < HIGH; r++)
                token[r] = xs[i][row + 16 * r];
#pragma unroll
            for (int c = 0; c < ACROSS; c++)
                expert[c] = ws[i][column + 8 * c];
#pragma unroll
            for (int r = 0; r < HIGH; r++)
#pragma unroll
                for (int c = 0; c < ACROSS; c++)
                    MOTLEY__ADD_PRODUCT(sum[r][c], rest[r][c], token[r], expert[c]);
        }
    }
#pragma unroll
    for (int r = 0; r < HIGH; r++)
#pragma unroll
        for (int c = 0; c < ACROSS; c++)
            if (t + row + 16 * r < a.T && o + column + 8 * c < a.E)
                logits[(size_t)(t + row + 16 * r) * a.stride + o + column + 8 * c] = sum[r][c] + rest[r][c];
}
