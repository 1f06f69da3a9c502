/* Causal attention of H query heads over H/shared key heads, and its gradient, without a matrix of S x S in memory:
 *
 *   p[i,j] = exp(scale q[i].k[j] - lse[i]) for j <= past + i, else 0;     out[i] = sum_j p[i,j] v[j]
 *   delta[i] = dout[i].out[i];    ds[i,j] = p[i,j] (dout[i].v[j] - delta[i])
 *   dq[i] = scale sum_j ds[i,j] k[j];    dk[j] = scale sum_i ds[i,j] q[i];    dv[j] = sum_i p[i,j] dout[i]
 *
 * q, out, dout, dq [B*S, H, HD];  k, v, dk, dv [B*(past+S), H/shared, HD]: in the storage type
 * lse, delta [B, H, stride], and xt, x transposed: f32
 * xt is [B, heads, HD, stride]: a product with it yields whole vectors of neighbouring columns, with no sum across a
 * vector, and what many work-items read is widened once.  Columns beyond the last row are read but never used; stride
 * leaves room for that.
 *
 * A work-item computes ROWS rows of one head of one sequence, over tiles of TILE columns; sums ascend, no atomics.
 * Rows beyond the last one repeat it and are not stored.
 *
 *   HD    head dimension          V     floats of a vector, divides HD          ROWS  4..8 on CPUs, 1 on GPUs
 *   TILE  columns of a tile, a multiple of 2 V
 *
 * Flops of a sequence (half of the S x S pairs): forward 2 S^2 H HD, backward 5 S^2 H HD.  Reached with S = 256 by a
 * core of an AVX-512 server CPU that can do 97 GFLOP/s: forward 36 (HD = 32) and 47 (HD = 64), backward 30 and 37.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "lanes.h"
#include "model.h"

#if HD % (2 * V) == 0
#define WIDE 2 /* vectors of a row that sums are kept of at once */
#else
#define WIDE 1
#endif

/* out [heads, HD, stride] from x [S, heads, HD] of each sequence; a work-item moves COLUMNS rows of one head. */
#ifndef COLUMNS
#define COLUMNS 1
#endif
__kernel void attention_transpose(const struct motley__transpose_args a, __global const STORED *restrict x,
                                  __global float *restrict xt)
{
    const int begin = get_global_id(0) * COLUMNS, head = get_global_id(1);
    const size_t b = get_global_id(2);
    if (begin >= a.S)
        return;
    const int end = min(begin + COLUMNS, a.S), width = a.heads * HD;
    x += b * a.S * width + head * HD;
    xt += (b * a.heads + head) * HD * a.stride + a.past;
    for (int d = 0; d < HD; d++)
        for (int t = begin; t < end; t++)
            xt[(size_t)d * a.stride + t] = stored_get(x, (size_t)t * width + d);
}

/* rows [ROWS,HD] = scale x[begin ..], the last row repeated. */
static void attention_load(__global const STORED *restrict x, int begin, int rows, int width, float scale,
                           float *restrict y)
{
    for (int r = 0; r < ROWS; r++)
        for (int d = 0; d < HD; d += V)
            WRITE(STORED_READ(x + (size_t)min(begin + r, rows - 1) * width + d) * scale, y + r * HD + d);
}

static void attention_store(__global STORED *restrict x, int begin, int rows, int width, float scale,
                            const float *restrict y)
{
    for (int r = 0; r < ROWS && begin + r < rows; r++)
        for (int d = 0; d < HD; d += V)
            STORED_WRITE(READ(y + r * HD + d) * scale, x + (size_t)(begin + r) * width + d);
}

/* s [ROWS,TILE] = a [ROWS,HD] . bt [HD,stride], `count` columns rounded up to 2 V. */
static inline void attention_product(const float *restrict a, __global const float *restrict bt, int stride, int count,
                                     float *restrict s)
{
    for (int c = 0; c < count; c += 2 * V) {
        vec sum[ROWS][2];
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            sum[r][0] = sum[r][1] = 0.0f;
        for (int d = 0; d < HD; d++) {
            const vec b0 = READ(bt + (size_t)d * stride + c), b1 = READ(bt + (size_t)d * stride + c + V);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                sum[r][0] = fma((vec)a[r * HD + d], b0, sum[r][0]);
                sum[r][1] = fma((vec)a[r * HD + d], b1, sum[r][1]);
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            WRITE(sum[r][0], s + r * TILE + c);
            WRITE(sum[r][1], s + r * TILE + c + V);
        }
    }
}

/* y [ROWS,HD] += s [ROWS, first `count` of TILE] . x, count rows of `width` numbers. */
static inline void attention_accumulate(const float *restrict s, int count, __global const STORED *restrict x,
                                        int width, float *restrict y)
{
    for (int d = 0; d < HD; d += WIDE * V) {
        vec sum[ROWS][WIDE];
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int n = 0; n < WIDE; n++)
                sum[r][n] = READ(y + r * HD + d + n * V);
        for (int j = 0; j < count; j++) {
            vec xj[WIDE];
#pragma unroll
            for (int n = 0; n < WIDE; n++)
                xj[n] = STORED_READ(x + (size_t)j * width + d + n * V);
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int n = 0; n < WIDE; n++)
                    sum[r][n] = fma((vec)s[r * TILE + j], xj[n], sum[r][n]);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int n = 0; n < WIDE; n++)
                WRITE(sum[r][n], y + r * HD + d + n * V);
    }
}

/* One row of scores becomes exp(s - most), most being raised first where needed; columns beyond `visible` become 0.
 * Returns the factor by which what was summed before must shrink. */
static inline float attention_softmax(float *restrict s, int count, int visible, float *most, float *sum)
{
    vec top = -INFINITY, total = 0.0f;
    for (int c = 0; c < count; c += V) {
        const vec x = select((vec)-INFINITY, READ(s + c), INDEX + c < (ivec)visible);
        WRITE(x, s + c);
        top = fmax(top, x);
    }
    const float before = *most, now = fmax(before, lanes_largest(top));
    for (int c = 0; c < count; c += V) {
        const vec x = exp(READ(s + c) - now);
        WRITE(x, s + c);
        total += x;
    }
    const float shrink = exp(before - now);
    *most = now;
    *sum = fma(*sum, shrink, lanes_total(total));
    return shrink;
}

__kernel void attention_forward(const struct motley__attention_args a, __global const STORED *restrict q,
                                __global const float *restrict kt, __global const STORED *restrict v,
                                __global STORED *restrict out, __global float *restrict lse)
{
    const int begin = get_global_id(0) * ROWS, head = get_global_id(1);
    const size_t b = get_global_id(2);
    if (begin >= a.S)
        return;
    const int width = a.heads * HD, key_heads = a.heads / a.shared, key_width = key_heads * HD;
    q += b * a.S * width + head * HD;
    out += b * a.S * width + head * HD;
    lse += (b * a.heads + head) * a.stride;
    kt += (b * key_heads + head / a.shared) * HD * a.stride;
    v += b * (a.past + a.S) * key_width + head / a.shared * HD;

    float rows[ROWS * HD], y[ROWS * HD], s[ROWS * TILE], most[ROWS], sum[ROWS];
    attention_load(q, begin, a.S, width, a.scale, rows);
    for (int i = 0; i < ROWS * HD; i++)
        y[i] = 0.0f;
    for (int r = 0; r < ROWS; r++) {
        most[r] = -INFINITY;
        sum[r] = 0.0f;
    }
    const int keys = a.past + min(begin + ROWS, a.S);
    for (int j = 0; j < keys; j += TILE) {
        const int count = min(TILE, keys - j);
        attention_product(rows, kt + j, a.stride, count, s);
        for (int r = 0; r < ROWS; r++) {
            const int visible = a.past + min(begin + r, a.S - 1) + 1 - j;
            const float shrink = attention_softmax(s + r * TILE, count, visible, &most[r], &sum[r]);
            for (int d = 0; d < HD; d += V)
                WRITE(READ(y + r * HD + d) * shrink, y + r * HD + d);
        }
        attention_accumulate(s, count, v + (size_t)j * key_width, key_width, y);
    }
    for (int r = 0; r < ROWS; r++) {
        for (int d = 0; d < HD; d += V)
            WRITE(READ(y + r * HD + d) / sum[r], y + r * HD + d);
        if (begin + r < a.S)
            lse[begin + r] = most[r] + log(sum[r]);
    }
    attention_store(out, begin, a.S, width, 1.0f, y);
}

/* dq and delta; rows are queries.  past is 0. */
__kernel void attention_backward_queries(const struct motley__attention_args a, __global const STORED *restrict q,
                                         __global const STORED *restrict k, __global const float *restrict kt,
                                         __global const float *restrict vt, __global const STORED *restrict out,
                                         __global const STORED *restrict dout, __global const float *restrict lse,
                                         __global float *restrict delta, __global STORED *restrict dq)
{
    const int begin = get_global_id(0) * ROWS, head = get_global_id(1);
    const size_t b = get_global_id(2);
    if (begin >= a.S)
        return;
    const int width = a.heads * HD, key_heads = a.heads / a.shared, key_width = key_heads * HD;
    const size_t query = b * a.S * width + head * HD, key = b * a.S * key_width + head / a.shared * HD;
    const size_t transposed = (b * key_heads + head / a.shared) * HD * a.stride, line = (b * a.heads + head) * a.stride;

    float rows[ROWS * HD], drows[ROWS * HD], y[ROWS * HD], s[ROWS * TILE], ds[ROWS * TILE], dot[ROWS];
    attention_load(q + query, begin, a.S, width, a.scale, rows);
    attention_load(out + query, begin, a.S, width, 1.0f, y);
    attention_load(dout + query, begin, a.S, width, 1.0f, drows);
    for (int r = 0; r < ROWS; r++) {
        vec sum = 0.0f;
        for (int d = 0; d < HD; d += V)
            sum = fma(READ(y + r * HD + d), READ(drows + r * HD + d), sum);
        dot[r] = lanes_total(sum);
        if (begin + r < a.S)
            delta[line + begin + r] = dot[r];
    }
    for (int i = 0; i < ROWS * HD; i++)
        y[i] = 0.0f;
    const int keys = min(begin + ROWS, a.S);
    for (int j = 0; j < keys; j += TILE) {
        const int count = min(TILE, keys - j);
        attention_product(rows, kt + transposed + j, a.stride, count, s);
        attention_product(drows, vt + transposed + j, a.stride, count, ds);
        for (int r = 0; r < ROWS; r++) {
            const int i = min(begin + r, a.S - 1);
            const float less = lse[line + i];
            for (int c = 0; c < count; c += V) {
                const vec p = exp(READ(s + r * TILE + c) - less);
                const vec g = p * (READ(ds + r * TILE + c) - dot[r]);
                WRITE(select((vec)0.0f, g, INDEX + (j + c) <= (ivec)i), ds + r * TILE + c);
            }
        }
        attention_accumulate(ds, count, k + key + (size_t)j * key_width, key_width, y);
    }
    attention_store(dq + query, begin, a.S, width, a.scale, y);
}

/* dk and dv; rows are keys, columns the queries that see them, of all query heads that share them.  past is 0. */
__kernel void attention_backward_keys(const struct motley__attention_args a, __global const STORED *restrict k,
                                      __global const STORED *restrict v, __global const STORED *restrict q,
                                      __global const STORED *restrict dout, __global const float *restrict qt,
                                      __global const float *restrict dot, __global const float *restrict lse,
                                      __global const float *restrict delta, __global STORED *restrict dk,
                                      __global STORED *restrict dv)
{
    const int begin = get_global_id(0) * ROWS, key_head = get_global_id(1);
    const size_t b = get_global_id(2);
    if (begin >= a.S)
        return;
    const int width = a.heads * HD, key_width = a.heads / a.shared * HD;
    const size_t key = b * a.S * key_width + key_head * HD;

    float krows[ROWS * HD], vrows[ROWS * HD], dkrows[ROWS * HD], dvrows[ROWS * HD], p[ROWS * TILE], ds[ROWS * TILE];
    attention_load(k + key, begin, a.S, key_width, a.scale, krows);
    attention_load(v + key, begin, a.S, key_width, 1.0f, vrows);
    for (int i = 0; i < ROWS * HD; i++)
        dkrows[i] = dvrows[i] = 0.0f;
    for (int head = key_head * a.shared; head < (key_head + 1) * a.shared; head++) {
        const size_t query = b * a.S * width + head * HD, line = (b * a.heads + head) * a.stride;
        for (int i = begin; i < a.S; i += TILE) {
            const int count = min(TILE, a.S - i);
            attention_product(krows, qt + line * HD + i, a.stride, count, p);
            attention_product(vrows, dot + line * HD + i, a.stride, count, ds);
            for (int r = 0; r < ROWS; r++)
                for (int c = 0; c < count; c += V) {
                    vec x = exp(READ(p + r * TILE + c) - READ(lse + line + i + c));
                    x = select((vec)0.0f, x, INDEX + (i + c) >= (ivec)min(begin + r, a.S - 1));
                    WRITE(x, p + r * TILE + c);
                    WRITE(x * (READ(ds + r * TILE + c) - READ(delta + line + i + c)), ds + r * TILE + c);
                }
            attention_accumulate(p, count, dout + query + (size_t)i * width, width, dvrows);
            attention_accumulate(ds, count, q + query + (size_t)i * width, width, dkrows);
        }
    }
    attention_store(dk + key, begin, a.S, key_width, a.scale, dkrows);
    attention_store(dv + key, begin, a.S, key_width, 1.0f, dvrows);
}
