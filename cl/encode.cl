/* Laying out what leaves for other ranks: each token once for every group of ranks that serves one of its experts.
 *
 *   heads         heads[n] = g when pair n is its token's first for group g, and g is sent to; else -1
 *                 g = server[indices[n]]                                             one work-item per pair, K loads
 *   encode        send[j,:] = x[order[j] / K, :]
 *   encode_pairs  the list of the pairs that go along, one section for each group      one work-item per pair
 *
 * x [T,D], order [rows] the heads sorted by group, send [rows,D].  Work-items of encode: dimension 0 shares the columns
 * of a row, V numbers at a time; dimension 1 has `per_item` neighbouring rows each.  Bytes 8 rows D in f32; no
 * arithmetic: the bound is the memory.
 *
 * A section of the list is of 2-byte units, sections of groups before it take 2 rows + 3 pairs units:
 *
 *   | begin of row 0, 1, ... (2 units each) | weight of pair 0, 1, ... (2) | expert of pair 0, 1, ... (1) |
 *
 * where `begin` is the first pair of a row, counted within the section.  Bytes read 24, written 6 a pair and 4 a row.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "pairs.h"
#include "types.h"
#include "vector.h"

__kernel void heads(const struct motley__heads_args a, __global const int *restrict indices,
                    __global const int *restrict server, __global int *restrict heads)
{
    const int n = get_global_id(0);
    if (n >= a.N)
        return;
    const int e = indices[n], first = n - (int)((uint)n % (uint)a.K);
    int group = e >= 0 ? server[e] : -1;
    if (group >= a.sent)
        group = -1;
    for (int j = first; j < n && group >= 0; j++)
        if (indices[j] >= 0 && server[indices[j]] == group)
            group = -1;
    heads[n] = group;
}

__kernel void encode(const struct motley__encode_args a, __global const STORED *restrict x,
                     __global const int *restrict order, __global STORED *restrict send)
{
    const int first = get_global_id(1) * a.per_item, last = min(first + a.per_item, a.rows);
    for (int j = first; j < last; j++) {
        __global const STORED *from = x + (size_t)(order[j] / a.K) * a.D;
        __global STORED *to = send + (size_t)j * a.D;
        for (int c = get_global_id(0); c < a.D / V; c += get_global_size(0))
            MOVE(from, to, c);
    }
}

/* order, pair_offsets: all pairs sorted by group; row, row_offsets: where each head's row is in the send buffer. */
__kernel void encode_pairs(const struct motley__encode_pairs_args a, __global const int *restrict indices,
                           __global const float *restrict weights, __global const int *restrict server,
                           __global const int *restrict order, __global const int *restrict pair_offsets,
                           __global const int *restrict row, __global const int *restrict row_offsets,
                           __global ushort *restrict list)
{
    const int i = get_global_id(0);
    if (i >= a.pairs)
        return;
    const int n = order[i], e = indices[n], g = server[e];
    const struct section s = section_at(row_offsets, pair_offsets, g);
    put_word(list, s.begin + 2 * (size_t)(s.rows + i - s.pair), as_uint(weights[n]));
    list[s.begin + 2 * (size_t)(s.rows + s.pairs) + (i - s.pair)] = e;
    if (row[n] >= 0)
        put_word(list, s.begin + 2 * (size_t)(row[n] - s.row), i - s.pair);
}
