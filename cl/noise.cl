/* Gate noise: every logit gets a normal number that depends on nothing but the seed, the token and the expert.
 *
 *   noise_add    logits[t,e] += sigma n((first + t) E + e)
 *   noise_free   clean[t,:] = logits[t,:];  lse[t] = log sum exp logits[t,:]        before, where that is wanted
 *
 * n(i) is normal number i of stream 0 of src/base/random.h, taken as `real`.  `first` numbers the first of this rank's
 * tokens among those of all ranks, so that noise does not depend on how tokens lie on ranks.
 *
 * One group of W items for a token.  Bytes 16 T E, and 20 T E; per logit of noise two hashes of 3 multiplications each,
 * a logarithm, a root and a cosine.
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

/* The largest uniform number below 1. */
#if MOTLEY__DOUBLE
#define MOST 0x1.fffffffffffffp-1
#else
#define MOST 0x1.fffffep-1f
#endif

static ulong mix(ulong x)
{
    x += 0x9e3779b97f4a7c15ul;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebul;
    return x ^ (x >> 31);
}

static real uniform_number(ulong stream, ulong index)
{
    return (real)(mix(stream ^ index) >> 11) * (real)0x1p-53f;
}

/* Box and Muller. */
static real normal_number(ulong stream, ulong index)
{
    const real u = fmin(uniform_number(stream, 2 * index), MOST), v = uniform_number(stream, 2 * index + 1);
    return sqrt(-2 * log1p(-u)) * cospi(2 * v);
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void noise_free(const struct motley__noise_args a, __global const real *restrict logits, __global float *restrict clean,
                __global float *restrict lse, __local real *part)
{
    const size_t t = get_group_id(0);
    real most = -INFINITY, sum = 0;
    logits += t * a.stride;
    clean += t * a.E;
    for (int e = get_local_id(0); e < a.E; e += W)
        most = fmax(most, logits[e]);
    most = reduce_max(most, part);
    for (int e = get_local_id(0); e < a.E; e += W) {
        sum += exp(logits[e] - most);
        clean[e] = logits[e];
    }
    sum = reduce_sum(sum, part);
    if (get_local_id(0) == 0)
        lse[t] = most + log(sum);
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void noise_add(const struct motley__noise_args a, __global real *restrict logits)
{
    const size_t t = get_group_id(0);
    const ulong first = (ulong)a.first_high << 32 | a.first_low, seed = (ulong)a.seed_high << 32 | a.seed_low;
    const ulong stream = mix(mix(seed)); /* number 0 */
    logits += t * a.stride;
    for (int e = get_local_id(0); e < a.E; e += W)
        logits[e] += a.sigma * normal_number(stream, (first + t) * (uint)a.E + (uint)e);
}
