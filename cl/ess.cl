/* ESS on any device.
 *
 *   db[e,:] (+)= sum over p with e(p)=e of s[p] a[row p,:]              a [*,O] STORAGE, db [E,O]
 *
 * A work-group of ACROSS x DOWN items has ACROSS neighbouring vectors of V outputs of one expert: dimension 0 counts
 * vectors, dimension 1 experts, DOWN to each.  Item (i, j) adds every DOWN-th row from the j-th on, in ascending order;
 * then the DOWN sums are added in order.  Reads a once: bound by memory.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "vector.h"

#ifndef ACROSS
#define ACROSS 8
#endif
#ifndef DOWN
#define DOWN 32
#endif

__kernel __attribute__((reqd_work_group_size(ACROSS, DOWN, 1))) void
ess(struct motley__product_args args, __global const int *offsets, __global const int *index,
    __global const STORED *restrict own, __global const STORED *restrict received, __global const float *restrict scale,
    __global float *restrict db)
{
    __local float sums[DOWN][ACROSS * V] __attribute__((aligned(32)));
    const int i = get_local_id(0), j = get_local_id(1), c = get_global_id(0), vectors = args.O / V;
    const struct ragged_tile rows = ragged_rows(args, offsets, args.first + get_group_id(1));
    vec sum = (vec)0;

    if (c < vectors) {
#pragma unroll 8
        for (int p = rows.first + j; p < rows.first + rows.rows; p += DOWN)
            sum += (scale ? scale[p] : 1.0f) * LOAD(ragged_row(p, index, own, received, args.own_rows, args.O), c);
    }
    *(__local vec *)&sums[j][V * i] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (c >= vectors)
        return;
    for (int k = j; k < V; k += DOWN) {
        __global float *to = db + (size_t)rows.expert * args.O + (size_t)V * c + k;
        float total = sums[0][V * i + k];
        for (int n = 1; n < DOWN; n++)
            total += sums[n][V * i + k];
        *to = args.accumulate ? *to + total : total;
    }
}
