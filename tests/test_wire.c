/* The layer in f32 whose rows travel in bf16 or f16: against the reference in double precision, the memory that was
 * promised, and half the bytes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "context.h"
#include "layer_parts.h"

/* How rows travel besides. */
static const struct { const char *exchange; int chunks, duplicate; } WAYS[] = {
    {"linear", 1, 0}, {"linear", 4, 0}, {"linear", 2, 1}, {"hierarchical", 1, 0}, {"hierarchical", 4, 0},
};
enum { WAYS_COUNT = sizeof WAYS / sizeof *WAYS };

/* The same plan, rows travelling so in that type. */
static motley_plan *narrowed(const motley_plan *plan, int way, const char *wire)
{
    motley_plan *changed = NULL;
    json_t *root = plan_json(plan);
    require(root != NULL, "the plan's text is no JSON");
    json_object_set_new(root, "exchange", json_string(WAYS[way].exchange));
    json_object_set_new(root, "pipeline", json_integer(WAYS[way].chunks));
    json_object_set_new(json_object_get(root, "options"), "duplicate", json_boolean(WAYS[way].duplicate));
    json_object_set_new(json_object_get(root, "options"), "wire", json_string(wire));
    SUCCEED(parse_plan(root, &changed, &error));
    return changed;
}

/* Ranks sit on two nodes, by turns. */
static void settle(void)
{
    static int node_of[4] = {0, 1, 0, 1};
    context->node_of = node_of;
}

/* Whole experts, slices and groups; every way. */
static void results_are_rounded_once_a_way(void **state)
{
    const int R = motley_context_size(context);
    (void)state;
    for (int variant = 0; variant <= VARIANTS; variant++)
        for (int way = 0; way < WAYS_COUNT; way++) {
            const struct motley_layer_shape shape = shape_of(way % 2 ? MOTLEY_SWIGLU : MOTLEY_SILU, 3);
            motley_plan *even = make_plan(&shape, MOTLEY_SHARES_EVEN), *parts = NULL;
            if (variant < VARIANTS)
                parts = with_parts(even, SLICES[R - 1][variant].mode, SLICES[R - 1][variant].groups,
                                   SLICES[R - 1][variant].part);
            motley_plan *plan = narrowed(parts ? parts : even, way, (way + variant) % 2 ? "f16" : "bf16");
            check_plan(plan, T, GATE_SPREAD, SPLIT_EVEN);
            check_plan(plan, T, GATE_ONE_EXPERT, SPLIT_FIRST_HAS_NONE);
            check_memory(plan, SPLIT_LAST_HAS_ALL);
            motley_plan_destroy(plan);
            motley_plan_destroy(parts);
            motley_plan_destroy(even);
        }
}

struct outcome {
    struct held held;
    struct motley_layer_traffic traffic;
};

static struct outcome run(const motley_plan *plan, const struct problem *p)
{
    struct outcome outcome = {.held = hold(p, SPLIT_EVEN)};
    motley_layer *layer = make_layer(plan, p);
    step(layer, plan, p, &outcome.held);
    SUCCEED(motley_layer_traffic(layer, &outcome.traffic, &error));
    motley_layer_destroy(layer);
    return outcome;
}

/* A row less by half, there and back; rows that go nowhere are not rounded. */
static void rows_take_half_the_bytes(void **state)
{
    const struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 3);
    struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
    motley_plan *even = make_plan(&shape, MOTLEY_SHARES_EVEN);
    (void)state;
    for (int way = 0; way < 3; way++) {
        motley_plan *plan[] = {narrowed(even, way, "f32"), narrowed(even, way, "bf16")};
        struct outcome wide = run(plan[0], &p), narrow = run(plan[1], &p);
        const int64_t rows = wide.traffic.rows_sent + wide.traffic.rows_returned;
        require(narrow.traffic.rows_sent == wide.traffic.rows_sent, "other rows travelled");
        require(wide.traffic.bytes_sent - narrow.traffic.bytes_sent == 2 * rows * D, "not half the bytes of a row");
        require(!wide.traffic.rows_sent == !memcmp(wide.held.got_y, narrow.held.got_y,
                                                   sizeof(float) * (size_t)wide.held.T * D),
                "rows that travel are rounded, and those alone");
        let_go(&wide.held);
        let_go(&narrow.held);
        for (int i = 0; i < 2; i++)
            motley_plan_destroy(plan[i]);
    }
    motley_plan_destroy(even);
    problem_destroy(&p);
}

/* A wire is as wide as what it carries, or narrower. */
static void unlike_types_are_refused(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 2);
    struct motley_error error = {0};
    motley_plan *plan = NULL;
    (void)state;
    shape.dtype = MOTLEY_BF16;
    const struct motley_plan_options options = {.tokens = T, .shares = MOTLEY_SHARES_EVEN, .wire = MOTLEY_F16};
    require(motley_plan_create(context, &shape, &options, &plan, &error) == MOTLEY_E_INVALID, "bf16 rows as f16");
    require(strstr(error.text, "bf16") && strstr(error.text, "f16"), "the sentence names both types");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_rounded_once_a_way),
        cmocka_unit_test(rows_take_half_the_bytes),
        cmocka_unit_test(unlike_types_are_refused),
    };
    motley__test_context(&argc, &argv, &context);
    printf("seed %llu\n", (unsigned long long)SEED);
    int *const real_nodes = context->node_of;
    settle();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    context->node_of = real_nodes;
    motley_context_destroy(context);
    MPI_Finalize();
    return failed;
}
