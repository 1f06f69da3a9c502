/* Gate noise and auxiliary losses in plain C: what they mean.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "base/random.h"
#include "layer/ref.h"

void motley__ref_noise_add(int T, int E, double sigma, uint64_t seed, int64_t first, double *logits)
{
    for (int64_t n = 0; n < (int64_t)T * E; n++)
        logits[n] += sigma * motley__random_normal(seed, 0, (uint64_t)(first * E + n));
}

void motley__ref_losses_sums(int T, int E, int K, const float *p, const float *lse, const int *indices, double *sums)
{
    for (int i = 0; i < 2 * E + 2; i++)
        sums[i] = 0;
    for (int t = 0; t < T; t++) {
        for (int e = 0; e < E; e++)
            sums[e] += p[(size_t)t * E + e];
        sums[E + indices[(size_t)t * K]] += 1;
        sums[2 * E] += (double)lse[t] * lse[t];
        sums[2 * E + 1] += 1;
    }
}

static double normal_distribution(double z)
{
    return erfc(-z / sqrt(2)) / 2;
}

static double normal_density(double z)
{
    return exp(-z * z / 2) / sqrt(2 * acos(-1));
}

void motley__ref_importance_sums(int T, int E, double sigma, const float *clean, const float *lse, const float *last,
                                 double *sums)
{
    for (int i = 0; i < 2 * E + 2; i++)
        sums[i] = 0;
    for (int t = 0; t < T; t++) {
        for (int e = 0; e < E; e++) {
            const double logit = clean[(size_t)t * E + e];
            sums[e] += exp(logit - lse[t]);
            sums[E + e] += normal_distribution((logit - last[t]) / sigma);
        }
        sums[2 * E] += (double)lse[t] * lse[t];
        sums[2 * E + 1] += 1;
    }
}

void motley__ref_importance_backward(int T, int E, int K, double sigma, const float *clean, const float *lse,
                                     const float *last, const int *indices, const float *gradient, double *dlogits)
{
    for (int t = 0; t < T; t++, clean += E, indices += K, dlogits += E) {
        double mean = 0;
        for (int e = 0; e < E; e++)
            mean += exp(clean[e] - (double)lse[t]) * gradient[e];
        for (int e = 0; e < E; e++) {
            const double slope = gradient[E + e] * normal_density((clean[e] - (double)last[t]) / sigma) / sigma;
            dlogits[e] += exp(clean[e] - (double)lse[t]) * (gradient[e] - mean) + slope;
            dlogits[indices[K - 1]] -= slope;
        }
    }
}
