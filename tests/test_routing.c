/* Routing as the caller wants it from call to call: K, capacity, the order in which choices count; against a reference
 * in double precision, at every number of ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer_step.h"

/* One step under a plan, routed so; routing.K is that of the problem, whatever the plan's. */
static void check_routing(motley_layer *layer, const motley_plan *plan, const struct motley_routing *routing, int tokens,
                          enum gate_kind kind, enum split split)
{
    struct motley_layer_shape shape = *motley_plan_shape(plan);
    shape.K = routing->K ? routing->K : shape.K;
    struct problem p = problem_create(&shape, tokens, kind, SEED);
    p.routing = *routing;
    struct answer a = answer_create(&p);
    struct held held = hold(&p, split);
    SUCCEED(motley_layer_set_routing(layer, routing, &error));
    step(layer, plan, &p, &held);
    compare(plan, &p, &a, &held);
    let_go(&held);
    answer_destroy(&a);
    problem_destroy(&p);
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
        SUCCEED(motley_layer_set_routing(layer, &(struct motley_routing){.capacity = 0.5, .prioritised = i % 2}, &error));
        step(layer, plan, &p, &held);
        char text[128];
        snprintf(text, sizeof text, "%llu bytes planned, %llu used",
                 (unsigned long long)motley_layer_planned_bytes(layer),
                 (unsigned long long)motley_layer_peak_bytes(layer));
        require(motley_layer_planned_bytes(layer) == motley_layer_peak_bytes(layer), text);
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
        cmocka_unit_test(memory_is_what_was_planned),
        cmocka_unit_test(mistakes_are_agreed),
    };
    int status = cmocka_run_group_tests_name("routing", tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
