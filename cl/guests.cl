/* Tokens of other nodes take their place behind the own ones.
 *
 *   guests   own pairs n < N       indices[n] = own_indices[n], weights[n] = own_weights[n]
 *            guest j < M, with the pairs q = first .. of its list
 *                                  indices[N + j K + i] = expert of pair first + i, weights likewise; at[first + i] =
 *                                  N + j K + i; the rest of its K places -1 and 0
 *
 * A guest has at most K pairs.  The list is of sections, one for each source (cl/encode.cl).  One work-item per own
 * pair, then one per guest.  Bytes: 16 N + 8 M K + 10 a pair.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "pairs.h"
#include "types.h"

/* source [2 (sources + 1)]: rows before each source's, then pairs before each source's. */
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
    const struct section s = section_at(source, source + a.sources + 1, section_of(source, a.sources, j));
    const size_t begins = s.begin + 2 * (size_t)(j - s.row), values = s.begin + 2 * (size_t)s.rows;
    const size_t experts = values + 2 * (size_t)s.pairs;
    const int first = get_word(list, begins), last = j + 1 < s.row + s.rows ? (int)get_word(list, begins + 2) : s.pairs;
    for (int i = 0; i < a.K; i++) {
        const int pair = first + i, there = pair < last;
        indices[place + i] = there ? list[experts + pair] : -1;
        weights[place + i] = there ? as_float(get_word(list, values + 2 * (size_t)pair)) : 0.0f;
        if (there)
            at[s.pair + pair] = place + i;
    }
}
