/* Where each pair's row is: the receiver's re-index from segments of equal (source, expert).
 *
 *   own segment       pair p has sorted position i = from + (p - pair):
 *                     index[p] = order[i] / K,  weight[p] = weights[order[i]],  pair_own[i - own_begin] = p
 *   received segment  pair p has received row j = from + (p - pair):
 *                     index[p] = own_rows + j,  weight[p] = received_weights[j],  pair_received[j] = p
 *     no segments       i = p for all pairs
 *
 * The pairs, not the segments, are shared among groups, so that a few long segments or many short ones take the
 * same time: a group has an equal run of pairs, each item finds its first pair's segment by bisection and walks
 * on from there, W pairs a step.  Bytes about 20 P.  Measured at P = 131072: 0.008 ms on an H200; at 16384: 0.05 ms
 * on 2 cores.
 *
 *   W   work-items of a group: 1 on CPUs (default), 256 on GPUs
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"

#ifndef W
#define W 1
#endif

/* The last segment that begins at or before p: segments are sorted, so an empty one is never it unless p lies
 * beyond all pairs. */
static int segment_of(__global const struct motley__segment *segment, int segments, int p)
{
    int low = 0, high = segments;
    while (high - low > 1) {
        const int middle = low + (high - low) / 2;
        if (segment[middle].pair <= p)
            low = middle;
        else
            high = middle;
    }
    return low;
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void place(const struct motley__place_args a, __global const struct motley__segment *restrict segment,
           __global const int *restrict order, __global const float *restrict weights,
           __global const float *restrict received_weights, __global int *restrict index,
           __global float *restrict weight, __global int *restrict pair_own, __global int *restrict pair_received)
{
    const int segments = a.segments;
    const int P = segments ? segment[segments - 1].pair + segment[segments - 1].count : a.own_pairs;
    const int share = ((uint)P + (uint)get_num_groups(0) - 1) / (uint)get_num_groups(0);
    const int first = (int)min((long)get_group_id(0) * share, (long)P), last = first + min(share, P - first);

    int p = first + get_local_id(0);
    if (p >= last)
        return;
    int s = segments ? segment_of(segment, segments, p) : 0;
    for (; p < last; p += W) {
        while (segments && p >= segment[s].pair + segment[s].count)
            s++;
        const int at = segments ? segment[s].from + p - segment[s].pair : p;
        if (!segments || segment[s].own) {
            const int pair = order[at];
            index[p] = pair / a.K;
            weight[p] = weights[pair];
            pair_own[at - a.own_begin] = p;
        } else {
            index[p] = a.own_rows + at;
            weight[p] = received_weights[at];
            pair_received[at] = p;
        }
    }
}
