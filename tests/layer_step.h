/* What the tests of the layer share: a problem's tensors and layer on this rank, a step, and its comparison with the
 * reference in double precision.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_LAYER_STEP_H
#define MOTLEY_TESTS_LAYER_STEP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <motley/motley.h>
#include "base/error.h"
#include "device/storage.h"
#include "layer_reference.h"
#include "plan/plan.h"
#include "tests/device.h"

/* No tile divides these, nor 2, 3 or 4 ranks the experts. */
enum { D = 27, F = 37, E = 7, T = 41 };

static const uint64_t SEED = 20260905;

static motley_context *context;

#define SUCCEED(call)                                   \
    do {                                                \
        struct motley_error error = {0};                \
        if (call) {                                     \
            print_error("%s: %s\n", #call, error.text); \
            MPI_Abort(MPI_COMM_WORLD, 1);               \
        }                                               \
    } while (0)

/* A failed check on one rank must not leave the others waiting. */
static inline void require(int right, const char *what)
{
    if (right)
        return;
    print_error("rank %d: %s\n", motley_context_rank(context), what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* How tokens lie on ranks. */
enum split { SPLIT_EVEN, SPLIT_LAST_HAS_ALL, SPLIT_FIRST_HAS_NONE };

/* First token of `rank` among T. */
static inline int first_token(enum split split, int tokens, int rank)
{
    const int R = motley_context_size(context);
    if (rank >= R)
        return tokens;
    if (split == SPLIT_LAST_HAS_ALL)
        return 0;
    if (split == SPLIT_FIRST_HAS_NONE && R > 1)
        return rank == 0 ? 0 : (int)((int64_t)tokens * (rank - 1) / (R - 1));
    return (int)((int64_t)tokens * rank / R);
}

/* What a rank holds of a problem, and what it got. */
struct held {
    int T, first;
    motley_tensor *x, *y, *dy, *dx;
    float *got_y, *got_dx, *weights;
    int32_t *indices;
    float *gradient[WEIGHTS]; /* of this rank's experts, others zero; the gate's summed over ranks */
};

static inline struct held hold(const struct problem *p, enum split split)
{
    const int rank = motley_context_rank(context), K = p->shape.K;
    struct held held = {.first = first_token(split, p->T, rank)};
    held.T = first_token(split, p->T, rank + 1) - held.first;
    motley_tensor **tensor[] = {&held.x, &held.y, &held.dy, &held.dx};
    for (int i = 0; i < 4; i++)
        SUCCEED(motley_tensor_create(context, p->shape.dtype, held.T, D, tensor[i], &error));
    SUCCEED(motley_tensor_write(held.x, p->x + held.first * D, &error));
    SUCCEED(motley_tensor_write(held.dy, p->dy + held.first * D, &error));
    held.got_y = zeros((size_t)held.T * D, sizeof(float));
    held.got_dx = zeros((size_t)held.T * D, sizeof(float));
    held.weights = zeros((size_t)(held.T * K), sizeof(float));
    held.indices = zeros((size_t)(held.T * K), sizeof(int32_t));
    for (int which = 0; which < WEIGHTS; which++)
        held.gradient[which] = zeros(weight_size(&p->shape, which), sizeof(float));
    return held;
}

static inline void let_go(struct held *held)
{
    motley_tensor_destroy(held->x);
    motley_tensor_destroy(held->y);
    motley_tensor_destroy(held->dy);
    motley_tensor_destroy(held->dx);
    free(held->got_y);
    free(held->got_dx);
    free(held->weights);
    free(held->indices);
    for (int which = 0; which < WEIGHTS; which++)
        free(held->gradient[which]);
}

/* Even shares of whole experts, or what seems fastest. */
static inline motley_plan *make_plan(const struct motley_layer_shape *shape, enum motley_shares shares)
{
    const enum motley_mode mode = shares == MOTLEY_SHARES_EVEN ? MOTLEY_MODE_EXPERT : MOTLEY_MODE_AUTO;
    const struct motley_plan_options options = {.tokens = T, .backward = 1, .shares = shares, .mode = mode};
    motley_plan *plan = NULL;
    SUCCEED(motley_plan_create(context, shape, &options, &plan, &error));
    return plan;
}

/* 1 when hidden row f of its experts is on this rank. */
static inline int hidden_here(const motley_plan *plan, int f)
{
    const struct motley_plan_rank own = motley_plan_rank(plan, motley_context_rank(context));
    return f >= own.hidden_begin && f < own.hidden_end;
}

/* 1 when number i of an expert's matrix is on this rank: rows of w1, w3 and b1, columns of w2; b2 where the part
 * begins at 0. */
static inline int number_here(const motley_plan *plan, int which, size_t i)
{
    switch (which) {
    case MOTLEY_W1:
    case MOTLEY_W3: return hidden_here(plan, (int)(i / D));
    case MOTLEY_W2: return hidden_here(plan, (int)(i % F));
    case MOTLEY_B1: return hidden_here(plan, (int)i);
    case MOTLEY_B2: return hidden_here(plan, 0);
    default: return 1;
    }
}

/* 1 and the place of its numbers when `which` of `expert` is on this rank (the gate is on every rank, as expert 0). */
static inline int mine(const motley_plan *plan, int which, int expert, size_t *first)
{
    const struct motley_plan_rank own = motley_plan_rank(plan, motley_context_rank(context));
    *first = (size_t)expert * (weight_size(motley_plan_shape(plan), which) / E);
    if (weight_everywhere(which))
        return expert == 0;
    for (int i = 0; i < own.experts; i++)
        if (own.expert[i] == expert)
            return 1;
    return 0;
}

static inline motley_layer *make_layer(const motley_plan *plan, const struct problem *p)
{
    motley_layer *layer = NULL;
    size_t first;
    SUCCEED(motley_layer_create(context, plan, &layer, &error));
    for (int which = 0; which < WEIGHTS; which++)
        for (int e = 0; e < E; e++)
            if (p->weight[which] && mine(plan, which, e, &first))
                SUCCEED(motley_layer_set(layer, (enum motley_weight)which, e, p->weight[which] + first, &error));
    return layer;
}

/* A correction has none. */
static inline int has_gradient(const struct problem *p, int which)
{
    return p->weight[which] && which != MOTLEY_GATE_CORRECTION;
}

static inline void step(motley_layer *layer, const motley_plan *plan, const struct problem *p, struct held *held)
{
    const int32_t *forced = p->forced ? p->forced + held->first * p->shape.K : NULL;
    size_t first;
    SUCCEED(motley_layer_forward(layer, held->x, forced, held->y, &error));
    SUCCEED(motley_layer_backward(layer, held->dy, held->dx, &error));
    SUCCEED(motley_tensor_read(held->y, held->got_y, &error));
    SUCCEED(motley_tensor_read(held->dx, held->got_dx, &error));
    SUCCEED(motley_layer_routing(layer, held->indices, held->weights, &error));
    for (int which = 0; which < WEIGHTS; which++)
        for (int e = 0; e < E; e++)
            if (has_gradient(p, which) && mine(plan, which, e, &first))
                SUCCEED(motley_layer_get_gradient(layer, (enum motley_weight)which, e, held->gradient[which] + first,
                                                  &error));
    for (int which = 0; which < WEIGHTS; which++)
        if (has_gradient(p, which) && weight_everywhere(which))
            MPI_Allreduce(MPI_IN_PLACE, held->gradient[which], (int)weight_size(&p->shape, which), MPI_FLOAT, MPI_SUM,
                          MPI_COMM_WORLD);
}

static inline void near(const char *what, const float *got, const double *wanted, size_t count, double limit)
{
    double difference = 0, norm = 0;
    char text[128];
    for (size_t i = 0; i < count; i++) {
        difference += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        norm += wanted[i] * wanted[i];
    }
    snprintf(text, sizeof text, "%s: error %.3g of %.3g allowed", what,
             norm > 0 ? sqrt(difference / norm) : sqrt(difference), limit);
    require(sqrt(difference) <= limit * sqrt(norm), text);
}

/* Normalised errors.  Rounding a row to bf16 changes a number by 2^-8 of itself at most, which makes a normalised error
 * of 1.5e-3; f16 has 3 bits more.  Forward rounds h, o, a pair's weighted row and y: together 3e-3.  Backward rounds
 * pre, u, dh1, w h and dx besides. */
static const struct { double y, gradient; } LIMIT[] = {{5e-6, 3e-5}, {5e-3, 1e-2}, {7e-4, 1.5e-3}};

/* Rows that are rounded between ranks alone come from several, and of what they give the gate's gradient takes
 * differences. */
static const double ON_WIRE = 1.5;

/* What this rank has of the gradient of one expert's matrix, against the norm of the whole; the rest is untouched. */
static inline void compare_part(const motley_plan *plan, const char *name, int which, const float *got,
                                const double *wanted, size_t count, double limit)
{
    float *whole = zeros(count, sizeof *whole);
    for (size_t i = 0; i < count; i++) {
        const int here = number_here(plan, which, i);
        require(here || got[i] == 0, "a number of another rank's part was written");
        whole[i] = here ? got[i] : (float)wanted[i];
    }
    near(name, whole, wanted, count, limit);
    free(whole);
}

static inline void compare(const motley_plan *plan, const struct problem *p, const struct answer *a,
                           const struct held *held)
{
    static const char *const name[WEIGHTS] = {"dgate", "dw1", "dw2", "dw3", "db1", "db2", "", "dcos_proj", "dcos_bias",
                                              "dcos_temperature"};
    const enum motley_dtype dtype = motley__storage_narrower(p->shape.dtype, plan->options.wire);
    const double gradient = LIMIT[dtype].gradient * (dtype != p->shape.dtype ? ON_WIRE : 1);
    const size_t rows = (size_t)held->T * D, pairs = (size_t)(held->T * p->shape.K);
    const size_t first_row = (size_t)held->first * D, first_pair = (size_t)(held->first * p->shape.K);
    size_t first;
    require(memcmp(held->indices, a->indices + first_pair, pairs * sizeof(int32_t)) == 0, "indices differ");
    near("weights", held->weights, a->weights + first_pair, pairs, 1e-6);
    near("y", held->got_y, a->y + first_row, rows, LIMIT[dtype].y);
    near("dx", held->got_dx, a->dx + first_row, rows, gradient);
    for (int which = 0; which < WEIGHTS; which++)
        if (has_gradient(p, which) && weight_everywhere(which))
            near(name[which], held->gradient[which], a->gradient[which], weight_size(&p->shape, which),
                 gradient);
    for (int which = MOTLEY_W1; which <= MOTLEY_B2; which++)
        for (int e = 0; e < E; e++)
            if (p->weight[which] && mine(plan, which, e, &first))
                compare_part(plan, name[which], which, held->gradient[which] + first, a->gradient[which] + first,
                             weight_size(&p->shape, which) / E, gradient);
}

/* A problem whose relu is never asked for a derivative near 0. */
static inline struct problem clear_problem(const struct motley_layer_shape *shape, int tokens, enum gate_kind kind,
                                           struct answer *a)
{
    for (uint64_t seed = SEED;; seed++) {
        struct problem p = problem_create(shape, tokens, kind, seed);
        *a = answer_create(&p);
        if (a->closest > 1e-5)
            return p;
        answer_destroy(a);
        problem_destroy(&p);
    }
}

static inline void check_plan(const motley_plan *plan, int tokens, enum gate_kind kind, enum split split)
{
    struct answer a;
    struct problem p = clear_problem(motley_plan_shape(plan), tokens, kind, &a);
    struct held held = hold(&p, split);
    motley_layer *layer = make_layer(plan, &p);
    step(layer, plan, &p, &held);
    compare(plan, &p, &a, &held);
    motley_layer_destroy(layer);
    let_go(&held);
    answer_destroy(&a);
    problem_destroy(&p);
}

static inline void check(const struct motley_layer_shape *shape, int tokens, enum gate_kind kind, enum split split)
{
    motley_plan *plan = make_plan(shape, MOTLEY_SHARES_MEASURED);
    check_plan(plan, tokens, kind, split);
    motley_plan_destroy(plan);
}

static inline struct motley_layer_shape shape_of(enum motley_activation activation, int K)
{
    return (struct motley_layer_shape){.D = D, .F = F, .E = E, .K = K, .activation = activation};
}

static inline struct motley_layer_shape shape_with_gate(enum motley_gate gate, int K)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, K);
    shape.gate = gate;
    shape.gate_width = gate == MOTLEY_GATE_COSINE ? 11 : 0;
    return shape;
}

/* What was promised of device memory is what was taken. */
static inline void check_planned(const motley_layer *layer, const char *what)
{
    char text[160];
    snprintf(text, sizeof text, "%s: %llu bytes planned, %llu used", what,
             (unsigned long long)motley_layer_planned_bytes(layer),
             (unsigned long long)motley_layer_peak_bytes(layer));
    require(motley_layer_planned_bytes(layer) == motley_layer_peak_bytes(layer), text);
}

/* The number of tokens may change from step to step, down to none and up again. */
static inline void check_changing_tokens(const motley_plan *plan)
{
    static const int tokens[] = {5, T, 0, 17, T};
    const struct motley_layer_shape *shape = motley_plan_shape(plan);
    struct problem weights = problem_create(shape, 0, GATE_SPREAD, SEED);
    motley_layer *layer = make_layer(plan, &weights);
    for (int i = 0; i < 5; i++) {
        struct problem p = problem_create(shape, tokens[i], GATE_SPREAD, SEED); /* the same weights */
        struct answer a = answer_create(&p);
        struct held held = hold(&p, (enum split)(i % 3));
        step(layer, plan, &p, &held);
        compare(plan, &p, &a, &held);
        let_go(&held);
        answer_destroy(&a);
        problem_destroy(&p);
    }
    motley_layer_destroy(layer);
    problem_destroy(&weights);
}

#endif
