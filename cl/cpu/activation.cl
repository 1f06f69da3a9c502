/* Backward of the activation on a CPU, and the bias's part of the gate's gradient.
 *
 *   activation_backward   dw[p] = <u, h>;  u <- w u A'(pre);  h <- w h      rows of [P,F]; see src/product/activation.h
 *   dot_bias              dw[p] += <dy[row p], b2[e(p)]>
 *
 * Work-groups of one item, one row each; vectors, their lanes summed at the end in a fixed order.
 * Reads 2 (swiglu 3) and writes 2 (3) numbers an element: bound by memory.
 * pre, pre3, u, h and dy are stored as STORAGE (storage.h), weights, biases and dw as f32.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "cpu/stored.h"
#define REAL VECTOR
#include "nonlinear.h"

__kernel void activation_backward(struct motley__activation_args args, __global const float *weight,
                                  __global const STORED *pre, __global STORED *pre3, __global STORED *u,
                                  __global STORED *h, __global float *dw)
{
    int p = args.first + get_group_id(0);
    float w = weight[p];
    VECTOR dot = 0.0f;

    for (int f = 0; f < args.F; f += LANES) {
        size_t at = (size_t)p * args.F + f;
        int count = args.F - f;
        VECTOR x = stored_read(pre + at, count), du = stored_read(u + at, count);
        VECTOR value = nonlinear(x, args.activation), slope = nonlinear_slope(x, args.activation);
        VECTOR product = value, du_pre = w * du * slope;
        if (args.activation == MOTLEY__ACT_SWIGLU) {
            VECTOR x3 = stored_read(pre3 + at, count);
            product *= x3;
            du_pre *= x3;
            stored_write(w * du * value, pre3 + at, count);
        }
        dot += du * product;
        stored_write(du_pre, u + at, count);
        stored_write(w * product, h + at, count);
    }
    dw[p] = vector_sum(dot);
}

__kernel void dot_bias(struct motley__product_args args, __global const int *offsets, __global const int *index,
                       __global const STORED *own, __global const STORED *received, __global const float *bias,
                       __global float *dw)
{
    int p = get_group_id(0) + args.first_pair, expert = offsets ? ragged_expert_of(args, offsets, p) : 0;
    __global const STORED *row = ragged_row(p, index, own, received, args.own_rows, args.O);
    VECTOR dot = 0.0f;

    bias += (size_t)expert * args.O;
    for (int o = 0; o < args.O; o += LANES)
        dot += stored_read(row + o, args.O - o) * vector_read(bias + o, args.O - o);
    dw[p] += vector_sum(dot);
}
