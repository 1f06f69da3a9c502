/* The gate's logits.
 *
 *   logits[t,e] = sum_i x[t,i] w[e,i]      x [T,D], w [E,D] in panels (src/layer/matrix.h), i ascending
 *
 * Two maps of the same sum, bit for bit the same result:
 *
 *   logits_tile    one work-item per group (CPUs): TOKENS tokens times `block` experts; x and w are widened
 *                       once into private tiles, products run in registers, SUB tokens by LANES experts.
 *   logits_group   8 x 8 work-items (GPUs): 32 tokens by 32 experts over __local tiles, 4 x 4 an item.
 *
 * Flops 2 T E D; bytes 4 (T D + groups E D + 2 T E).
 *
 * Tunables, by -D:
 *   PANEL                       panel width of w (default 1)
 *   LANES, SUB, TOKENS, CHUNK   the register and private tiles (defaults for 512-bit vectors)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "real.h"

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

/* Where element (o,i) of a matrix with I inputs lies. */
#define MOTLEY__AT(o, i, I) (((o) / PANEL * (I) + (i)) * PANEL + (o) % PANEL)

typedef MOTLEY__REALS(LANES) lanes;
#define LOAD_LANES MOTLEY__JOIN(vload, LANES)
#define STORE_LANES MOTLEY__JOIN(vstore, LANES)
#define WIDEN MOTLEY__JOIN(convert_, MOTLEY__REALS(LANES))

/* to[token / SUB][i][token % SUB] = x[token, i]; absent tokens are 0. */
static void stage_tokens(__global const float *x, int D, int tokens, int n, real *to)
{
    for (int t = 0; t < TOKENS; t++) {
        real *row = to + t / SUB * CHUNK * SUB + t % SUB;
        if (t < tokens)
            for (int i = 0; i < n; i++)
                row[i * SUB] = x[(size_t)t * D + i];
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
void logits_tile(const struct motley__gate_args a, __global const float *restrict x,
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

#define TILE 32  /* tokens, and experts, of a group */
#define DEPTH 16 /* inputs staged at once */

__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void logits_group(const struct motley__gate_args a, __global const float *restrict x,
                       __global const float *restrict w, __global real *restrict logits)
{
    __local real xs[DEPTH][TILE + 1], ws[DEPTH][TILE + 1];
    const int item = get_local_id(0), column = item % 8, row = item / 8;
    const int t = get_group_id(0) * TILE, o = get_group_id(1) * TILE;
    real sum[4][4] = {{0}}, rest[4][4] = {{0}};

    for (int i0 = 0; i0 < a.D; i0 += DEPTH) {
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int j = item; j < DEPTH * TILE; j += 64) {
            const int i = i0 + j % DEPTH, r = j / DEPTH;
            xs[j % DEPTH][r] = i < a.D && t + r < a.T ? x[(size_t)(t + r) * a.D + i] : 0;
#if PANEL == 1
            ws[j % DEPTH][r] = i < a.D && o + r < a.E ? w[MOTLEY__AT(o + r, i, a.D)] : 0;
#else
            const int c = j % TILE, k = j / TILE; /* neighbours in a panel are outputs */
            ws[k][c] = i0 + k < a.D && o + c < a.E ? w[MOTLEY__AT(o + c, i0 + k, a.D)] : 0;
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = 0; i < DEPTH; i++)
#pragma unroll
            for (int r = 0; r < 4; r++)
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    const real u = xs[i][row + 8 * r], v = ws[i][column + 8 * c];
                    MOTLEY__ADD_PRODUCT(sum[r][c], rest[r][c], u, v);
                }
    }
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            if (t + row + 8 * r < a.T && o + column + 8 * c < a.E)
                logits[(size_t)(t + row + 8 * r) * a.stride + o + column + 8 * c] = sum[r][c] + rest[r][c];
}
