/* The gradient of the importance and load loss, through the logits without noise.
 *
 *   q[e] = exp(clean[t,e] - lse[t]);  z[e] = (clean[t,e] - last[t]) / sigma;  slope[e] = exp(-z[e]^2 / 2) / sqrt(2 pi)
 *   dlogits[t,e] += q[e] (importance[e] - sum_f q[f] importance[f]) + load[e] slope[e] / sigma
 *   dlogits[t,c] -= sum_e load[e] slope[e] / sigma              c = indices[t,K-1], whose noisy logit last[t] is
 *
 * gradient [2E]: importance and load of each expert; see src/layer/losses.h.  One group of W items for a token.  Bytes
 * 12 T E; 2 exponentials a logit, taken twice.
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

#if MOTLEY__DOUBLE
#define INVERSE_ROOT 0.3989422804014327 /* 1 / sqrt(2 pi) */
#else
#define INVERSE_ROOT 0.3989422804014327f
#endif

static real slope_of(real logit, real last, real inverse)
{
    const real z = (logit - last) * inverse;
    return exp(z * z / -2) * INVERSE_ROOT * inverse;
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void importance_backward(const struct motley__importance_args a, __global const float *restrict clean,
                         __global const float *restrict lse, __global const float *restrict last,
                         __global const int *restrict indices, __global const float *restrict gradient,
                         __global float *restrict dlogits, __local real *part)
{
    const size_t t = get_group_id(0);
    const int chosen = indices[t * a.K + a.K - 1];
    const real all = lse[t], bound = last[t];
    real mean = 0, pull = 0;
    clean += t * a.E;
    dlogits += t * a.E;
    for (int e = get_local_id(0); e < a.E; e += W) {
        mean += exp(clean[e] - all) * gradient[e];
        pull += slope_of(clean[e], bound, a.inverse) * gradient[a.E + e];
    }
    mean = reduce_sum(mean, part);
    pull = reduce_sum(pull, part);
    for (int e = get_local_id(0); e < a.E; e += W)
        dlogits[e] += exp(clean[e] - all) * (gradient[e] - mean) +
                      slope_of(clean[e], bound, a.inverse) * gradient[a.E + e] - (e == chosen ? pull : 0);
}
