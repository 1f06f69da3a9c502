/* A mixture-of-experts layer in double precision, one token after the other: what tests of the layer compare with.
 *
 * Every rank knows the whole problem, so every rank can check its own part of the answer.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_LAYER_REFERENCE_H
#define MOTLEY_TESTS_LAYER_REFERENCE_H

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <motley/layer.h>
#include "base/random.h"
#include "device/storage.h"

enum { WEIGHTS = MOTLEY_COS_TEMPERATURE + 1 };

/* How the gate's rows are drawn. */
enum gate_kind {
    GATE_SPREAD,    /* at random */
    GATE_EQUAL,     /* all rows equal but one: ties everywhere */
    GATE_ONE_EXPERT /* every token's first choice is the last expert: the others may go empty */
};

struct problem {
    struct motley_layer_shape shape;
    struct motley_routing routing; /* K is the shape's */
    struct motley_losses losses;   /* coefficients */
    int T;
    float *x, *dy;          /* [T,D] */
    float *weight[WEIGHTS]; /* by enum motley_weight; NULL: not used */
    int32_t *forced;        /* [T,K] or NULL */
};

struct answer {
    double *y, *dx;   /* [T,D] */
    double *weights;  /* [T,K] */
    int32_t *indices; /* [T,K] */
    double *gradient[WEIGHTS];
    struct motley_losses losses; /* balance and z always */
    double closest; /* relu: the routed pre-activation nearest to 0, where there is no derivative */
};

/* Numbers in a weight; one expert's part is weight_size / E, of a weight that is not everywhere. */
static inline size_t weight_size(const struct motley_layer_shape *s, int which)
{
    const size_t E = (size_t)s->E, D = (size_t)s->D, F = (size_t)s->F, P = (size_t)s->gate_width;
    const size_t inputs = s->gate == MOTLEY_GATE_COSINE ? P : D;
    const size_t size[WEIGHTS] = {E * inputs, E * F * D, E * D * F, E * F * D, E * F, E * D, E, P * D, P, 1};
    return size[which];
}

/* Every rank has it whole. */
static inline int weight_everywhere(int which)
{
    return which == MOTLEY_GATE || which > MOTLEY_B2;
}

static inline int weight_used(const struct motley_layer_shape *s, int which)
{
    if (which >= MOTLEY_COS_PROJ)
        return s->gate == MOTLEY_GATE_COSINE;
    if (which == MOTLEY_GATE_CORRECTION)
        return s->gate == MOTLEY_GATE_SIGMOID;
    return which == MOTLEY_W3 ? s->activation == MOTLEY_SWIGLU : which < MOTLEY_W3 || s->bias;
}

static inline void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    assert(memory);
    return memory;
}

static inline float *normals(size_t count, double scale, uint64_t seed, uint64_t stream)
{
    float *values = zeros(count, sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(scale * motley__random_normal(seed, stream, i));
    return values;
}

/* Numbers as the storage type holds them: what the layer is given is then exactly what the reference is given. */
static inline void round_to(enum motley_dtype dtype, float *values, size_t count)
{
    void *stored = zeros(count, sizeof *values);
    motley__store(dtype, values, count, stored);
    motley__load(dtype, stored, count, values);
    free(stored);
}

static inline struct problem problem_create(const struct motley_layer_shape *shape, int T, enum gate_kind kind,
                                            uint64_t seed)
{
    struct problem p = {.shape = *shape, .T = T};
    const int D = shape->D, F = shape->F, E = shape->E, K = shape->K;
    const double scale[WEIGHTS] = {1 / sqrt(D), 1 / sqrt(D), 1 / sqrt(F), 1 / sqrt(D), 1, 1, 0.2, 1 / sqrt(D), 1, 1};
    p.x = normals((size_t)T * (size_t)D, 1, seed, 100);
    p.dy = normals((size_t)T * (size_t)D, 1, seed, 101);
    for (int which = 0; which < WEIGHTS; which++)
        if (weight_used(shape, which))
            p.weight[which] = normals(weight_size(shape, which), scale[which], seed, (uint64_t)which);
    float *gate = p.weight[MOTLEY_GATE];
    const int inputs = (int)weight_size(shape, MOTLEY_GATE) / E;
    for (int e = 1; kind == GATE_EQUAL && e < E; e++)
        for (int d = 0; d < inputs; d++) /* a cosine does not see a longer row: the other way round */
            gate[e * inputs + d] = gate[d] * (e != E / 2 ? 1 : shape->gate == MOTLEY_GATE_COSINE ? -1 : 1.5f);
    for (int t = 0; kind == GATE_ONE_EXPERT && t < T; t++)
        p.x[t * D] = fabsf(p.x[t * D]) + 1;
    if (kind == GATE_ONE_EXPERT)
        gate[(E - 1) * inputs] = 50;
    if (kind == GATE_ONE_EXPERT && p.weight[MOTLEY_COS_BIAS])
        p.weight[MOTLEY_COS_BIAS][0] = 20;
    round_to(shape->dtype, p.x, (size_t)T * (size_t)D);
    round_to(shape->dtype, p.dy, (size_t)T * (size_t)D);
    for (int which = MOTLEY_W1; which <= MOTLEY_W3; which++)
        if (p.weight[which])
            round_to(shape->dtype, p.weight[which], weight_size(shape, which));
    if (shape->gate == MOTLEY_GATE_FORCED) {
        p.forced = zeros((size_t)T * (size_t)K, sizeof *p.forced);
        for (int i = 0; i < T * K; i++) /* an expert may come twice */
            p.forced[i] = (int32_t)(motley__random_bits(seed, 102, (uint64_t)i) % (uint64_t)E);
    }
    return p;
}

static inline void problem_destroy(struct problem *p)
{
    free(p->x);
    free(p->dy);
    free(p->forced);
    for (int which = 0; which < WEIGHTS; which++)
        free(p->weight[which]);
}

static inline void answer_destroy(struct answer *a)
{
    free(a->y);
    free(a->dx);
    free(a->weights);
    free(a->indices);
    for (int which = 0; which < WEIGHTS; which++)
        free(a->gradient[which]);
}

#include "gate_reference.h"

/* The value at `a` and the slope there. */
static inline double reference_activation(enum motley_activation activation, double a, double *slope)
{
    const double s = 1 / (1 + exp(-a)), normal = 0.5 * (1 + erf(a / sqrt(2)));
    switch (activation) {
    case MOTLEY_RELU: *slope = a > 0; return a > 0 ? a : 0;
    case MOTLEY_GELU: *slope = normal + a * exp(-a * a / 2) / sqrt(2 * acos(-1)); return a * normal;
    case MOTLEY_SILU:
    case MOTLEY_SWIGLU: break;
    }
    *slope = s * (1 + a * (1 - s));
    return a * s;
}

/* One pair (token, expert) with weight g on one side of the expert, forward and backward; returns the gradient of g. */
static inline double reference_pair(const struct problem *q, struct answer *a, int t, int e, double weight)
{
    const struct motley_layer_shape *s = &q->shape;
    const int D = s->D, F = s->F;
    const double in = q->routing.before ? weight : 1, g = q->routing.before ? 1 : weight;
    const float *x = q->x + t * D, *dy = q->dy + t * D;
    const float *w1 = q->weight[MOTLEY_W1] + e * F * D, *w2 = q->weight[MOTLEY_W2] + e * D * F;
    const float *w3 = s->activation == MOTLEY_SWIGLU ? q->weight[MOTLEY_W3] + e * F * D : NULL;
    double dg = 0, dg_in = 0;
    for (int d = 0; s->bias && d < D; d++) {
        a->y[t * D + d] += g * q->weight[MOTLEY_B2][e * D + d];
        dg += dy[d] * (double)q->weight[MOTLEY_B2][e * D + d];
        a->gradient[MOTLEY_B2][e * D + d] += g * dy[d];
    }
    for (int f = 0; f < F; f++) {
        double first = s->bias ? q->weight[MOTLEY_B1][e * F + f] : 0, third = 0, slope, u = 0;
        for (int d = 0; d < D; d++) {
            first += in * x[d] * w1[f * D + d];
            third += w3 ? in * x[d] * w3[f * D + d] : 0;
            u += (double)dy[d] * w2[d * F + f];
        }
        const double value = reference_activation(s->activation, first, &slope), h = w3 ? value * third : value;
        const double d1 = g * u * slope * (w3 ? third : 1), d3 = g * u * value;
        if (s->activation == MOTLEY_RELU)
            a->closest = fmin(a->closest, fabs(first));
        dg += u * h;
        for (int d = 0; d < D; d++) {
            const double dx = d1 * w1[f * D + d] + (w3 ? d3 * w3[f * D + d] : 0);
            a->y[t * D + d] += g * h * w2[d * F + f];
            a->gradient[MOTLEY_W2][(e * D + d) * F + f] += g * dy[d] * h;
            a->gradient[MOTLEY_W1][(e * F + f) * D + d] += d1 * in * x[d];
            a->dx[t * D + d] += in * dx;
            dg_in += dx * x[d];
            if (w3)
                a->gradient[MOTLEY_W3][(e * F + f) * D + d] += d3 * in * x[d];
        }
        if (s->bias)
            a->gradient[MOTLEY_B1][e * F + f] += d1;
    }
    return q->routing.before ? dg_in : dg;
}

static inline struct answer answer_create(const struct problem *q)
{
    const size_t T = (size_t)q->T, D = (size_t)q->shape.D, K = (size_t)q->shape.K;
    struct answer a = {.closest = INFINITY};
    struct gate_answer gate = gate_forward(q);
    double *dg = zeros(T * K, sizeof *dg);
    a.y = zeros(T * D, sizeof *a.y);
    a.dx = zeros(T * D, sizeof *a.dx);
    a.weights = gate.weights;
    a.indices = gate.indices;
    for (int which = 0; which < WEIGHTS; which++)
        if (q->weight[which])
            a.gradient[which] = zeros(weight_size(&q->shape, which), sizeof(double));
    for (size_t n = 0; n < T * K; n++)
        dg[n] = a.indices[n] < 0 ? 0 : reference_pair(q, &a, (int)(n / K), a.indices[n], a.weights[n]);
    a.losses = gate_backward(q, &gate, dg, a.gradient, a.dx);
    gate_answer_release(&gate);
    free(dg);
    return a;
}

#endif
