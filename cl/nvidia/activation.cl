/* Backward of the activation on NVIDIA GPUs, storage bf16 or f16.
 *
 *   dw[p] = <u, h>;  u <- w u A'(pre);  h <- w h;  swiglu: pre3 <- w u A(pre)      rows of [P,F], see cl/activation.cl
 *
 * One work-group of ITEMS a row; an item takes 8 neighbouring numbers at a time, 16 bytes; F is a multiple of 8.  The
 * row's sum is added within each warp, then over the warps in order.
 * Reads 2 (swiglu 3) and writes 2 (3) numbers an element: bound by memory.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "nvidia/store.h"

#ifndef ITEMS
#define ITEMS 128
#endif
#define NATIVE
#include "nonlinear.h"

static inline float warp_sum(float value)
{
    for (int lanes = 16; lanes > 0; lanes /= 2)
        value += as_float(exchange(as_uint(value), lanes));
    return value;
}

/* Two numbers of a row: what goes into u, h and pre3, and their part of the sum. */
static inline float activation_pair(int activation, float w, uint pre, uint *pre3, uint *u, uint *h)
{
    const float2 x = (float2)(unpack(pre & 0xffff), unpack(pre >> 16));
    const float2 du = (float2)(unpack(*u & 0xffff), unpack(*u >> 16));
    float2 product = (float2)(nonlinear(x.x, activation), nonlinear(x.y, activation));
    float2 slope = (float2)(nonlinear_slope(x.x, activation), nonlinear_slope(x.y, activation));
    slope *= w * du;
    if (activation == MOTLEY__ACT_SWIGLU) {
        const float2 x3 = (float2)(unpack(*pre3 & 0xffff), unpack(*pre3 >> 16)), d3 = w * du * product;
        *pre3 = pack(d3.x, d3.y);
        product *= x3;
        slope *= x3;
    }
    *u = pack(slope.x, slope.y);
    *h = pack(w * product.x, w * product.y);
    return du.x * product.x + du.y * product.y;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
activation_backward(struct motley__activation_args args, __global const float *weight, __global const uint4 *pre,
                    __global uint4 *pre3, __global uint4 *u, __global uint4 *h, __global float *dw)
{
    __local float part[ITEMS / 32];
    const int p = args.first + get_group_id(0), chunks = args.F / 8, item = get_local_id(0);
    const size_t row = (size_t)p * chunks;
    const float w = weight[p];
    float dot = 0.0f;

    for (int c = item; c < chunks; c += ITEMS) {
        uint4 x = pre[row + c], x3 = (uint4)0, du = u[row + c], product;
        if (ACTIVATION == MOTLEY__ACT_SWIGLU)
            x3 = pre3[row + c];
        uint d[4] = {du.x, du.y, du.z, du.w}, y3[4] = {x3.x, x3.y, x3.z, x3.w}, y[4];
        const uint xs[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
        for (int i = 0; i < 4; i++)
            dot += activation_pair(ACTIVATION, w, xs[i], &y3[i], &d[i], &y[i]);
        product = (uint4)(y[0], y[1], y[2], y[3]);
        u[row + c] = (uint4)(d[0], d[1], d[2], d[3]);
        h[row + c] = product;
        if (ACTIVATION == MOTLEY__ACT_SWIGLU)
            pre3[row + c] = (uint4)(y3[0], y3[1], y3[2], y3[3]);
    }
    dot = warp_sum(dot);
    if (!(item & 31))
        part[item >> 5] = dot;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item == 0) {
        for (int warp = 1; warp < ITEMS / 32; warp++)
            dot += part[warp];
        dw[p] = dot;
    }
}
