/* ESS on a CPU.
 *
 *   db[e,:] (+)= sum over p with e(p)=e of s[p] a[row p,:]              a [*,O], db [E,O]
 *
 * Work-groups of one item, each with four vectors of one expert's outputs, rows in ascending order.
 * a is stored as STORAGE, db as f32.  Reads a once: bound by memory.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "cpu/stored.h"

__kernel void ess(struct motley__product_args args, __global const int *offsets, __global const int *index,
                  __global const STORED *own, __global const STORED *received, __global const float *scale,
                  __global float *db)
{
    struct ragged_tile rows = ragged_rows(args, offsets, args.first + get_group_id(0));
    int o = get_group_id(1) * 4 * LANES, count = args.O - o;
    VECTOR sum0 = 0.0f, sum1 = 0.0f, sum2 = 0.0f, sum3 = 0.0f;

    for (int p = rows.first; p < rows.first + rows.rows; p++) {
        __global const STORED *row = ragged_row(p, index, own, received, args.own_rows, args.O) + o;
        VECTOR s = scale ? scale[p] : 1.0f;
        sum0 += s * stored_read(row, count);
        sum1 += s * stored_read(row + LANES, count - LANES);
        sum2 += s * stored_read(row + 2 * LANES, count - 2 * LANES);
        sum3 += s * stored_read(row + 3 * LANES, count - 3 * LANES);
    }
    db += (size_t)rows.expert * args.O + o;
    if (args.accumulate) {
        sum0 += vector_read(db, count);
        sum1 += vector_read(db + LANES, count - LANES);
        sum2 += vector_read(db + 2 * LANES, count - 2 * LANES);
        sum3 += vector_read(db + 3 * LANES, count - 3 * LANES);
    }
    vector_write(sum0, db, count);
    vector_write(sum1, db + LANES, count - LANES);
    vector_write(sum2, db + 2 * LANES, count - 2 * LANES);
    vector_write(sum3, db + 3 * LANES, count - 3 * LANES);
}
