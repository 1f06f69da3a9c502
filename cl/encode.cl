/* Laying out what leaves for other ranks: each token once for every group of ranks that serves one of its experts.
 *
 *   heads         slots[n] = the slot of group g = server[indices[n]] and the chunk of token n / K; -1: left out
 *                 heads[n] = slots[n] when g is sent to and pair n is its token's first for it; else -1
 *                                                                                    one work-item per pair, K loads
 *   choices       choices[n] = E (1 + t % lots) + indices[n], t = n / K; -1 stays     one work-item per pair
 *   encode        send[j,:] = x[t, :], t = order[j] / K, or rest[t - own, :] from t = own on
 *   widen         x[j,:] = wire[j,:]
 *   encode_pairs  the list of the pairs that go along, one section for each slot       one work-item per pair
 *
 * Slots of groups that are sent to come chunk by chunk, those of the others behind them (src/layer/chunks.h).
 *
 * x [T,D] in the storage type, order [rows] the heads sorted by slot; send, wire [rows,D] in the wire's.  Work-items of
 * encode and widen: dimension 0 shares the columns of a row, V numbers at a time; dimension 1 has `per_item`
 * neighbouring rows each.  Bytes 8 rows D in f32; no arithmetic: the bound is the memory.
 *
 * A section of the list is of 2-byte units, sections of slots before it take 2 rows + 3 pairs units:
 *
 *   | begin of row 0, 1, ... (2 units each) | weight of pair 0, 1, ... (2) | expert of pair 0, 1, ... (1) |
 *
 * where `begin` is the first pair of a row, counted within the section.  Bytes read 24, written 6 a pair and 4 a row.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "chunks.h"
#include "pairs.h"
#include "types.h"
#include "vector.h"

static int slot_of(const struct motley__heads_args a, uint token, int group)
{
    const int chunk = chunk_of(a.chunks, token);
    if (group < a.sent)
        return chunk * a.sent + group;
    return a.chunks.count * a.sent + chunk * (a.groups - a.sent) + group - a.sent;
}

__kernel void heads(const struct motley__heads_args a, __global const int *restrict indices,
                    __global const int *restrict server, __global int *restrict slots, __global int *restrict heads)
{
    const int n = get_global_id(0);
    if (n >= a.N)
        return;
    const uint token = (uint)n / (uint)a.K;
    const int e = indices[n], group = e >= 0 ? server[e] : -1, slot = group >= 0 ? slot_of(a, token, group) : -1;
    int head = group < a.sent ? slot : -1;
    for (int j = token * (uint)a.K; j < n && head >= 0 && !a.every; j++)
        if (indices[j] >= 0 && server[indices[j]] == group)
            head = -1;
    slots[n] = slot;
    heads[n] = head;
}

__kernel void choices(const struct motley__choices_args a, __global const int *restrict indices,
                      __global int *restrict choices)
{
    const int n = get_global_id(0);
    if (n >= a.N)
        return;
    const int e = indices[n], lot = (int)((uint)n / (uint)a.K % (uint)a.lots);
    choices[n] = e < 0 ? -1 : a.E * (1 + lot) + e;
}

__kernel void encode(const struct motley__encode_args a, __global const STORED *restrict x,
                     __global const STORED *restrict rest, __global const int *restrict order,
                     __global STORED_TYPE(WIRE) *restrict send)
{
    const int first = get_global_id(1) * a.per_item, last = min(first + a.per_item, a.rows);
    for (int j = a.first + first; j < a.first + last; j++) {
        const int t = order[j] / a.K;
        __global const STORED *from = t < a.own ? x + (size_t)t * a.D : rest + (size_t)(t - a.own) * a.D;
        __global STORED_TYPE(WIRE) *to = send + (size_t)j * a.D;
        for (int c = get_global_id(0); c < a.D / V; c += get_global_size(0))
#if WIRE == STORAGE
            MOVE(from, to, c);
#else
            STORE_AS(WIRE, LOAD(from, c), to, c);
#endif
    }
}

__kernel void widen(const struct motley__widen_args a, __global const STORED_TYPE(WIRE) *restrict wire,
                    __global STORED *restrict x)
{
    const int first = get_global_id(1) * a.per_item, last = min(first + a.per_item, a.rows);
    for (int j = a.first + first; j < a.first + last; j++) {
        __global const STORED_TYPE(WIRE) *from = wire + (size_t)j * a.D;
        __global STORED *to = x + (size_t)j * a.D;
        for (int c = get_global_id(0); c < a.D / V; c += get_global_size(0))
            STORE(LOAD_AS(WIRE, from, c), to, c);
    }
}

/* name: the number that goes for each index, or NULL; order, pair_offsets: all pairs sorted by slot; row, row_offsets:
 * where each head's row is in the send buffer. */
__kernel void encode_pairs(const struct motley__encode_pairs_args a, __global const int *restrict indices,
                           __global const int *restrict name, __global const float *restrict weights,
                           __global const int *restrict slots, __global const int *restrict order,
                           __global const int *restrict pair_offsets,
                           __global const int *restrict row, __global const int *restrict row_offsets,
                           __global ushort *restrict list)
{
    const int i = get_global_id(0);
    if (i >= a.pairs)
        return;
    const int n = order[i];
    const struct section s = section_at(row_offsets, pair_offsets, slots[n]);
    put_word(list, s.begin + 2 * (size_t)(s.rows + i - s.pair), as_uint(weights[n]));
    list[s.begin + 2 * (size_t)(s.rows + s.pairs) + (i - s.pair)] = name ? name[indices[n]] : indices[n];
    if (row[n] >= 0)
        put_word(list, s.begin + 2 * (size_t)(row[n] - s.row), i - s.pair);
}
