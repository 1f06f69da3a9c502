/* The gate's operators in plain C: what they mean.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/ref.h"

/* The next expert after (value, expert) `last` in descending order of logits, ties to the lower expert.  beside: bits
 * of those that may be chosen; NULL: any. */
static int next_largest(int E, const double *logits, const uint32_t *beside, int last)
{
    int best = -1;
    for (int e = 0; e < E; e++) {
        if (last >= 0 && (logits[e] > logits[last] || (logits[e] == logits[last] && e <= last)))
            continue; /* listed already */
        if (beside && !(beside[e / 32] >> e % 32 & 1))
            continue;
        if (best < 0 || logits[e] > logits[best])
            best = e;
    }
    return best;
}

void motley__ref_gate_forward(int T, int D, int E, int K, int normalize, const float *x, const float *w,
                              const int *forced, const uint32_t *collaborators, double *logits, float *p, float *lse,
                              int *indices, float *weights)
{
    for (int t = 0; t < T; t++, logits += E) {
        double most = -INFINITY, sum = 0;
        for (int e = 0; e < E; e++) {
            logits[e] = 0;
            for (int i = 0; i < D; i++)
                logits[e] += (double)x[(size_t)t * D + i] * w[(size_t)e * D + i];
            most = fmax(most, logits[e]);
        }
        for (int e = 0; e < E; e++)
            sum += exp(logits[e] - most);
        lse[t] = (float)(most + log(sum));
        for (int e = 0; e < E; e++)
            p[(size_t)t * E + e] = (float)(exp(logits[e] - most) / sum);

        int *chosen = indices + (size_t)t * K;
        double total = 0;
        for (int k = 0; k < K; k++) {
            const uint32_t *beside = collaborators && k > 0 ? collaborators + chosen[0] * ((E + 31) / 32) : NULL;
            chosen[k] = forced ? forced[(size_t)t * K + k]
                               : next_largest(E, logits, beside, k > 0 ? chosen[k - 1] : -1);
            total += exp(logits[chosen[k]] - most);
        }
        for (int k = 0; k < K; k++)
            weights[(size_t)t * K + k] = (float)(exp(logits[chosen[k]] - most) / (normalize ? total : sum));
    }
}

void motley__ref_gate_backward(int T, int E, int K, int normalize, const float *p, const float *lse, const int *indices,
                               const float *weights, const float *dweights, const float *balance, float z,
                               double *dlogits)
{
    for (int t = 0; t < T; t++, p += E, indices += K, weights += K, dweights += K, dlogits += E) {
        double sum = 1, inner = 0, dot = 0;
        if (normalize) {
            sum = 0;
            for (int k = 0; k < K; k++) {
                sum += p[indices[k]];
                inner += (double)weights[k] * dweights[k];
            }
        }
        for (int e = 0; e < E; e++)
            dlogits[e] = balance ? balance[e] : 0; /* dp, for now */
        for (int k = 0; k < K; k++)
            dlogits[indices[k]] += (dweights[k] - inner) / sum;
        for (int e = 0; e < E; e++)
            dot += p[e] * dlogits[e];
        for (int e = 0; e < E; e++)
            dlogits[e] = p[e] * (dlogits[e] - dot + 2.0 * z * lse[t]);
    }
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
