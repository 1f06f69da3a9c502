/* The gate's choice of K experts per token with their weights, and its gradient.
 *
 *   softmax   p[t,:] = softmax(logits[t,:]);  chosen: the K largest logits
 *   sigmoid   p[t,:] = 1 / (1 + exp(-logits[t,:]));  chosen: the K largest p[t,:] + correction
 *   weights[t,k] = p[t,chosen k]  (/ their sum when normalized);  ties to the lower expert, descending; with
 *   collaborators all but the first of those that may stand beside it
 *
 * One group of W work-items per token; logits come from cl/logits.cl.  Measured at T = 2048, E = 128: gate_backward
 * 0.20 ms on 2 cores, 0.009 ms on an H200.
 *
 *   W   work-items of a group, a power of two: 1 on CPUs (default), 32 to 128 on GPUs
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "real.h"

#ifndef W
#define W 1
#endif
#include "reduce.h"

/* pick[0..K) = the K largest keys in descending order, ties to the lower expert.  NaN logits have the lowest key; a key
 * that is NaN is not there. */
#if W == 1
/* Insertion: most experts fail the comparison with the K-th. */
static void pick_largest(int E, int K, __local const real *key, __local int *pick)
{
    for (int e = 0, listed = 0; e < E; e++) {
        if (isnan(key[e]) || (listed == K && !(key[e] > key[pick[K - 1]])))
            continue;
        int k = listed < K ? listed++ : K - 1;
        for (; k > 0 && key[e] > key[pick[k - 1]]; k--)
            pick[k] = pick[k - 1];
        pick[k] = e;
    }
}
#else
/* An expert's rank is the number of better ones: E comparisons each, whatever K, and no item waits for another. */
static void pick_largest(int E, int K, __local const real *key, __local int *pick)
{
    for (int e = get_local_id(0); e < E; e += W) {
        const real mine = key[e];
        int rank = 0;
        for (int j = 0; j < e; j++)
            rank += key[j] >= mine;
        for (int j = e + 1; j < E; j++)
            rank += key[j] > mine;
        if (rank < K && !isnan(mine))
            pick[rank] = e;
    }
}
#endif

/* power[e] = score of expert e, and what is chosen by. */
static void find_sigmoids(int E, __global const real *logits, __global const float *correction, __local real *key,
                          __local real *power)
{
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int e = get_local_id(0); e < E; e += W) {
        power[e] = 1 / (1 + exp(-logits[e]));
        key[e] = isnan(power[e]) ? (real)-INFINITY : power[e] + correction[e];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* The first choice; then only keys of those that may stand beside it are left. */
static void pick_first(int E, __global const uint *collaborators, __local real *key, __local int *pick)
{
    pick_largest(E, 1, key, pick);
    barrier(CLK_LOCAL_MEM_FENCE);
    __global const uint *beside = collaborators + pick[0] * ((E + 31) >> 5);
    for (int e = get_local_id(0); e < E; e += W)
        if (!(beside[e >> 5] >> (e & 31) & 1))
            key[e] = NAN;
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* Scores, choice, weights.
 *
 *   key, power [E], part [W], pick [K]   __local scratch
 *   forced [T,K] gives the experts, or is NULL; one outside 0..E-1 becomes -1 with weight 0
 *   correction [E] of sigmoid, for the choice alone; NULL: softmax
 *   collaborators [E, (E+31)/32] bits: who may stand beside each first choice, or NULL
 *   best [T] is written with the largest score, or NULL
 *   last [T] is written with the logit of the last choice, or NULL
 *
 * Bytes 8 T E read, 4 T (E + 2K + 1) written; E exponentials a token, 2E of sigmoid. */
__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void gate_select(const struct motley__gate_args a, __global const real *restrict logits,
                 __global const int *restrict forced, __global const float *restrict correction,
                 __global const uint *restrict collaborators,
                 __global float *restrict p, __global float *restrict lse, __global int *restrict indices,
                 __global float *restrict weights, __global float *restrict best, __global float *restrict last,
                 __local real *key, __local real *power, __local real *part, __local int *pick)
{
    const size_t t = get_group_id(0);
    const int item = get_local_id(0);
    logits += t * a.stride;

    real most = -INFINITY;
    for (int e = item; e < a.E; e += W) {
        const real l = logits[e];
        key[e] = isnan(l) ? (real)-INFINITY : l;
        most = fmax(most, key[e]);
    }
    most = reduce_max(most, part);
    real sum = 0;
    for (int e = item; e < a.E; e += W) {
        power[e] = exp(logits[e] - most);
        sum += power[e];
    }
    sum = reduce_sum(sum, part);
    if (item == 0)
        lse[t] = most + log(sum);
    if (correction) {
        find_sigmoids(a.E, logits, correction, key, power);
        sum = 1;
    }
    if (best && item == 0)
        best[t] = correction ? 1 / (1 + exp(-most)) : 1 / sum;
    for (int e = item; e < a.E; e += W)
        p[t * a.E + e] = power[e] / sum;

    if (forced) {
        for (int k = item; k < a.K; k += W) {
            const int e = forced[t * a.K + k];
            pick[k] = e >= 0 && e < a.E ? e : -1;
        }
    } else {
        if (collaborators)
            pick_first(a.E, collaborators, key, pick);
        pick_largest(a.E, a.K, key, pick);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (last && item == 0)
        last[t] = logits[pick[a.K - 1]];

    if (a.normalize) {
        sum = 0;
        for (int k = 0; k < a.K; k++)
            sum += pick[k] < 0 ? 0 : power[pick[k]];
        sum = sum > 0 ? sum : 1; /* all scores of forced experts may vanish */
    }
    for (int k = item; k < a.K; k += W) {
        indices[t * a.K + k] = pick[k];
        weights[t * a.K + k] = pick[k] < 0 ? 0 : power[pick[k]] / sum;
    }
}

/* dlogits[t,:] from the gradient of the K weights, src/layer/gate.h.
 *
 *   dp [E], part [W]   __local scratch
 *
 * Bytes 4 T (2E + 3K + 1), about 5 T E flops. */
__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void gate_backward(const struct motley__gate_gradient_args a, __global const float *restrict p,
                   __global const float *restrict lse, __global const int *restrict indices,
                   __global const float *restrict weights, __global const float *restrict dweights,
                   __global const float *restrict balance, __global float *restrict dlogits, __local real *dp,
                   __local real *part)
{
    const size_t t = get_group_id(0);
    const int item = get_local_id(0);
    p += t * a.E;
    for (int e = item; e < a.E; e += W)
        dp[e] = balance ? balance[e] : 0;
    barrier(CLK_LOCAL_MEM_FENCE);

    if (item == 0) { /* a forced expert may be named twice: its gradients add, in the order of k */
        real inner = 0, sum = 1;
        if (a.normalize) {
            sum = 0;
            for (int k = 0; k < a.K; k++) {
                const int e = indices[t * a.K + k];
                sum += e < 0 ? 0 : p[e];
                inner += (real)weights[t * a.K + k] * dweights[t * a.K + k];
            }
            sum = sum > 0 ? sum : 1;
        }
        for (int k = 0; k < a.K; k++) {
            const int e = indices[t * a.K + k];
            if (e >= 0)
                dp[e] += (dweights[t * a.K + k] - inner) / sum;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    real dot = 0;
    for (int e = item; e < a.E; e += W)
        dot += p[e] * dp[e];
    dot = reduce_sum(dot, part);
    const real z = a.z * 2 * lse[t];
    for (int e = item; e < a.E; e += W)
        dlogits[t * a.E + e] = a.sigmoid ? dp[e] * p[e] * (1 - (real)p[e]) : p[e] * (dp[e] - dot + z);
}
