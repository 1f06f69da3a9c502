/* Backward of the activation on any device, and the bias's part of the gate's gradient.
 *
 *   activation_backward   dw[p] = <u, h>;  u <- w u A'(pre);  h <- w h      rows of [P,F]; see src/layer/activation.h
 *   dot_bias              dw[p] += <dy[row p], b2[e(p)]>
 *
 * One work-group a row, of any power-of-two size; its sums are added pairwise in a fixed order.
 * Reads 2 (swiglu 3) and writes 2 (3) numbers an element: bound by memory.
 * pre, pre3, u, h and dy are stored as STORAGE (storage.h), weights, biases and dw as f32.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "storage.h"
#include "nonlinear.h"

/* The sum over the group; the same on every item.  part: one float an item. */
static inline float group_sum(float value, __local float *part)
{
    int item = get_local_id(0);
    part[item] = value;
    for (int span = get_local_size(0) / 2; span > 0; span /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < span)
            part[item] += part[item + span];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
}

__kernel void activation_backward(struct motley__activation_args args, __global const float *weight,
                                  __global const STORED *pre, __global STORED *pre3, __global STORED *u,
                                  __global STORED *h, __global float *dw, __local float *part)
{
    int p = get_group_id(0);
    float w = weight[p], dot = 0.0f;

    for (int f = get_local_id(0); f < args.F; f += get_local_size(0)) {
        size_t at = (size_t)p * args.F + f;
        float x = stored_get(pre, at), du = stored_get(u, at);
        float product = nonlinear(x, args.activation), du_pre = w * du * nonlinear_slope(x, args.activation);
        if (args.activation == MOTLEY__ACT_SWIGLU) {
            float value = product, x3 = stored_get(pre3, at);
            product *= x3;
            du_pre *= x3;
            stored_put(pre3, at, w * du * value);
        }
        dot += du * product;
        stored_put(u, at, du_pre);
        stored_put(h, at, w * product);
    }
    dot = group_sum(dot, part);
    if (get_local_id(0) == 0)
        dw[p] = dot;
}

__kernel void dot_bias(struct motley__product_args args, __global const int *offsets, __global const int *index,
                       __global const STORED *own, __global const STORED *received, __global const float *bias,
                       __global float *dw, __local float *part)
{
    int p = get_group_id(0), expert = offsets ? ragged_expert_of(args, offsets, p) : 0;
    __global const STORED *row = ragged_row(p, index, own, received, args.own_rows, args.O);
    float dot = 0.0f;

    bias += (size_t)expert * args.O;
    for (int o = get_local_id(0); o < args.O; o += get_local_size(0))
        dot += stored_get(row, (size_t)o) * bias[o];
    dot = group_sum(dot, part);
    if (get_local_id(0) == 0)
        dw[p] += dot;
}
