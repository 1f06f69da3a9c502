/* What arrived becomes pairs for the local experts: lists are taken apart, and sorted pairs find their rows.
 *
 *   arrive   pairs are numbered own ones first, n < N, then received ones in the order they came, N + q:
 *              expert[n] = b E + indices[n], or -1
 *              expert[N + q] likewise, received[q] = weight, row[q] = j of every pair q of received row j
 *              begin[j] = first pair q of row j, begin[M] = all
 *            where b is the batch in which the pair is computed (src/layer/chunks.h)
 *            one work-item per own pair, then one per received row, which has at most K pairs
 *   place    by sorted position p, pair q = order[p]:
 *              own       index[p] = q / K,                     weight[p] = weights[q]
 *              received  index[p] = own_rows + row[q - N],     weight[p] = received[q - N]
 *            one work-item per position
 *
 * Between the two the pairs are sorted by batch and local expert (cl/route.cl): of one expert own pairs come first,
 * then those of each source in the order of ranks.  Sections of the list (cl/encode.cl) lie one after the other: of all
 * sources for the first chunk, then for the next.
 * Bytes: arrive 8 N + 22 a received pair, place 20 P.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "chunks.h"
#include "pairs.h"
#include "types.h"

/* The batch of pair n < N: with chunks, the first or the last; a guest's is its chunk's. */
static int own_batch(const struct motley__arrive_args a, uint n)
{
    const int token = n / (uint)a.K, chunk = chunk_of(a.chunks, token);
    if (a.chunks.count == 1)
        return 0;
    if (token >= a.chunks.own)
        return 1 + chunk;
    return chunk < a.chunks.count / 2 ? 0 : a.chunks.count + 1;
}

/* source [2 (sections + 1)]: rows before each section's, then pairs before each section's. */
__kernel void arrive(const struct motley__arrive_args a, __global const int *restrict indices,
                     __global const int *restrict source, __global const ushort *restrict list,
                     __global int *restrict expert, __global int *restrict begin, __global int *restrict row,
                     __global float *restrict received)
{
    const int item = get_global_id(0), j = item - a.N;
    if (item < a.N)
        expert[item] = indices[item] < 0 ? -1 : own_batch(a, item) * a.E + indices[item];
    if (j < 0 || j >= a.M)
        return;
    const int sections = a.chunks.count * a.sources, section = section_of(source, sections, j);
    const int batch = a.chunks.count == 1 ? 0 : 1 + section / a.sources;
    __global const int *pair_offsets = source + sections + 1;
    const struct section s = section_at(source, pair_offsets, section);
    const size_t words = s.begin + 2 * (size_t)(j - s.row), weights = s.begin + 2 * (size_t)s.rows;
    const size_t experts = weights + 2 * (size_t)s.pairs;
    const int first = get_word(list, words), last = j + 1 < s.row + s.rows ? (int)get_word(list, words + 2) : s.pairs;
    begin[j] = s.pair + first;
    if (j + 1 == a.M)
        begin[a.M] = s.pair + last;
    for (int i = first; i < last; i++) {
        expert[a.N + s.pair + i] = batch * a.E + list[experts + i];
        received[s.pair + i] = as_float(get_word(list, weights + 2 * (size_t)i));
        row[s.pair + i] = j;
    }
}

__kernel void place(const struct motley__place_args a, __global const int *restrict order,
                    __global const float *restrict weights, __global const int *restrict row,
                    __global const float *restrict received, __global int *restrict index,
                    __global float *restrict weight)
{
    const int p = get_global_id(0);
    if (p >= a.P)
        return;
    const int q = order[p], own = q < a.N;
    index[p] = own ? (int)((uint)q / (uint)a.K) : a.own_rows + row[q - a.N];
    weight[p] = own ? weights[q] : received[q - a.N];
}
