/* Routing as the caller wants it from call to call: K, capacity, the order in which choices count, noise, weights
 * before or after the experts, auxiliary losses; against a reference in double precision, at every number of ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "context.h"
#include "layer/state.h"
#include "layer_step.h"
#include "plan_json.h"

static void same_value(const char *what, double got, double wanted)
{
    char text[128];
    snprintf(text, sizeof text, "%s is %.9g, expected %.9g", what, got, wanted);
    require(fabs(got - wanted) <= 1e-5 * fabs(wanted) + 1e-6, text);
}

/* Nothing is computed where nothing is wanted. */
static void compare_losses(const motley_layer *layer, const struct problem *p, const struct answer *a)
{
    const struct motley_losses got = motley_layer_losses(layer), *wanted = &p->losses;
    const int any = wanted->balance != 0 || wanted->z != 0 || wanted->importance != 0;
    same_value("balance", got.balance, any ? a->losses.balance : 0);
    same_value("z", got.z, any ? a->losses.z : 0);
    same_value("importance", got.importance, wanted->importance != 0 ? a->losses.importance : 0);
}

/* One step under a plan, routed so; routing.K is that of the problem, whatever the plan's. */
static void check_losses(motley_layer *layer, const motley_plan *plan, const struct motley_routing *routing,
                         const struct motley_losses *losses, int tokens, enum gate_kind kind, enum split split)
{
    struct motley_layer_shape shape = *motley_plan_shape(plan);
    shape.K = routing->K ? routing->K : shape.K;
    struct problem p = problem_create(&shape, tokens, kind, SEED);
    p.routing = *routing;
    p.losses = *losses;
    struct answer a = answer_create(&p);
    struct held held = hold(&p, split);
    SUCCEED(motley_layer_set_losses(layer, &(struct motley_losses){0}, &error));
    SUCCEED(motley_layer_set_routing(layer, routing, &error));
    SUCCEED(motley_layer_set_losses(layer, losses, &error));
    step(layer, plan, &p, &held);
    compare(plan, &p, &a, &held);
    compare_losses(layer, &p, &a);
    let_go(&held);
    answer_destroy(&a);
    problem_destroy(&p);
}

static void check_routing(motley_layer *layer, const motley_plan *plan, const struct motley_routing *routing,
                          int tokens, enum gate_kind kind, enum split split)
{
    check_losses(layer, plan, routing, &(struct motley_losses){0}, tokens, kind, split);
}

/* A layer with the weights of every problem of this shape and kind. */
static motley_layer *layer_for(const motley_plan *plan, enum gate_kind kind)
{
    struct problem p = problem_create(motley_plan_shape(plan), 0, kind, SEED);
    motley_layer *layer = make_layer(plan, &p);
    problem_destroy(&p);
    return layer;
}

static motley_plan *plan_in(const struct motley_layer_shape *shape, enum motley_mode mode)
{
    const struct motley_plan_options options = {.tokens = T, .backward = 1, .shares = MOTLEY_SHARES_EVEN, .mode = mode,
        .pipeline = mode == MOTLEY_MODE_EXPERT && motley_context_size(context) > 1 ? 2 : 0};
    motley_plan *plan = NULL;
    SUCCEED(motley_plan_create(context, shape, &options, &plan, &error));
    return plan;
}

/* Any K at every call, under one plan and in one layer. */
static void K_changes_from_call_to_call(void **state)
{
    static const int counts[] = {1, 5, 0, E, 3};
    const struct motley_layer_shape shape = shape_with_gate(MOTLEY_GATE_SOFTMAX, 2);
    (void)state;
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    motley_layer *layer = layer_for(plan, GATE_SPREAD);
    for (int i = 0; i < 5; i++)
        check_routing(layer, plan, &(struct motley_routing){.K = counts[i]}, T, GATE_SPREAD, (enum split)(i % 3));
    motley_layer_destroy(layer);
    motley_plan_destroy(plan);
}

/* Every gate and mode, capacities from none at all to more than is asked for, tokens on all ranks, on one, on few. */
static void choices_beyond_capacity_are_dropped(void **state)
{
    static const double factors[] = {0.75, -1.25, 0, 0.1, 100, -0.5};
    static const enum motley_mode modes[] = {MOTLEY_MODE_EXPERT, MOTLEY_MODE_MODEL, MOTLEY_MODE_DATA};
    (void)state;
    for (int gate = MOTLEY_GATE_SOFTMAX; gate <= MOTLEY_GATE_FORCED; gate++)
        for (int kind = GATE_SPREAD; kind <= GATE_ONE_EXPERT; kind++) {
            struct motley_layer_shape shape = shape_with_gate((enum motley_gate)gate, 2);
            shape.normalize = (gate + kind) % 2;
            if (gate == MOTLEY_GATE_FORCED && kind == GATE_ONE_EXPERT)
                continue; /* the scores of all experts but one vanish, and with them what could be compared */
            motley_plan *plan = plan_in(&shape, modes[(gate + kind) % 3]);
            motley_layer *layer = layer_for(plan, (enum gate_kind)kind);
            for (int i = 0; i < 12; i++)
                check_routing(layer, plan, &(struct motley_routing){.capacity = factors[i % 6], .prioritised = i / 6,
                                                                    .K = i % 4 == 3 ? 3 : 0},
                              i == 5 ? 0 : i == 7 ? 3 : T, (enum gate_kind)kind, (enum split)(i % 3));
            motley_layer_destroy(layer);
            motley_plan_destroy(plan);
        }
}

/* Combination i of all that can be asked for with a gate. */
static struct motley_routing combination(int i)
{
    static const struct { double capacity; int prioritised; } drops[] = {{0, 0}, {0.75, 0}, {-0.75, 1}, {0, 1}};
    const int drop = i >> 3 & 3;
    return (struct motley_routing){.K = i & 1 ? 3 : 0, .before = i >> 1 & 1, .noise = i >> 2 & 1 ? 1.5 : 0, .seed = 7,
                                   .capacity = drops[drop].capacity, .prioritised = drops[drop].prioritised};
}
enum { COMBINATIONS = 1 << 5 };

static struct motley_losses losses_of(enum motley_gate gate, const struct motley_routing *routing)
{
    return (struct motley_losses){.balance = 0.5, .z = gate == MOTLEY_GATE_SIGMOID ? 0 : 0.3,
        .importance = routing->noise > 0 && gate != MOTLEY_GATE_SIGMOID && gate != MOTLEY_GATE_FORCED ? 2 : 0};
}

static void everything_goes_with_everything(void **state)
{
    static const enum motley_mode modes[] = {MOTLEY_MODE_EXPERT, MOTLEY_MODE_MODEL, MOTLEY_MODE_DATA};
    (void)state;
    for (int gate = MOTLEY_GATE_SOFTMAX; gate <= MOTLEY_GATE_FORCED; gate++)
        for (int i = 0; i < 4; i++) {
            struct motley_layer_shape shape = shape_with_gate((enum motley_gate)gate, 2);
            shape.normalize = i % 2;
            shape.activation = i / 2 ? MOTLEY_GELU : MOTLEY_SWIGLU;
            shape.bias = i / 2;
            motley_plan *plan = plan_in(&shape, modes[(gate + i) % 3]);
            motley_layer *layer = layer_for(plan, GATE_SPREAD);
            for (int j = i / 2; j < COMBINATIONS; j += 2) {
                const struct motley_routing routing = combination(j);
                const struct motley_losses losses = losses_of((enum motley_gate)gate, &routing);
                check_losses(layer, plan, &routing, (j + gate) % 3 ? &losses : &(struct motley_losses){0},
                             j == 13 ? 0 : j == 22 ? 2 : T, GATE_SPREAD, (enum split)(j % 3));
            }
            motley_layer_destroy(layer);
            motley_plan_destroy(plan);
        }
}

/* Even shares of the ranks of two nodes, rows through gateways in so many chunks. */
static motley_plan *plan_across(const struct motley_layer_shape *shape, int chunks)
{
    motley_plan *plan = make_plan(shape, MOTLEY_SHARES_EVEN), *across = NULL;
    json_t *root = plan_json(plan);
    json_object_set_new(root, "exchange", json_string("hierarchical"));
    json_object_set_new(root, "pipeline", json_integer(chunks));
    SUCCEED(parse_plan(root, &across, &error));
    motley_plan_destroy(plan);
    return across;
}
static int two_nodes[] = {0, 1, 1, 0};

static void everything_goes_through_gateways(void **state)
{
    int *node_of = context->node_of;
    (void)state;
    if (motley_context_size(context) == 1)
        skip();
    context->node_of = two_nodes;
    for (int gate = MOTLEY_GATE_SOFTMAX; gate <= MOTLEY_GATE_FORCED; gate++) {
        const struct motley_layer_shape shape = shape_with_gate((enum motley_gate)gate, 2);
        motley_plan *across = plan_across(&shape, 1 << gate % 4);
        motley_layer *layer = layer_for(across, GATE_SPREAD);
        for (int i = gate % 2; i < COMBINATIONS; i += 3) {
            const struct motley_routing routing = combination(i);
            const struct motley_losses losses = losses_of((enum motley_gate)gate, &routing);
            check_losses(layer, across, &routing, &losses, T, GATE_SPREAD, (enum split)(i % 3));
        }
        motley_layer_destroy(layer);
        motley_plan_destroy(across);
    }
    context->node_of = node_of;
}

/* Through gateways in 8 chunks, with a capacity by score, noise and losses, the list of operators is as long as it can
 * be: longer than a word has bits. */
static void the_longest_step_runs(void **state)
{
    const struct motley_layer_shape shape = shape_with_gate(MOTLEY_GATE_SOFTMAX, 2);
    const struct motley_routing routing = {.capacity = 0.75, .prioritised = 1, .noise = 1, .before = 1};
    const struct motley_losses losses = losses_of(shape.gate, &routing);
    int *node_of = context->node_of;
    (void)state;
    if (motley_context_size(context) == 1)
        skip();
    context->node_of = two_nodes;
    motley_plan *plan = plan_across(&shape, MOTLEY__CHUNKS_MOST);
    motley_layer *layer = layer_for(plan, GATE_SPREAD);
    check_losses(layer, plan, &routing, &losses, T, GATE_SPREAD, SPLIT_EVEN);
    require(layer->forward.count > 64 && layer->backward.count > 64, "a list was shorter than a word");
    require(layer->forward.count <= MOTLEY__STEP_LIMIT / 2, "a list has hardly any room");
    motley_layer_destroy(layer);
    motley_plan_destroy(plan);
    context->node_of = node_of;
}

/* The same memory as promised, whatever is dropped. */
static void memory_is_what_was_planned(void **state)
{
    const struct motley_layer_shape shape = shape_with_gate(MOTLEY_GATE_COSINE, 2);
    (void)state;
    for (int i = 0; i < 6; i++) {
        motley_plan *plan = plan_in(&shape, i < 3 ? MOTLEY_MODE_EXPERT : MOTLEY_MODE_DATA);
        struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
        struct held held = hold(&p, (enum split)(i % 3));
        motley_layer *layer = make_layer(plan, &p);
        const struct motley_routing routing = {.capacity = 0.5, .prioritised = i % 2, .noise = i % 3, .before = i % 2};
        const struct motley_losses losses = losses_of(shape.gate, &routing);
        SUCCEED(motley_layer_set_routing(layer, &routing, &error));
        SUCCEED(motley_layer_set_losses(layer, &losses, &error));
        step(layer, plan, &p, &held);
        check_planned(layer, "a routing");
        motley_layer_destroy(layer);
        let_go(&held);
        problem_destroy(&p);
        motley_plan_destroy(plan);
    }
}

static void refused(motley_layer *layer, struct motley_routing routing, enum motley_status code, const char *words)
{
    struct motley_error mistake = {0};
    require(motley_layer_set_routing(layer, &routing, &mistake) == (int)code && strstr(mistake.text, words), words);
}

static void refused_losses(motley_layer *layer, struct motley_losses losses, const char *words)
{
    struct motley_error mistake = {0};
    const int code = motley_layer_set_losses(layer, &losses, &mistake);
    require(code == MOTLEY_E_INVALID && strstr(mistake.text, words), words);
}

static void losses_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    for (int gate = MOTLEY_GATE_SOFTMAX; gate <= MOTLEY_GATE_FORCED; gate++) {
        const struct motley_layer_shape shape = shape_with_gate((enum motley_gate)gate, 2);
        motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
        motley_layer *layer = layer_for(plan, GATE_SPREAD);
        const int fits = gate == MOTLEY_GATE_SOFTMAX || gate == MOTLEY_GATE_COSINE;
        refused_losses(layer, (struct motley_losses){.balance = NAN}, "expected finite numbers");
        refused_losses(layer, (struct motley_losses){.importance = 1},
                       fits ? "expected noise above 0" : "expected a softmax or cosine gate");
        if (gate == MOTLEY_GATE_SIGMOID)
            refused_losses(layer, (struct motley_losses){.z = 1}, "with a sigmoid gate");
        if (fits) {
            SUCCEED(motley_layer_set_routing(layer, &(struct motley_routing){.noise = 1}, &error));
            SUCCEED(motley_layer_set_losses(layer, &(struct motley_losses){.importance = 1}, &error));
            refused(layer, (struct motley_routing){0}, MOTLEY_E_INVALID, "expected noise above 0");
        }
        refused(layer, (struct motley_routing){.noise = -1}, MOTLEY_E_INVALID, "0 or more");
        refused(layer, (struct motley_routing){.noise = NAN}, MOTLEY_E_INVALID, "0 or more");
        motley_layer_destroy(layer);
        motley_plan_destroy(plan);
    }
}

static void mistakes_are_agreed(void **state)
{
    const struct motley_layer_shape shape = shape_with_gate(MOTLEY_GATE_SOFTMAX, 2);
    const int R = motley_context_size(context), me = motley_context_rank(context);
    (void)state;
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    motley_layer *layer = layer_for(plan, GATE_SPREAD);
    refused(layer, (struct motley_routing){.K = E + 1}, MOTLEY_E_INVALID, "expected 1 to E = 7");
    refused(layer, (struct motley_routing){.K = -1}, MOTLEY_E_INVALID, "expected 1 to E = 7");
    refused(layer, (struct motley_routing){.capacity = NAN}, MOTLEY_E_INVALID, "expected a finite number");
    refused(layer, (struct motley_routing){.capacity = INFINITY}, MOTLEY_E_INVALID, "expected a finite number");
    if (R > 1)
        refused(layer, (struct motley_routing){.capacity = me ? 1 : 2}, MOTLEY_E_MISMATCH, "capacity is 1 on one rank");
    check_routing(layer, plan, &(struct motley_routing){0}, T, GATE_SPREAD, SPLIT_EVEN);
    motley_layer_destroy(layer);
    motley_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    printf("seed %llu\n", (unsigned long long)SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(K_changes_from_call_to_call),
        cmocka_unit_test(choices_beyond_capacity_are_dropped),
        cmocka_unit_test(everything_goes_with_everything),
        cmocka_unit_test(everything_goes_through_gateways),
        cmocka_unit_test(the_longest_step_runs),
        cmocka_unit_test(memory_is_what_was_planned),
        cmocka_unit_test(losses_that_do_not_fit_are_refused),
        cmocka_unit_test(mistakes_are_agreed),
    };
    int status = cmocka_run_group_tests_name("routing", tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
