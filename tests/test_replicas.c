/* Replicas of experts on every number of ranks: results are the reference's, whoever serves which rows; the same bits
 * when repeated; the memory that was promised; and in inference replicas follow what their owners were given.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "context.h"
#include "layer_step.h"
#include "plan_json.h"
#include "layer/layer.h"

/* Ways to hold experts and replicas. */
enum way {
    DEALT,        /* expert e on rank e % R, every third expert also on the next rank */
    EVERYWHERE,   /* ... and all of them on all ranks, each serving as much */
    ONE_STORES,   /* rank 0 has all experts, the others replicas of some */
    GROUPS,       /* two groups that share hidden dimensions, each with replicas of the other's */
    WAYS
};

static int group_of(enum way way, int r, int R)
{
    if (way == ONE_STORES)
        return r == 0 ? 0 : -1;
    return way == GROUPS ? r >= (R + 1) / 2 : r;
}

static int groups_of(enum way way, int R)
{
    return way == ONE_STORES || R == 1 ? 1 : way == GROUPS ? 2 : R;
}

/* The lowest rank that may have a replica for the i-th time: with GROUPS the first of the two groups. */
static json_t *replicas(enum way way, int R)
{
    json_t *list = json_array();
    for (int e = 0; e < E; e++) {
        const int groups = groups_of(way, R), owner = way == ONE_STORES ? 0 : e % groups;
        for (int r = 0; r < R; r++) {
            const int g = way == ONE_STORES ? r : group_of(way, r, R);
            const int lowest = way != GROUPS || r == 0 || group_of(way, r - 1, R) != g;
            const int wanted = way == EVERYWHERE || way == GROUPS || (way == DEALT && e % 3 == 0 && r == (e + 1) % R) ||
                               (way == ONE_STORES && e % R >= r);
            if (g != owner && lowest && wanted)
                json_array_append_new(list, json_pack("{s:i, s:i, s:f}", "expert", e, "rank", r, "part",
                                                      way == DEALT ? 0.6 : 1.0 / R));
        }
    }
    return list;
}

/* With rows through gateways, where the ranks are on several nodes. */
static int *real_nodes;
static int across(void)
{
    return context->node_of != real_nodes;
}

/* Nodes of four ranks: as many on each, three and one, two groups of replicas that each have a rank on both. */
enum { HOUSES = 3 };
static int node_of[HOUSES][4] = {{0, 0, 1, 1}, {0, 1, 1, 1}, {0, 1, 0, 1}};

/* For each house: everybody moves in; at last back to where the ranks are. */
static void move_in(int house)
{
    context->node_of = house < HOUSES ? node_of[house] : real_nodes;
}

static motley_plan *with_replicas(const motley_plan *plan, enum way way, int chunks)
{
    const int R = motley_context_size(context), groups = groups_of(way, R);
    motley_plan *made = NULL;
    json_t *rank;
    size_t r;
    json_t *root = plan_json(plan);
    require(root != NULL, "the plan's text is no JSON");
    json_object_set_new(root, "mode", json_string(way == GROUPS && R > 2 ? "hybrid" : "expert"));
    json_array_foreach(json_object_get(root, "ranks"), r, rank) {
        const int g = group_of(way, (int)r, R), first = way == GROUPS && g == 1 ? (R + 1) / 2 : 0;
        const int size = way == GROUPS ? (g == 1 ? R - first : (R + 1) / 2) : 1, at = (int)r - first;
        json_t *experts = json_array();
        for (int e = 0; e < E; e++)
            if (e % groups == g)
                json_array_append_new(experts, json_integer(e));
        json_object_set_new(rank, "experts", experts);
        json_object_set_new(rank, "hidden", way == GROUPS ? json_pack("[i, i]", F * at / size, F * (at + 1) / size)
                                                         : json_pack("[i, i]", 0, F));
    }
    if (R > 1) {
        json_object_set_new(root, "replicas", replicas(way, R));
        json_object_set_new(root, "pipeline", json_integer(chunks));
        json_object_set_new(root, "exchange", json_string(across() ? "hierarchical" : "linear"));
    }
    SUCCEED(parse_plan(root, &made, &error));
    return made;
}

static motley_plan *plan_of(const struct motley_layer_shape *shape, enum way way, int chunks)
{
    motley_plan *even = make_plan(shape, MOTLEY_SHARES_EVEN), *plan = with_replicas(even, way, chunks);
    motley_plan_destroy(even);
    return plan;
}

static void check_results(int first_chunks)
{
    for (int way = 0; way < WAYS; way++)
        for (int i = 0; i < 3; i++) {
            struct motley_layer_shape shape = shape_of(i == 1 ? MOTLEY_GELU : MOTLEY_SWIGLU, i == 2 ? 1 : 3);
            shape.bias = i == 1;
            shape.dtype = i == 2 && way == EVERYWHERE ? MOTLEY_BF16 : MOTLEY_F32;
            motley_plan *plan = plan_of(&shape, (enum way)way, first_chunks << i);
            check_plan(plan, T, GATE_SPREAD, (enum split)i);
            check_plan(plan, T, GATE_ONE_EXPERT, (enum split)((i + 1) % 3));
            check_plan(plan, i, GATE_SPREAD, SPLIT_EVEN);
            motley_plan_destroy(plan);
        }
}

static void results_are_the_references(void **state)
{
    (void)state;
    check_results(1);
}

/* Sources say which copy serves a guest, so slices on several nodes are of one. */
static void results_are_the_references_across(void **state)
{
    (void)state;
    if (motley_context_size(context) == 1)
        skip();
    for (int house = 0; house < HOUSES; house++) {
        if (motley_context_size(context) < 4 && house != 1) /* the others are of four ranks */
            continue;
        move_in(house);
        check_results(1 + house % 2);
    }
    move_in(HOUSES);
}

/* A hot expert's rows are on several ranks: nobody has more than its part and half a lot of each rank's tokens. */
static void check_hot_expert(void)
{
    enum { TOKENS = 480 };
    const int R = motley_context_size(context);
    const struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 1);
    motley_plan *plan = plan_of(&shape, EVERYWHERE, 1);
    struct problem p = problem_create(&shape, TOKENS, GATE_ONE_EXPERT, SEED);
    struct held held = hold(&p, SPLIT_EVEN);
    motley_layer *layer = make_layer(plan, &p);
    char text[96];
    step(layer, plan, &p, &held);
    snprintf(text, sizeof text, "%d of %d pairs", motley__layer_pairs(layer), TOKENS);
    require(motley__layer_pairs(layer) <= TOKENS / R + TOKENS / 16, text);
    struct motley_layer_traffic traffic;
    SUCCEED(motley_layer_traffic(layer, &traffic, &error));
    require(traffic.rows_sent <= TOKENS / 16, "rows travel that their own rank could serve");
    motley_layer_destroy(layer);
    let_go(&held);
    motley_plan_destroy(plan);
    problem_destroy(&p);
}

static void rows_of_a_hot_expert_are_split(void **state)
{
    (void)state;
    for (int house = 0; house <= HOUSES; house++) {
        move_in(house);
        check_hot_expert();
    }
}

static void check_bits_and_memory(void)
{
    for (int way = 0; way < WAYS; way++) {
        struct motley_layer_shape shape = shape_of(MOTLEY_GELU, 2);
        shape.bias = 1;
        motley_plan *plan = plan_of(&shape, (enum way)way, 1 + way % 2);
        struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
        struct held first = hold(&p, SPLIT_EVEN), again = hold(&p, SPLIT_EVEN);
        motley_layer *layer = make_layer(plan, &p);
        step(layer, plan, &p, &first);
        step(layer, plan, &p, &again);
        int same = !memcmp(first.got_y, again.got_y, (size_t)first.T * D * sizeof(float)) &&
                   !memcmp(first.got_dx, again.got_dx, (size_t)first.T * D * sizeof(float));
        for (int which = 0; which < WEIGHTS; which++)
            same &= !memcmp(first.gradient[which], again.gradient[which], weight_size(&shape, which) * sizeof(float));
        require(same, "a repeated step gave other bits");
        char text[96];
        snprintf(text, sizeof text, "way %d: %llu bytes planned, %llu used", way,
                 (unsigned long long)motley_layer_planned_bytes(layer),
                 (unsigned long long)motley_layer_peak_bytes(layer));
        require(motley_layer_planned_bytes(layer) == motley_layer_peak_bytes(layer), text);
        motley_layer_destroy(layer);
        let_go(&first);
        let_go(&again);
        motley_plan_destroy(plan);
        problem_destroy(&p);
    }
}

static void the_same_bits_and_memory(void **state)
{
    (void)state;
    for (int house = 0; house <= HOUSES; house += HOUSES) {
        move_in(house);
        check_bits_and_memory();
    }
}

static void check_output(motley_layer *layer, const struct problem *p, struct held *held)
{
    struct answer a = answer_create(p);
    SUCCEED(motley_layer_forward(layer, held->x, NULL, held->y, &error));
    SUCCEED(motley_tensor_read(held->y, held->got_y, &error));
    near("y", held->got_y, a.y + (size_t)held->first * D, (size_t)held->T * D, LIMIT[MOTLEY_F32].y);
    answer_destroy(&a);
}

/* Weights are set again on one rank alone, after a step. */
static void inference_follows_the_owner(void **state)
{
    const struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 2);
    struct motley_plan_options options = {.tokens = T, .shares = MOTLEY_SHARES_EVEN, .mode = MOTLEY_MODE_EXPERT};
    motley_plan *even = NULL;
    (void)state;
    SUCCEED(motley_plan_create(context, &shape, &options, &even, &error));
    for (int way = 0; way < WAYS; way++) {
        motley_plan *plan = with_replicas(even, (enum way)way, 2 - way % 2);
        struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
        struct held held = hold(&p, SPLIT_EVEN);
        motley_layer *layer = make_layer(plan, &p);
        size_t first;
        for (int round = 0; round < 3; round++) {
            check_output(layer, &p, &held);
            check_output(layer, &p, &held);
            const int e = (round + 3) % E; /* only its owners set it */
            for (size_t i = 0; i < weight_size(&shape, MOTLEY_W2) / E; i++)
                p.weight[MOTLEY_W2][(size_t)e * (weight_size(&shape, MOTLEY_W2) / E) + i] *= -1.5f;
            if (mine(plan, MOTLEY_W2, e, &first))
                SUCCEED(motley_layer_set(layer, MOTLEY_W2, e, p.weight[MOTLEY_W2] + first, &error));
        }
        motley_layer_destroy(layer);
        let_go(&held);
        problem_destroy(&p);
        motley_plan_destroy(plan);
    }
    motley_plan_destroy(even);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    printf("seed %llu\n", (unsigned long long)SEED);
    real_nodes = context->node_of;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_references), cmocka_unit_test(results_are_the_references_across),
        cmocka_unit_test(rows_of_a_hot_expert_are_split),
        cmocka_unit_test(the_same_bits_and_memory), cmocka_unit_test(inference_follows_the_owner),
    };
    const int failed = cmocka_run_group_tests_name("replicas", tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return failed;
}
