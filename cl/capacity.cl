/* Capacity: which choices an expert still takes.
 *
 * Choice j of a token counts for its expert e in round (j, e).  All pairs are sorted by expert, tokens ascending:
 * `order` and `offsets` of cl/route.cl.  One group of W items walks the pairs of one expert.
 *
 *   capacity_count   counts[j,e] = pairs of choice j of expert e
 *   capacity_digits  bins[e,b] = pairs of choice open[e] of expert e whose token's key agrees with bound[e] above bit
 *                    `shift` + 6 and has b in the 6 bits from `shift` on
 *   capacity_drop    choices before open[e] are kept, those behind dropped; of choice open[e] those with a key above
 *                    bound[e] are kept, and of those with just this key the first ties[e]
 *
 * A key is the token's best score, whose bits as a float order like it; without scores all keys are 0.  A dropped
 * choice gets index -1 and weight 0.  Integers only: nothing depends on the order in which items count.
 *
 * indices, weights [N], counts [K,E], bins [E,64], limits [3,E] int: open, bound, ties.  Bytes 8 N, 12 N with keys;
 * 16 N to drop.
 *
 *   W   work-items of a group: 1 on CPUs (default), 128 on GPUs
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"

#ifndef W
#define W 1
#endif
#define BINS (1 << MOTLEY__CAPACITY_BITS)

/* Below 2^30: a score is 1 at most, and NaN comes first. */
static uint key_of(__global const float *score, uint t)
{
    return score ? min(as_uint(score[t]), MOTLEY__CAPACITY_KEYS - 1u) : 0;
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void capacity_count(const struct motley__capacity_args a, __global const int *restrict order,
                    __global const int *restrict offsets, __global int *restrict counts, __local int *running)
{
    const int e = get_group_id(0), item = get_local_id(0);
    for (int k = item; k < a.K; k += W)
        running[k] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = offsets[e] + item; i < offsets[e + 1]; i += W)
        atomic_inc(running + (uint)order[i] % (uint)a.K);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = item; k < a.K; k += W)
        counts[(size_t)k * a.E + e] = running[k];
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void capacity_digits(const struct motley__capacity_args a, __global const int *restrict order,
                     __global const int *restrict offsets, __global const float *restrict score,
                     __global const int *restrict limits, __global int *restrict bins)
{
    __local int running[BINS];
    const int e = get_group_id(0), item = get_local_id(0);
    const uint choice = limits[e], above = (uint)limits[a.E + e] >> (a.shift + MOTLEY__CAPACITY_BITS);
    for (int b = item; b < BINS; b += W)
        running[b] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = offsets[e] + item; i < offsets[e + 1]; i += W) {
        const uint n = order[i], key = key_of(score, n / (uint)a.K);
        if (n % (uint)a.K == choice && key >> (a.shift + MOTLEY__CAPACITY_BITS) == above)
            atomic_inc(running + (key >> a.shift) % BINS);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int b = item; b < BINS; b += W)
        bins[(size_t)e * BINS + b] = running[b];
}

/* How many items before this one, and how many in all, have `mine` 1.  seen [W] is scratch. */
static int count_before(int mine, __local int *seen, int *all)
{
#if W == 1
    *all = mine;
    return 0;
#else
    const int item = get_local_id(0);
    int before = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    seen[item] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    *all = 0;
    for (int i = 0; i < W; i++) {
        before += i < item ? seen[i] : 0;
        *all += seen[i];
    }
    return before;
#endif
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void capacity_drop(const struct motley__capacity_args a, __global const int *restrict order,
                   __global const int *restrict offsets, __global const float *restrict score,
                   __global const int *restrict limits, __global int *restrict indices,
                   __global float *restrict weights)
{
    __local int seen[W];
    const int e = get_group_id(0), end = offsets[e + 1];
    const uint choice = limits[e], bound = limits[a.E + e];
    const int ties = limits[2 * a.E + e];
    int tied = 0;
    for (int first = offsets[e]; first < end; first += W) {
        const int i = first + get_local_id(0);
        const uint n = i < end ? order[i] : 0, k = i < end ? n % (uint)a.K : 0;
        const uint key = i < end ? key_of(score, n / (uint)a.K) : 0;
        const int tie = i < end && k == choice && key == bound;
        int all;
        const int before = tied + count_before(tie, seen, &all);
        tied += all;
        if (i < end && (k > choice || (k == choice && (key < bound || (tie && before >= ties))))) {
            indices[n] = -1;
            weights[n] = 0;
        }
    }
}
