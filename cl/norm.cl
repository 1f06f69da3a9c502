/* RMSNorm:  r[t] = 1 / sqrt(mean_i x[t,i]^2 + eps),   y[t,i] = x[t,i] r[t] w[i]
 *
 *   dx[t,i] = r w[i] dy[t,i] - x[t,i] r^3 / D sum_j w[j] dy[t,j] x[t,j]
 *   dw[i]   = sum_t dy[t,i] x[t,i] r[t]      in two steps: chunks of rows, then the chunks, both in order
 *
 * x, y, dx, dy [T,D] in the storage type; w [D], r [T], dw [D] f32.  One group of W work-items a row; a norm_gradient
 * work-item takes V columns of one chunk.  Bytes in f32: forward 8 T D, backward 12 T D (16 when it accumulates),
 * gradient 8 T D; memory bound everywhere.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "lanes.h"
#include "model.h"

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void norm_forward(const struct motley__norm_args a, __global const STORED *restrict x,
                  __global const float *restrict w, __global STORED *restrict y, __global float *restrict r)
{
    __local float part[W];
    const size_t t = get_group_id(0);
    const int begin = get_local_id(0) * V;
    x += t * a.D;
    y += t * a.D;

    vec square = 0.0f;
    for (int i = begin; i < a.D; i += W * V) {
        const vec xi = STORED_READ(x + i);
        square = fma(xi, xi, square);
    }
    const float scale = 1.0f / sqrt(lanes_sum(lanes_total(square), part) / a.D + a.eps);
    for (int i = begin; i < a.D; i += W * V)
        STORED_WRITE(STORED_READ(x + i) * scale * READ(w + i), y + i);
    if (begin == 0)
        r[t] = scale;
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void norm_backward(const struct motley__norm_args a, __global const STORED *restrict x,
                   __global const float *restrict w, __global const float *restrict r,
                   __global const STORED *restrict dy, __global STORED *restrict dx)
{
    __local float part[W];
    const size_t t = get_group_id(0);
    const int begin = get_local_id(0) * V;
    x += t * a.D;
    dy += t * a.D;
    dx += t * a.D;

    vec dot = 0.0f;
    for (int i = begin; i < a.D; i += W * V)
        dot = fma(READ(w + i) * STORED_READ(dy + i), STORED_READ(x + i), dot);
    const float scale = r[t];
    const float back = lanes_sum(lanes_total(dot), part) * scale * scale * scale / a.D;
    for (int i = begin; i < a.D; i += W * V) {
        vec d = READ(w + i) * STORED_READ(dy + i) * scale - STORED_READ(x + i) * back;
        if (a.accumulate)
            d += STORED_READ(dx + i);
        STORED_WRITE(d, dx + i);
    }
}

/* partial[c,:] = the sum over the rows of chunk c. */
__kernel void norm_gradient(const struct motley__norm_args a, __global const STORED *restrict x,
                            __global const float *restrict r, __global const STORED *restrict dy,
                            __global float *restrict partial)
{
    const int i = get_global_id(0) * V, c = get_global_id(1);
    if (i >= a.D || c >= a.chunks)
        return;
    const int end = min(a.T, (c + 1) * a.chunk);
    vec sum = 0.0f;
    for (int t = c * a.chunk; t < end; t++)
        sum = fma(STORED_READ(dy + (size_t)t * a.D + i), STORED_READ(x + (size_t)t * a.D + i) * r[t], sum);
    WRITE(sum, partial + (size_t)c * a.D + i);
}

__kernel void norm_gradient_sum(const struct motley__norm_args a, __global const float *restrict partial,
                                __global float *restrict dw)
{
    const int i = get_global_id(0) * V;
    if (i >= a.D)
        return;
    vec sum = 0.0f;
    for (int c = 0; c < a.chunks; c++)
        sum += READ(partial + (size_t)c * a.D + i);
    WRITE(sum, dw + i);
}
