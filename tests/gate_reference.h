/* The gate of a problem in double precision, forward and backward: part of layer_reference.h, which includes it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_GATE_REFERENCE_H
#define MOTLEY_TESTS_GATE_REFERENCE_H

#include "layer/ref.h"

/* Owned; indices and weights go to who asked. */
struct gate_answer {
    double *clean;          /* [T,E] logits without noise */
    double *logits, *p;     /* [T,E] */
    double *unit, *length;  /* [T,P], [T] of a cosine gate */
    double *weights;        /* [T,K] */
    int32_t *indices;       /* [T,K] -1: dropped */
    int32_t *chosen;        /* [T,K] before any was dropped */
};

static inline void gate_answer_release(struct gate_answer *g)
{
    free(g->clean);
    free(g->logits);
    free(g->p);
    free(g->unit);
    free(g->length);
    free(g->chosen);
}

static inline struct motley__ref_cosine cosine_of(const struct problem *q)
{
    return (struct motley__ref_cosine){q->T, q->shape.D, q->shape.gate_width, q->shape.E, q->x,
        q->weight[MOTLEY_COS_PROJ], q->weight[MOTLEY_COS_BIAS], q->weight[MOTLEY_GATE],
        *q->weight[MOTLEY_COS_TEMPERATURE]};
}

/* log sum exp of E logits, and their softmax. */
static inline double reference_softmax(int E, const double *logits, double *p)
{
    double highest = -INFINITY, sum = 0;
    for (int e = 0; e < E; e++)
        highest = fmax(highest, logits[e]);
    for (int e = 0; e < E; e++)
        sum += p[e] = exp(logits[e] - highest);
    for (int e = 0; e < E; e++)
        p[e] /= sum;
    return highest + log(sum);
}

/* Scores of one token; equal logits give equal scores. */
static inline void reference_scores(const struct problem *q, const double *logits, double *p)
{
    reference_softmax(q->shape.E, logits, p);
    for (int e = 0; e < q->shape.E && q->shape.gate == MOTLEY_GATE_SIGMOID; e++)
        p[e] = 1 / (1 + exp(-logits[e]));
}

static inline void reference_choose(const struct problem *q, int t, const double *p, int32_t *chosen)
{
    const float *correction = q->weight[MOTLEY_GATE_CORRECTION];
    const int E = q->shape.E, K = q->shape.K;
    for (int k = 0; k < K; k++) {
        int best = -1;
        double highest = 0;
        for (int e = 0; e < E; e++) {
            const double key = p[e] + (correction ? correction[e] : 0);
            int taken = 0;
            for (int j = 0; j < k; j++)
                taken |= chosen[j] == e;
            if (taken || (best >= 0 && key <= highest))
                continue;
            best = e;
            highest = key;
        }
        chosen[k] = q->forced ? q->forced[t * K + k] : best;
    }
}

/* The best score of a token, as f32. */
static inline float best_score(const struct problem *q, const double *p)
{
    double best = 0;
    for (int e = 0; e < q->shape.E; e++)
        best = fmax(best, p[e]);
    return (float)best;
}

/* Tokens in the order in which their choices count: by position, or by descending best score. */
static inline int *order_of_tokens(const struct problem *q, const struct gate_answer *g)
{
    int *order = zeros((size_t)q->T, sizeof *order);
    for (int t = 0; t < q->T; t++) {
        int i = t;
        for (; q->routing.prioritised && i > 0; i--) { /* insertion, behind equals */
            if (best_score(q, g->p + order[i - 1] * q->shape.E) >= best_score(q, g->p + t * q->shape.E))
                break;
            order[i] = order[i - 1];
        }
        order[i] = t;
    }
    return order;
}

static inline void reference_drop(const struct problem *q, struct gate_answer *g)
{
    const int T = q->T, E = q->shape.E, K = q->shape.K;
    const double share = T / E + (T % E > 0);
    const int rows = K * (int)(fabs(q->routing.capacity) * share);
    int *order = order_of_tokens(q, g), *taken = zeros((size_t)E, sizeof *taken);
    for (int k = 0; k < K; k++)
        for (int i = 0; i < T; i++) {
            const int n = order[i] * K + k;
            if (taken[g->chosen[n]]++ < rows)
                continue;
            g->indices[n] = -1;
            g->weights[n] = 0;
        }
    free(taken);
    free(order);
}

static inline struct gate_answer gate_forward(const struct problem *q)
{
    const size_t T = (size_t)q->T, E = (size_t)q->shape.E, K = (size_t)q->shape.K, P = (size_t)q->shape.gate_width;
    struct gate_answer g = {.clean = zeros(T * E, sizeof(double)),
        .logits = zeros(T * E, sizeof(double)), .p = zeros(T * E, sizeof(double)),
        .unit = zeros(T * P, sizeof(double)), .length = zeros(T, sizeof(double)),
        .weights = zeros(T * K, sizeof(double)), .indices = zeros(T * K, sizeof(int32_t)),
        .chosen = zeros(T * K, sizeof(int32_t))};
    if (q->shape.gate == MOTLEY_GATE_COSINE) {
        const struct motley__ref_cosine cosine = cosine_of(q);
        motley__ref_cosine_forward(&cosine, g.unit, g.length, g.logits);
    } else {
        motley__ref_gate_logits(q->T, q->shape.D, q->shape.E, q->x, q->weight[MOTLEY_GATE], g.logits);
    }
    memcpy(g.clean, g.logits, T * E * sizeof *g.clean);
    if (q->routing.noise > 0)
        motley__ref_noise_add(q->T, q->shape.E, q->routing.noise / q->shape.E, q->routing.seed, 0, g.logits);
    for (size_t t = 0; t < T; t++) {
        double *p = g.p + t * E, *w = g.weights + t * K, total = 0;
        reference_scores(q, g.logits + t * E, p);
        reference_choose(q, (int)t, p, g.indices + t * K);
        for (size_t k = 0; k < K; k++)
            total += w[k] = p[g.indices[t * K + k]];
        for (size_t k = 0; k < K; k++)
            w[k] /= q->shape.normalize ? total : 1;
    }
    memcpy(g.chosen, g.indices, T * K * sizeof *g.chosen);
    if (q->routing.capacity != 0)
        reference_drop(q, &g);
    return g;
}

/* What the importance loss compares over experts: sums over all tokens of scores without noise and of chances to be
 * chosen; and their parts of one token, q and Phi, with the slope of Phi. */
static inline void importance_parts(const struct problem *q, const struct gate_answer *g, int t, double *p,
                                    double *chance, double *slope)
{
    const int E = q->shape.E, last = g->chosen[t * q->shape.K + q->shape.K - 1];
    const double sigma = q->routing.noise / E;
    reference_softmax(E, g->clean + t * E, p);
    for (int e = 0; e < E; e++) {
        const double z = (g->clean[t * E + e] - g->logits[t * E + last]) / sigma;
        chance[e] = 0.5 * (1 + erf(z / sqrt(2)));
        slope[e] = exp(-z * z / 2) / sqrt(2 * acos(-1)) / sigma;
    }
}

/* Variance over the square of the mean, and its derivatives [E]. */
static inline double reference_variation(int E, const double *sum, double *derivative)
{
    double first = 0, second = 0;
    for (int e = 0; e < E; e++) {
        first += sum[e];
        second += sum[e] * sum[e];
    }
    for (int e = 0; e < E; e++) /* E second / first^2 - 1 */
        derivative[e] = 2 * E * sum[e] / (first * first) - 2 * E * second / (first * first * first);
    return E * second / (first * first) - 1;
}

/* The importance loss; its gradient, times the coefficient, is added to dlogits [T,E]. */
static inline double reference_importance(const struct problem *q, const struct gate_answer *g, double *dlogits)
{
    const int T = q->T, E = q->shape.E, K = q->shape.K;
    double *work = zeros(7 * (size_t)E, sizeof *work), *sum = work, *chances = work + E, *along = work + 2 * E;
    double *along_chances = work + 3 * E, *p = work + 4 * E, *chance = work + 5 * E, *slope = work + 6 * E;
    for (int t = 0; t < T; t++) {
        importance_parts(q, g, t, p, chance, slope);
        for (int e = 0; e < E; e++) {
            sum[e] += p[e];
            chances[e] += chance[e];
        }
    }
    const double value = (reference_variation(E, sum, along) + reference_variation(E, chances, along_chances)) / 2;
    const double half = q->losses.importance / 2;
    for (int t = 0; t < T; t++) {
        double mean = 0;
        importance_parts(q, g, t, p, chance, slope);
        for (int e = 0; e < E; e++)
            mean += p[e] * along[e];
        for (int e = 0; e < E; e++) {
            dlogits[t * E + e] += half * (p[e] * (along[e] - mean) + along_chances[e] * slope[e]);
            dlogits[t * E + g->chosen[t * K + K - 1]] -= half * along_chances[e] * slope[e];
        }
    }
    free(work);
    return value;
}

/* The losses' values; share [E] becomes the balance loss's slope along each score. */
static inline struct motley_losses reference_losses(const struct problem *q, const struct gate_answer *g, double *share)
{
    const int T = q->T, E = q->shape.E;
    double *p = zeros((size_t)E, sizeof *p);
    struct motley_losses value = {0};
    for (int t = 0; t < T; t++)
        share[g->chosen[t * q->shape.K]] += (double)E / T / T;
    for (int t = 0; t < T; t++) {
        const double all = reference_softmax(E, g->logits + t * E, p);
        for (int e = 0; e < E; e++)
            value.balance += g->p[t * E + e] * share[e];
        value.z += all * all / T;
    }
    free(p);
    return value;
}

/* dlogits [E] of one token, from the gradients dg [K] of its weights. */
static inline void reference_dlogits(const struct problem *q, const struct gate_answer *g, int t, const double *dg,
                                     const double *share, double *dlogits)
{
    const int E = q->shape.E, K = q->shape.K;
    const int32_t *chosen = g->chosen + t * K;
    const double *p = g->p + t * E, *w = g->weights + t * K;
    double *dp = zeros((size_t)E, sizeof *dp), total = 0, mean = 0, inner = 0;
    for (int k = 0; k < K; k++) {
        total += p[chosen[k]];
        mean += w[k] * dg[k];
    }
    for (int k = 0; k < K; k++)
        dp[chosen[k]] += q->shape.normalize ? (dg[k] - mean) / total : dg[k];
    for (int e = 0; e < E; e++) {
        dp[e] += q->losses.balance * share[e];
        inner += p[e] * dp[e];
    }
    for (int e = 0; e < E; e++)
        dlogits[e] = q->shape.gate == MOTLEY_GATE_SIGMOID ? p[e] * (1 - p[e]) * dp[e] : p[e] * (dp[e] - inner);
    if (q->losses.z != 0) {
        const double all = reference_softmax(E, g->logits + t * E, dp);
        for (int e = 0; e < E; e++)
            dlogits[e] += q->losses.z / q->T * 2 * all * dp[e];
    }
    free(dp);
}

/* gradient of the gate's weights, and dx, added to; dg [T,K].  Returns the losses. */
static inline struct motley_losses gate_backward(const struct problem *q, const struct gate_answer *g, const double *dg,
                                 double **gradient, double *dx)
{
    const int T = q->T, E = q->shape.E, D = q->shape.D, K = q->shape.K;
    double *dlogits = zeros((size_t)T * (size_t)E, sizeof *dlogits), *share = zeros((size_t)E, sizeof *share);
    struct motley_losses losses = reference_losses(q, g, share);
    for (int t = 0; t < T; t++)
        reference_dlogits(q, g, t, dg + t * K, share, dlogits + t * E);
    if (q->losses.importance != 0 && T)
        losses.importance = reference_importance(q, g, dlogits);
    if (q->shape.gate == MOTLEY_GATE_COSINE) {
        const struct motley__ref_cosine cosine = cosine_of(q);
        struct motley__ref_cosine_gradient slope = {dx, gradient[MOTLEY_COS_PROJ], gradient[MOTLEY_COS_BIAS],
                                                    gradient[MOTLEY_GATE], 0};
        double *scratch = zeros((size_t)q->shape.gate_width, sizeof *scratch);
        motley__ref_cosine_backward(&cosine, g->unit, g->length, dlogits, &slope, scratch);
        *gradient[MOTLEY_COS_TEMPERATURE] = slope.temperature;
        free(scratch);
    } else {
        for (int i = 0; i < T * E * D; i++) {
            const int d = i % D, e = i / D % E, t = i / D / E;
            gradient[MOTLEY_GATE][e * D + d] += dlogits[t * E + e] * q->x[t * D + d];
            dx[t * D + d] += dlogits[t * E + e] * q->weight[MOTLEY_GATE][e * D + d];
        }
    }
    free(dlogits);
    free(share);
    return losses;
}

#endif
