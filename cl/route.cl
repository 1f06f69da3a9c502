/* The re-index: a stable counting sort of routed pairs by slot.
 *
 *   route_count   counts[c][s] = pairs of chunk c in slot s                          group: one chunk
 *   route_scan    counts[c][s] becomes the pairs of slot s in chunks before c; offsets [slots+1]     one group
 *   route_place   order[offsets[s] + ...] = pair, in ascending order of pairs        group: one chunk
 *   route_once    all three where there are few pairs                                one group
 *
 * A group walks its chunk W pairs at a time.  Among those W, a pair's rank is the number of earlier ones in
 * its slot, and the last of a slot moves the slot's counter on: no atomics, and the order is the pairs' own.
 * With W = 1 this is the plain sequential counting sort.  A pair whose index is outside 0..E-1, or whose
 * index has slot -1, is left out: it is in no slot and its `where` is -1.
 *
 * Bytes 4 (5 N + 4 chunks slots); W N comparisons where W > 1.  Three launches are most of its time; few pairs take
 * one.
 *
 *   W   work-items of a group: 1 on CPUs (default), 128 on GPUs
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"

#ifndef W
#define W 1
#endif

/* The slot of a pair, -1 when it has none.  Without a table an index is its own slot. */
static int slot_of(const struct motley__route_args a, __global const int *indices, __global const int *slot, int pair,
                   int end)
{
    const int e = pair < end ? indices[pair] : -1;
    if (e < 0 || e >= a.E)
        return -1;
    return slot ? slot[e] : e;
}

/* Take the next W pairs of a chunk: the position of this item's pair in its slot by `running` [slots], which moves
 * on.  seen [W] is scratch.  All items of the group call it. */
static int take(int mine, __local int *running, __local int *seen)
{
#if W == 1
    return mine < 0 ? -1 : running[mine]++;
#else
    const int item = get_local_id(0);
    seen[item] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    int before = 0, after = 0, position = -1;
    for (int i = 0; i < W; i++) {
        before += i < item && seen[i] == mine;
        after += i > item && seen[i] == mine;
    }
    if (mine >= 0)
        position = running[mine] + before;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (mine >= 0 && after == 0)
        running[mine] = position + 1;
    return position;
#endif
}

/* running [slots] = pairs begin .. end-1 of each slot. */
static void count_pairs(const struct motley__route_args a, __global const int *indices, __global const int *slot,
                        int begin, int end, __local int *running, __local int *seen)
{
    for (int s = get_local_id(0); s < a.slots; s += W)
        running[s] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int first = begin; first < end; first += W)
        take(slot_of(a, indices, slot, first + get_local_id(0), end), running, seen);
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* Place pairs begin .. end-1; running: the position of each slot's next pair. */
static void place_pairs(const struct motley__route_args a, __global const int *indices, __global const int *slot,
                        int begin, int end, __global int *order, __global int *where, __local int *running,
                        __local int *seen)
{
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int first = begin; first < end; first += W) {
        const int pair = first + get_local_id(0);
        const int position = take(slot_of(a, indices, slot, pair, end), running, seen);
        if (pair < end)
            where[pair] = position;
        if (position >= 0)
            order[position] = pair;
    }
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void route_count(const struct motley__route_args a, __global const int *restrict indices,
                 __global const int *restrict slot, __global int *restrict counts, __local int *running,
                 __local int *seen)
{
    const int chunk = get_group_id(0), begin = chunk * a.chunk;
    count_pairs(a, indices, slot, begin, min(begin + a.chunk, a.N), running, seen);
    for (int s = get_local_id(0); s < a.slots; s += W)
        counts[(size_t)chunk * a.slots + s] = running[s];
}

/* total [slots] is scratch. */
__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void route_scan(const struct motley__route_args a, __global int *restrict counts, __global int *restrict offsets,
                __local int *total)
{
    const int item = get_local_id(0);
    for (int s = item; s < a.slots; s += W) {
        int before = 0;
        for (int c = 0; c < a.chunks; c++) {
            const int count = counts[(size_t)c * a.slots + s];
            counts[(size_t)c * a.slots + s] = before;
            before += count;
        }
        total[s] = before;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item == 0) {
        int before = 0;
        for (int s = 0; s < a.slots; s++) {
            offsets[s] = before;
            before += total[s];
        }
        offsets[a.slots] = before;
    }
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void route_place(const struct motley__route_args a, __global const int *restrict indices,
                 __global const int *restrict slot, __global const int *restrict counts,
                 __global const int *restrict offsets, __global int *restrict order, __global int *restrict where,
                 __local int *running, __local int *seen)
{
    const int chunk = get_group_id(0), begin = chunk * a.chunk;
    for (int s = get_local_id(0); s < a.slots; s += W)
        running[s] = offsets[s] + counts[(size_t)chunk * a.slots + s];
    place_pairs(a, indices, slot, begin, min(begin + a.chunk, a.N), order, where, running, seen);
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void route_once(const struct motley__route_args a, __global const int *restrict indices,
                __global const int *restrict slot, __global int *restrict offsets, __global int *restrict order,
                __global int *restrict where, __local int *running, __local int *seen)
{
    count_pairs(a, indices, slot, 0, a.N, running, seen);
    if (get_local_id(0) == 0) {
        int before = 0;
        for (int s = 0; s < a.slots; s++) {
            const int count = running[s];
            offsets[s] = running[s] = before;
            before += count;
        }
        offsets[a.slots] = before;
    }
    place_pairs(a, indices, slot, 0, a.N, order, where, running, seen);
}
