/* Backward of the activation on any device, and the bias's part of the gate's gradient.
 *
 *   activation_backward   dw[p] = <u, h>;  u <- w u A'(pre);  h <- w h      rows of [P,F]; see src/product/activation.h
 *   dot_bias              dw[p] += <dy[row p], b2[e(p)]>
 *
 * One work-group a row, of any power-of-two size; its sums are added pairwise in a fixed order.
 * Reads 2 (swiglu 3) and writes 2 (3) numbers an element: bound by memory.
 * pre, pre3, u, h and dy are stored as STORAGE (storage.h), weights, biases and dw as f32; V (vector.h) is 1 or 4.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "vector.h"
#define REAL vec
#include "nonlinear.h"

/* One number after the other: of sums of two numbers LLVM makes shuffles with undefined places, which end Oclgrind. */
static inline float vector_total(vec x)
{
    float total = 0.0f;
#if V == 4
    total += x.s0;
    total += x.s1;
    total += x.s2;
    total += x.s3;
#else
    total += x;
#endif
    return total;
}

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
    int p = args.first + get_group_id(0);
    float w = weight[p];
    vec dot = 0.0f;

    pre += (size_t)p * args.F;
    u += (size_t)p * args.F;
    h += (size_t)p * args.F;
    if (args.activation == MOTLEY__ACT_SWIGLU)
        pre3 += (size_t)p * args.F;
    for (int c = get_local_id(0); c < args.F / V; c += get_local_size(0)) {
        vec x = LOAD(pre, c), du = LOAD(u, c);
        vec product = nonlinear(x, args.activation), du_pre = w * du * nonlinear_slope(x, args.activation);
        if (args.activation == MOTLEY__ACT_SWIGLU) {
            vec value = product, x3 = LOAD(pre3, c);
            product *= x3;
            du_pre *= x3;
            STORE(w * du * value, pre3, c);
        }
        dot += du * product;
        STORE(du_pre, u, c);
        STORE(w * product, h, c);
    }
    float sum = group_sum(vector_total(dot), part);
    if (get_local_id(0) == 0)
        dw[p] = sum;
}

__kernel void dot_bias(struct motley__product_args args, __global const int *offsets, __global const int *index,
                       __global const STORED *own, __global const STORED *received, __global const float *bias,
                       __global float *dw, __local float *part)
{
    int p = get_group_id(0) + args.first_pair, expert = offsets ? ragged_expert_of(args, offsets, p) : 0;
    __global const STORED *row = ragged_row(p, index, own, received, args.own_rows, args.O);
    float dot = 0.0f;

    bias += (size_t)expert * args.O;
    for (int o = get_local_id(0); o < args.O; o += get_local_size(0))
        dot += stored_get(row, (size_t)o) * bias[o];
    dot = group_sum(dot, part);
    if (get_local_id(0) == 0)
        dw[p] += dot;
}
