/* Gathering the rows that leave for other ranks.
 *
 *   send[j,:] = x[order[i] / K, :],   i = j before own_begin, j + (own_end - own_begin) from there
 *   send_weights[j] = weights[order[i]]                            when given
 *
 * x [T,D], order [N], send [rows,D].  Work-items: dimension 0 shares the columns of a row, V numbers at a time;
 * dimension 1 has `per_item` neighbouring rows each.  Bytes 8 rows D in f32; no arithmetic: the bound is the memory.
 * Measured over 1 GiB of rows: 4.1 TB/s on an H200 (of 4.8); 45 GB/s on 2 cores over 128 MiB.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "vector.h"

__kernel void encode(const struct motley__encode_args a, __global const STORED *restrict x,
                     __global const float *restrict weights, __global const int *restrict order,
                     __global STORED *restrict send, __global float *restrict send_weights)
{
    const int first = get_global_id(1) * a.per_item, last = min(first + a.per_item, a.rows);
    for (int j = first; j < last; j++) {
        const int pair = order[j < a.own_begin ? j : j + a.own_end - a.own_begin];
        __global const STORED *from = x + (size_t)(pair / a.K) * a.D;
        __global STORED *to = send + (size_t)j * a.D;
        for (int c = get_global_id(0); c < a.D / V; c += get_global_size(0))
            MOVE(from, to, c);
        if (send_weights && get_global_id(0) == 0)
            send_weights[j] = weights[pair];
    }
}
