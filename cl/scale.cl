/* Weights before the experts: rows are multiplied by their routing weight on the way in.
 *
 *   scale_rows            scaled[p,:] = weight[p] x[row p,:];  ones[p] = 1
 *   scale_rows_backward   dw[p] = <x[row p,:], dx[p,:]>;  dx[p,:] <- weight[p] dx[p,:]
 *
 * Rows are found as src/product/rows.h says; scaled, dx [P,D] and x in the storage type, weight and dw f32, sums f32.
 * One group of W items for a pair.  Bytes 2 P D elements in, backward 3 P D: the memory is the bound.
 *
 *   W         work-items of a group, a power of two: 1 on CPUs (default), 64 on GPUs
 *   STORAGE   of rows (storage.h)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "storage.h"
#include "real.h"

#ifndef W
#define W 1
#endif
#include "reduce.h"

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void scale_rows(const struct motley__scale_args a, __global const int *index, __global const STORED *own,
                __global const STORED *received, __global const float *weight, __global STORED *scaled,
                __global float *ones)
{
    const int p = a.first + (int)get_group_id(0);
    __global const STORED *row = ragged_row(p, index, own, received, a.own_rows, a.D);
    scaled += (size_t)p * a.D;
    for (int d = get_local_id(0); d < a.D; d += W)
        stored_put(scaled, d, weight[p] * stored_get(row, d));
    if (get_local_id(0) == 0)
        ones[p] = 1;
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void scale_rows_backward(const struct motley__scale_args a, __global const int *index, __global const STORED *own,
                         __global const STORED *received, __global const float *weight, __global STORED *dx,
                         __global float *dw, __local real *part)
{
    const int p = a.first + (int)get_group_id(0);
    __global const STORED *row = ragged_row(p, index, own, received, a.own_rows, a.D);
    real dot = 0;
    dx += (size_t)p * a.D;
    for (int d = get_local_id(0); d < a.D; d += W) {
        const float slope = stored_get(dx, d);
        dot += stored_get(row, d) * slope;
        stored_put(dx, d, weight[p] * slope);
    }
    dot = reduce_sum(dot, part);
    if (get_local_id(0) == 0)
        dw[p] = dot;
}
