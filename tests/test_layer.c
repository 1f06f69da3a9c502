/* The layer on every number of ranks: forward and backward against a reference in double precision, whatever the
 * activation, K, gate and the ranks' tokens; the same bits when repeated; the memory that was promised.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <jansson.h>

#include <motley/motley.h>
#include "base/error.h"
#include "layer_reference.h"
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
static void require(int right, const char *what)
{
    if (right)
        return;
    print_error("rank %d: %s\n", motley_context_rank(context), what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* How tokens lie on ranks. */
enum split { SPLIT_EVEN, SPLIT_LAST_HAS_ALL, SPLIT_FIRST_HAS_NONE };

/* First token of `rank` among T. */
static int first_token(enum split split, int tokens, int rank)
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

static struct held hold(const struct problem *p, enum split split)
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

static void let_go(struct held *held)
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

static motley_plan *make_plan(const struct motley_layer_shape *shape, enum motley_shares shares)
{
    const struct motley_plan_options options = {.tokens = T, .backward = 1, .shares = shares};
    motley_plan *plan = NULL;
    SUCCEED(motley_plan_create(context, shape, &options, &plan, &error));
    return plan;
}

/* 1 and the place of its numbers when `which` of `expert` is on this rank (the gate is on every rank, as expert 0). */
static int mine(const motley_plan *plan, int which, int expert, size_t *first)
{
    const struct motley_plan_rank own = motley_plan_rank(plan, motley_context_rank(context));
    *first = (size_t)expert * (weight_size(motley_plan_shape(plan), which) / E);
    if (which == MOTLEY_GATE)
        return expert == 0;
    for (int i = 0; i < own.experts; i++)
        if (own.expert[i] == expert)
            return 1;
    return 0;
}

static motley_layer *make_layer(const motley_plan *plan, const struct problem *p)
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

static void step(motley_layer *layer, const motley_plan *plan, const struct problem *p, struct held *held)
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
            if (p->weight[which] && mine(plan, which, e, &first))
                SUCCEED(motley_layer_get_gradient(layer, (enum motley_weight)which, e, held->gradient[which] + first,
                                                  &error));
    MPI_Allreduce(MPI_IN_PLACE, held->gradient[MOTLEY_GATE], E * D, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static void near(const char *what, const float *got, const double *wanted, size_t count, double limit)
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

/* Normalised errors.  Rounding a row to bf16 changes a number by 2^-8 of itself at most, which makes a normalised error of
 * 1.5e-3; f16 has 3 bits more.  Forward rounds h, o, a pair's weighted row and y: together 3e-3.  Backward rounds pre, u,
 * dh1, w h and dx besides. */
static const struct { double y, gradient; } LIMIT[] = {{5e-6, 3e-5}, {5e-3, 1e-2}, {7e-4, 1.5e-3}};

static void compare(const motley_plan *plan, const struct problem *p, const struct answer *a, const struct held *held)
{
    static const char *const name[WEIGHTS] = {"dgate", "dw1", "dw2", "dw3", "db1", "db2"};
    const enum motley_dtype dtype = p->shape.dtype;
    const size_t rows = (size_t)held->T * D, pairs = (size_t)(held->T * p->shape.K);
    const size_t first_row = (size_t)held->first * D, first_pair = (size_t)(held->first * p->shape.K);
    size_t first;
    require(memcmp(held->indices, a->indices + first_pair, pairs * sizeof(int32_t)) == 0, "indices differ");
    near("weights", held->weights, a->weights + first_pair, pairs, 1e-6);
    near("y", held->got_y, a->y + first_row, rows, LIMIT[dtype].y);
    near("dx", held->got_dx, a->dx + first_row, rows, LIMIT[dtype].gradient);
    near("dgate", held->gradient[MOTLEY_GATE], a->gradient[MOTLEY_GATE], E * D, LIMIT[dtype].gradient);
    for (int which = MOTLEY_W1; which < WEIGHTS; which++)
        for (int e = 0; e < E; e++)
            if (p->weight[which] && mine(plan, which, e, &first))
                near(name[which], held->gradient[which] + first, a->gradient[which] + first,
                     weight_size(&p->shape, which) / E, LIMIT[dtype].gradient);
}

/* A problem whose relu is never asked for a derivative near 0. */
static struct problem clear_problem(const struct motley_layer_shape *shape, int tokens, enum gate_kind kind,
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

static void check_plan(const motley_plan *plan, int tokens, enum gate_kind kind, enum split split)
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

static void check(const struct motley_layer_shape *shape, int tokens, enum gate_kind kind, enum split split)
{
    motley_plan *plan = make_plan(shape, MOTLEY_SHARES_MEASURED);
    check_plan(plan, tokens, kind, split);
    motley_plan_destroy(plan);
}

static struct motley_layer_shape shape_of(enum motley_activation activation, int K)
{
    return (struct motley_layer_shape){.D = D, .F = F, .E = E, .K = K, .activation = activation};
}

static void every_activation_and_K(void **state)
{
    static const int counts[] = {1, 2, E};
    (void)state;
    for (int activation = MOTLEY_RELU; activation <= MOTLEY_SWIGLU; activation++)
        for (int i = 0; i < 3; i++) {
            struct motley_layer_shape shape = shape_of((enum motley_activation)activation, counts[i]);
            shape.normalize = i % 2;
            check(&shape, T, GATE_SPREAD, SPLIT_EVEN);
        }
}

static void biases(void **state)
{
    (void)state;
    for (int activation = MOTLEY_RELU; activation < MOTLEY_SWIGLU; activation++) {
        struct motley_layer_shape shape = shape_of((enum motley_activation)activation, 2);
        shape.bias = 1;
        shape.normalize = activation == MOTLEY_GELU;
        check(&shape, T, GATE_SPREAD, SPLIT_EVEN);
    }
}

static void uneven_tokens(void **state)
{
    const struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 2);
    (void)state;
    check(&shape, T, GATE_SPREAD, SPLIT_LAST_HAS_ALL);
    check(&shape, T, GATE_SPREAD, SPLIT_FIRST_HAS_NONE);
    check(&shape, 1, GATE_SPREAD, SPLIT_EVEN);
    check(&shape, 0, GATE_SPREAD, SPLIT_EVEN);
}

static void experts_without_rows(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_GELU, 1);
    (void)state;
    shape.bias = 1;
    check(&shape, T, GATE_ONE_EXPERT, SPLIT_EVEN);
    check(&shape, T, GATE_ONE_EXPERT, SPLIT_LAST_HAS_ALL);
}

static void equal_gate_rows(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 3);
    (void)state;
    check(&shape, T, GATE_EQUAL, SPLIT_EVEN);
    shape.normalize = 1;
    check(&shape, T, GATE_EQUAL, SPLIT_FIRST_HAS_NONE);
}

static void forced_experts(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 3);
    (void)state;
    shape.gate = MOTLEY_GATE_FORCED;
    check(&shape, T, GATE_SPREAD, SPLIT_EVEN);
    shape.normalize = 1;
    check(&shape, T, GATE_SPREAD, SPLIT_LAST_HAS_ALL);
}

/* Rows and matrices stored in two bytes. */
static void stored_in_two_bytes(void **state)
{
    (void)state;
    for (int dtype = MOTLEY_BF16; dtype <= MOTLEY_F16; dtype++)
        for (int activation = MOTLEY_RELU; activation <= MOTLEY_SWIGLU; activation++) {
            struct motley_layer_shape shape = shape_of((enum motley_activation)activation, activation % 3 + 1);
            shape.dtype = (enum motley_dtype)dtype;
            shape.bias = activation == MOTLEY_GELU || activation == MOTLEY_SILU;
            shape.normalize = activation == MOTLEY_SWIGLU;
            /* shares are measured once: that takes a while */
            motley_plan *plan = make_plan(&shape, dtype == MOTLEY_BF16 && activation == MOTLEY_SWIGLU
                                                      ? MOTLEY_SHARES_MEASURED : MOTLEY_SHARES_EVEN);
            /* all on one expert with K = 1 only: the weights of others would be too small for f16 */
            check_plan(plan, T, shape.K == 1 ? GATE_ONE_EXPERT : GATE_SPREAD, (enum split)(activation % 3));
            if (activation == MOTLEY_GELU)
                check_plan(plan, 0, GATE_SPREAD, SPLIT_EVEN);
            motley_plan_destroy(plan);
        }
}

/* A token that is not finite reaches its own output and no other. */
static void nonfinite_token_stays_alone(void **state)
{
    (void)state;
    for (int dtype = MOTLEY_F32; dtype <= MOTLEY_F16; dtype++) {
        struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 2);
        shape.dtype = (enum motley_dtype)dtype;
        shape.gate = MOTLEY_GATE_FORCED;
        struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
        p.x[5 * D + 3] = NAN;
        p.x[30 * D] = INFINITY;
        motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
        struct held held = hold(&p, SPLIT_EVEN);
        motley_layer *layer = make_layer(plan, &p);
        SUCCEED(motley_layer_forward(layer, held.x, p.forced + held.first * 2, held.y, &error));
        SUCCEED(motley_tensor_read(held.y, held.got_y, &error));
        for (int i = 0; i < held.T * D; i++) {
            const int token = held.first + i / D;
            require(!isfinite(held.got_y[i]) == (token == 5 || token == 30), "a number that is not finite went astray");
        }
        motley_layer_destroy(layer);
        let_go(&held);
        motley_plan_destroy(plan);
        problem_destroy(&p);
    }
}

/* The same plan with expert e on rank owner[e]. */
static motley_plan *with_owners(const motley_plan *plan, const int *owner)
{
    char *text = NULL;
    motley_plan *moved = NULL;
    json_t *rank;
    size_t r;
    SUCCEED(motley_plan_text(plan, &text, &error));
    json_t *root = json_loads(text, 0, NULL);
    require(root != NULL, "the plan's text is no JSON");
    json_array_foreach(json_object_get(root, "ranks"), r, rank) {
        json_t *experts = json_array();
        for (int e = 0; e < E; e++)
            if (owner[e] == (int)r)
                json_array_append_new(experts, json_integer(e));
        json_object_set_new(rank, "experts", experts);
    }
    free(text);
    text = json_dumps(root, 0);
    SUCCEED(motley_plan_parse(text, &moved, &error));
    free(text);
    json_decref(root);
    return moved;
}

/* A plan may give a rank nothing, or experts that are not neighbours. */
static void ranks_without_experts(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 2);
    const int R = motley_context_size(context);
    int last[E], dealt[E];
    (void)state;
    shape.bias = 1;
    for (int e = 0; e < E; e++) {
        last[e] = R - 1;
        dealt[e] = (R - 1 - e % R) / 2; /* the upper half of the ranks has none */
    }
    const int *owners[] = {last, dealt};
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    for (int i = 0; i < 2; i++) {
        motley_plan *moved = with_owners(plan, owners[i]);
        check_plan(moved, T, GATE_SPREAD, SPLIT_EVEN);
        check_plan(moved, T, GATE_ONE_EXPERT, SPLIT_LAST_HAS_ALL);
        motley_plan_destroy(moved);
    }
    motley_plan_destroy(plan);
}

/* Also after other steps in between, in another layer of the same plan, and in a plan read from its text. */
static void the_same_bits_again(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_GELU, 2);
    (void)state;
    shape.bias = 1;
    struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED),
                   other = problem_create(&shape, T / 2, GATE_SPREAD, SEED + 1);
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_MEASURED), *parsed = NULL;
    char *text = NULL;
    SUCCEED(motley_plan_text(plan, &text, &error));
    SUCCEED(motley_plan_parse(text, &parsed, &error));
    struct held first = hold(&p, SPLIT_EVEN), again = hold(&p, SPLIT_EVEN), between = hold(&other, SPLIT_LAST_HAS_ALL);
    motley_layer *layers[2] = {make_layer(plan, &p), make_layer(parsed, &p)};
    step(layers[0], plan, &p, &first);
    for (int round = 0; round < 4; round++) {
        step(layers[0], plan, &other, &between);
        step(layers[round % 2], plan, &p, &again);
        const size_t rows = (size_t)first.T * D * sizeof(float), pairs = (size_t)first.T * 2 * sizeof(float);
        int same = !memcmp(first.got_y, again.got_y, rows) && !memcmp(first.got_dx, again.got_dx, rows) &&
                   !memcmp(first.weights, again.weights, pairs) && !memcmp(first.indices, again.indices, pairs);
        for (int which = 0; which < WEIGHTS; which++)
            same &= !memcmp(first.gradient[which], again.gradient[which], weight_size(&shape, which) * sizeof(float));
        require(same, "a repeated step gave other bits");
    }
    motley_layer_destroy(layers[0]);
    motley_layer_destroy(layers[1]);
    let_go(&first);
    let_go(&again);
    let_go(&between);
    free(text);
    motley_plan_destroy(parsed);
    motley_plan_destroy(plan);
    problem_destroy(&other);
    problem_destroy(&p);
}

/* The number of tokens may change from step to step, down to none and up again. */
static void tokens_come_and_go(void **state)
{
    static const int tokens[] = {5, T, 0, 17, T};
    const struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 2);
    (void)state;
    struct problem weights = problem_create(&shape, 0, GATE_SPREAD, SEED);
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    motley_layer *layer = make_layer(plan, &weights);
    for (int i = 0; i < 5; i++) {
        struct problem p = problem_create(&shape, tokens[i], GATE_SPREAD, SEED); /* the same weights */
        struct answer a = answer_create(&p);
        struct held held = hold(&p, (enum split)(i % 3));
        step(layer, plan, &p, &held);
        compare(plan, &p, &a, &held);
        let_go(&held);
        answer_destroy(&a);
        problem_destroy(&p);
    }
    motley_layer_destroy(layer);
    motley_plan_destroy(plan);
    problem_destroy(&weights);
}

static void memory_is_what_was_planned(void **state)
{
    (void)state;
    for (int activation = MOTLEY_RELU; activation <= MOTLEY_SWIGLU; activation++) {
        struct motley_layer_shape shape = shape_of((enum motley_activation)activation, 2);
        shape.bias = activation == MOTLEY_SILU;
        shape.dtype = activation == MOTLEY_GELU || activation == MOTLEY_SWIGLU ? MOTLEY_BF16 : MOTLEY_F32;
        struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
        motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
        struct held held = hold(&p, (enum split)(activation % 3)); /* before the layer, which counts what it finds */
        motley_layer *layer = make_layer(plan, &p);
        step(layer, plan, &p, &held);
        char text[128];
        snprintf(text, sizeof text, "activation %d: %llu bytes planned, %llu used", activation,
                 (unsigned long long)motley_layer_planned_bytes(layer),
                 (unsigned long long)motley_layer_peak_bytes(layer));
        require(motley_layer_planned_bytes(layer) == motley_layer_peak_bytes(layer), text);
        motley_layer_destroy(layer);
        let_go(&held);
        motley_plan_destroy(plan);
        problem_destroy(&p);
    }
}

/* What a step says that it moved, counted again from the routing. */
static void traffic_is_counted(void **state)
{
    const struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 3);
    const int rank = motley_context_rank(context), R = motley_context_size(context);
    (void)state;
    struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
    struct answer a = answer_create(&p);
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    struct held held = hold(&p, SPLIT_EVEN);
    motley_layer *layer = make_layer(plan, &p);
    step(layer, plan, &p, &held);
    struct motley_layer_traffic traffic = {0};
    SUCCEED(motley_layer_traffic(layer, &traffic, &error));
    int64_t sent = 0, returned = 0;
    double copies = 0;
    size_t first;
    for (int t = 0; t < T; t++) {
        const int own = t >= held.first && t < held.first + held.T;
        uint64_t ranks = 0;
        for (int k = 0; k < 3; k++) {
            const int expert = a.indices[t * 3 + k];
            const int here = mine(plan, MOTLEY_W1, expert, &first);
            sent += own && !here;
            returned += !own && here;
            for (int r = 0; r < R; r++) {
                const struct motley_plan_rank other = motley_plan_rank(plan, r);
                for (int i = 0; i < other.experts; i++)
                    ranks |= (uint64_t)(other.expert[i] == expert) << r;
            }
        }
        for (; own && ranks; ranks &= ranks - 1)
            copies++;
    }
    require(traffic.rows_sent == sent && traffic.rows_returned == returned, "rows were miscounted");
    require(fabs(traffic.copies_per_token - (held.T ? copies / held.T : 0)) < 1e-12, "copies were miscounted");
    require(traffic.bytes_sent >= (sent + returned) * D * (int64_t)sizeof(float), "fewer bytes than the rows have");
    require(R > 1 || (sent == 0 && traffic.bytes_sent == 0), "one rank sends to nobody");
    require(rank >= 0 && traffic.bytes_sent_nodes == 0, "all ranks are on one node");
    motley_layer_destroy(layer);
    let_go(&held);
    motley_plan_destroy(plan);
    answer_destroy(&a);
    problem_destroy(&p);
}

/* All ranks fail alike, and the layer still works. */
static void mistakes_are_agreed(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 2);
    const int rank = motley_context_rank(context);
    (void)state;
    struct answer a;
    struct problem p = clear_problem(&shape, T, GATE_SPREAD, &a);
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    struct held held = hold(&p, SPLIT_EVEN);
    motley_layer *layer = make_layer(plan, &p);
    motley_tensor *narrow = NULL;
    struct motley_error mistake = {0};
    SUCCEED(motley_tensor_create(context, MOTLEY_F32, held.T, D - 1, &narrow, &error));
    require(motley_layer_backward(layer, held.dy, held.dx, &mistake) == MOTLEY_E_INVALID, "backward before forward");
    mistake.code = 0;
    require(motley_layer_forward(layer, rank == 0 ? narrow : held.x, NULL, held.y, &mistake) == MOTLEY_E_INVALID,
            "x of a wrong width");
    require(mistake.rank == 0 && strstr(mistake.text, "must be") != NULL, "the error is that of rank 0");
    mistake.code = 0;
    require(motley_layer_forward(layer, held.x, a.indices, held.y, &mistake) == MOTLEY_E_INVALID,
            "forced experts for a softmax gate");
    mistake.code = 0;
    size_t first;
    for (int e = 0; e < E; e++)
        if (!mine(plan, MOTLEY_W1, e, &first)) {
            require(motley_layer_set(layer, MOTLEY_W1, e, p.weight[MOTLEY_W1], &mistake) == MOTLEY_E_INVALID,
                    "another rank's expert");
            mistake.code = 0;
        }
    require(motley_layer_set(layer, MOTLEY_W1, E, p.weight[MOTLEY_W1], &mistake) == MOTLEY_E_INVALID,
            "an expert too many");
    mistake.code = 0;
    require(motley_layer_set(layer, MOTLEY_B1, 0, p.weight[MOTLEY_W1], &mistake) == MOTLEY_E_INVALID,
            "a bias where there is none");
    step(layer, plan, &p, &held);
    compare(plan, &p, &a, &held);
    motley_tensor_destroy(narrow);
    motley_layer_destroy(layer);
    let_go(&held);
    motley_plan_destroy(plan);
    answer_destroy(&a);
    problem_destroy(&p);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    printf("seed %llu\n", (unsigned long long)SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_activation_and_K), cmocka_unit_test(biases),
        cmocka_unit_test(uneven_tokens),          cmocka_unit_test(experts_without_rows),
        cmocka_unit_test(equal_gate_rows),        cmocka_unit_test(forced_experts),
        cmocka_unit_test(stored_in_two_bytes),    cmocka_unit_test(nonfinite_token_stays_alone),
        cmocka_unit_test(ranks_without_experts),  cmocka_unit_test(the_same_bits_again),
        cmocka_unit_test(tokens_come_and_go),     cmocka_unit_test(memory_is_what_was_planned),
        cmocka_unit_test(traffic_is_counted),     cmocka_unit_test(mistakes_are_agreed),
    };
    int status = cmocka_run_group_tests_name("layer", tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
