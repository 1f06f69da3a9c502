/* ESS on any device.
 *
 *   db[e,:] (+)= sum over p with e(p)=e of s[p] a[row p,:]              a [*,O] STORAGE, db [E,O]
 *
 * One work-item an output of an expert: dimension 0 counts outputs, dimension 1 experts; rows in ascending order.
 * Reads a once: bound by memory.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "storage.h"

__kernel void ess(struct motley__product_args args, __global const int *offsets, __global const int *index,
                  __global const STORED *own, __global const STORED *received, __global const float *scale,
                  __global float *db)
{
    int o = get_global_id(0);
    struct ragged_tile rows = ragged_rows(args, offsets, args.first + get_global_id(1));
    float sum = 0.0f;

    if (o >= args.O)
        return;
    for (int p = rows.first; p < rows.first + rows.rows; p++)
        sum += (scale ? scale[p] : 1.0f) *
               stored_get(ragged_row(p, index, own, received, args.own_rows, args.O), (size_t)o);
    db += (size_t)rows.expert * args.O + o;
    *db = args.accumulate ? *db + sum : sum;
}
