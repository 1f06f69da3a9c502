/* Tokens of other nodes take their place behind the own ones.
 *
 *   guests   own pairs n < N       indices[n] = own_indices[n], weights[n] = own_weights[n]
 *            guest j < M, with the pairs q = first .. of its list
 *                                  indices[N + j K + i] = a.first + expert of pair first + i, weights
 *                                  likewise; at[first + i] = N + j K + i; the rest of its K places -1 and 0
 *
 * A guest has at most K pairs.  The list is of sections, one for each source of each chunk (cl/encode.cl).  One
 * work-item per own pair, then one per guest.  Bytes: 16 N + 8 M K + 10 a pair.
 *
 *   staying  own[c] = pairs of own tokens, n < N, among those of chunk c that stay on the rank: the first ones of slot
 *            first + c step.  One work-item per chunk; its search takes the logarithm of their number.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "pairs.h"
#include "types.h"

/* source [2 (sections + 1)]: rows before each section's, then pairs before each section's. */
__kernel void guests(const struct motley__guests_args a, __global const int *restrict own_indices,
                     __global const float *restrict own_weights, __global const int *restrict source,
                     __global const ushort *restrict list, __global int *restrict indices,
                     __global float *restrict weights, __global int *restrict at)
{
    const int item = get_global_id(0), j = item - a.N;
    if (item < a.N) {
        indices[item] = own_indices[item];
        weights[item] = own_weights[item];
    }
    if (j < 0 || j >= a.M)
        return;
    const int place = a.N + j * a.K;
    const struct section s = section_at(source, source + a.sections + 1, section_of(source, a.sections, j));
    const size_t begins = s.begin + 2 * (size_t)(j - s.row), values = s.begin + 2 * (size_t)s.rows;
    const size_t experts = values + 2 * (size_t)s.pairs;
    const int first = get_word(list, begins), last = j + 1 < s.row + s.rows ? (int)get_word(list, begins + 2) : s.pairs;
    for (int i = 0; i < a.K; i++) {
        const int pair = first + i, there = pair < last;
        indices[place + i] = there ? a.first + list[experts + pair] : -1;
        weights[place + i] = there ? as_float(get_word(list, values + 2 * (size_t)pair)) : 0.0f;
        if (there)
            at[s.pair + pair] = place + i;
    }
}

/* order, offsets: pairs sorted by slot, each slot's in ascending order. */
__kernel void staying(const struct motley__staying_args a, __global const int *restrict order,
                      __global const int *restrict offsets, __global int *restrict own)
{
    const int c = get_global_id(0);
    if (c >= a.chunks)
        return;
    const int slot = a.first + c * a.step, begin = offsets[slot];
    int low = begin, high = offsets[slot + 1];
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (order[middle] < a.N)
            low = middle + 1;
        else
            high = middle;
    }
    own[c] = low - begin;
}
