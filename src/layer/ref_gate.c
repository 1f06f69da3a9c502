/* The gate's operators in plain C: what they mean.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/ref.h"

void motley__ref_gate_logits(int T, int D, int E, const float *x, const float *w, double *logits)
{
    for (int t = 0; t < T; t++, logits += E)
        for (int e = 0; e < E; e++) {
            logits[e] = 0;
            for (int i = 0; i < D; i++)
                logits[e] += (double)x[(size_t)t * D + i] * w[(size_t)e * D + i];
        }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* What an expert is chosen by. */
static double key_of(const double *logits, const float *correction, int e)
{
    return correction ? sigmoid(logits[e]) + correction[e] : logits[e];
}

/* The next expert after (value, expert) `last` in descending order of keys, ties to the lower expert.  beside: bits of
 * those that may be chosen; NULL: any. */
static int next_largest(int E, const double *logits, const float *correction, const uint32_t *beside, int last)
{
    int best = -1;
    for (int e = 0; e < E; e++) {
        const double key = key_of(logits, correction, e), bound = last < 0 ? 0 : key_of(logits, correction, last);
        if (last >= 0 && (key > bound || (key == bound && e <= last)))
            continue; /* listed already */
        if (beside && !(beside[e / 32] >> e % 32 & 1))
            continue;
        if (best < 0 || key > key_of(logits, correction, best))
            best = e;
    }
    return best;
}

/* Softmax, or the sigmoid of each; log sum exp of the logits in any case. */
static double score(int E, const double *logits, int sigmoids, float *p)
{
    double most = -INFINITY, sum = 0;
    for (int e = 0; e < E; e++)
        most = fmax(most, logits[e]);
    for (int e = 0; e < E; e++)
        sum += exp(logits[e] - most);
    for (int e = 0; e < E; e++)
        p[e] = (float)(sigmoids ? sigmoid(logits[e]) : exp(logits[e] - most) / sum);
    return most + log(sum);
}

void motley__ref_gate_select(int T, int E, int K, int normalize, const double *logits, const float *correction,
                             const int *forced, const uint32_t *collaborators, float *p, float *lse, int *indices,
                             float *weights)
{
    for (int t = 0; t < T; t++, logits += E, p += E, indices += K, weights += K) {
        const double all = score(E, logits, correction != NULL, p);
        double total = 0;
        lse[t] = (float)all;
        for (int k = 0; k < K; k++) {
            const uint32_t *beside = collaborators && k > 0 ? collaborators + indices[0] * ((E + 31) / 32) : NULL;
            indices[k] = forced ? forced[(size_t)t * K + k]
                                : next_largest(E, logits, correction, beside, k > 0 ? indices[k - 1] : -1);
            total += correction ? sigmoid(logits[indices[k]]) : exp(logits[indices[k]] - all);
        }
        for (int k = 0; k < K; k++) {
            const double own = correction ? sigmoid(logits[indices[k]]) : exp(logits[indices[k]] - all);
            weights[k] = (float)(normalize && total > 0 ? own / total : own);
        }
    }
}

void motley__ref_gate_backward(int T, int E, int K, int normalize, int sigmoid, const float *p, const float *lse,
                               const int *indices, const float *weights, const float *dweights, const float *balance,
                               float z, double *dlogits)
{
    for (int t = 0; t < T; t++, p += E, indices += K, weights += K, dweights += K, dlogits += E) {
        double sum = 1, inner = 0, dot = 0;
        if (normalize) {
            sum = 0;
            for (int k = 0; k < K; k++) {
                sum += p[indices[k]];
                inner += (double)weights[k] * dweights[k];
            }
            sum = sum > 0 ? sum : 1;
        }
        for (int e = 0; e < E; e++)
            dlogits[e] = balance ? balance[e] : 0; /* dp, for now */
        for (int k = 0; k < K; k++)
            dlogits[indices[k]] += (dweights[k] - inner) / sum;
        for (int e = 0; e < E; e++)
            dot += p[e] * dlogits[e];
        for (int e = 0; e < E; e++)
            dlogits[e] = sigmoid ? dlogits[e] * p[e] * (1 - (double)p[e])
                                 : p[e] * (dlogits[e] - dot + 2.0 * z * lse[t]);
    }
}
