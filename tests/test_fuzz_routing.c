/* Thousands of routings at random: every row comes to each of its experts just once, and comes back.
 *
 * Expert e is the matrix e + 1 times the identity behind a relu, the gate is zero and rows are small positive integers,
 * so that y[t] = x[t] times the sum of e + 1 over the choices that count, divided by E, a power of two: every number is
 * exact, and a pair that is lost, doubled or given to another expert is seen.  Ranks without tokens, one hot expert,
 * experts named twice, choices of nobody, capacities that drop some or all, any K; experts on any rank, in slices,
 * gathered, with replicas; rows straight to their rank, or through gateways of nodes.
 *
 * MOTLEY_TEST_ROUTINGS says how many routings each process group tries (10000).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <motley/motley.h>
#include "base/random.h"
#include "context.h"
#include "layer/layer.h"
#include "plan_json.h"
#include "tests/device.h"

enum { D = 4, F = 4, E = 8, MOST_T = 5, MOST_R = 4 };

static const uint64_t SEED = 20261123;

static motley_context *context;
static int R, me;

/* A failed check on one rank must not leave the others waiting. */
static void require(int right, const char *what, int number)
{
    if (right)
        return;
    print_error("rank %d, number %d: %s\n", me, number, what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

#define SUCCEED(call)                         \
    do {                                      \
        struct motley_error error = {0};      \
        require(!(call), error.text, -1);     \
    } while (0)

/* Draws that all ranks make alike. */
struct draws {
    uint64_t stream, next;
};

static int below(struct draws *draws, int bound)
{
    return (int)(motley__random_bits(SEED, draws->stream, draws->next++) % (uint64_t)bound);
}

/* How experts lie on ranks. */
enum way { WHOLE, CHUNKS, PLAIN, SLICES, GATHERED, SHARED, REPLICAS, MORE_REPLICAS, ACROSS, SHARED_ACROSS,
           REPLICAS_ACROSS, WAYS };

/* The ranks are on any nodes from now on. */
static void move_in(struct draws *draws)
{
    static int node_of[MOST_R];
    int nodes = 1;
    for (int r = 1; r < R; r++) {
        node_of[r] = below(draws, nodes + 1);
        nodes += node_of[r] == nodes;
    }
    context->node_of = node_of;
}

/* The same plan, whose rows go through the nodes' gateways in so many chunks. */
static motley_plan *through_gateways(const motley_plan *plan, int chunks)
{
    motley_plan *made = NULL;
    json_t *root = plan_json(plan);
    require(root != NULL, "the plan's text is no JSON", -1);
    json_object_set_new(root, "exchange", json_string("hierarchical"));
    json_object_set_new(root, "pipeline", json_integer(chunks));
    SUCCEED(parse_plan(root, &made, &error));
    return made;
}

/* Experts on any ranks, perhaps none on some; each with replicas on any others. */
static motley_plan *scattered(const motley_plan *plan, struct draws *draws, int chunks)
{
    motley_plan *made = NULL;
    json_t *root = plan_json(plan), *rank, *replicas = json_array(), *experts[MOST_R];
    size_t r;
    require(root != NULL, "the plan's text is no JSON", -1);
    for (int i = 0; i < R; i++)
        experts[i] = json_array();
    for (int e = 0; e < E; e++) {
        const int owner = below(draws, R), copies = below(draws, R);
        json_array_append_new(experts[owner], json_integer(e));
        for (int q = 0; q < R; q++)
            if (q != owner && (q - owner + R) % R <= copies)
                json_array_append_new(replicas, json_pack("{s:i, s:i, s:f}", "expert", e, "rank", q, "part",
                                                          1.0 / (copies + 1)));
    }
    json_array_foreach(json_object_get(root, "ranks"), r, rank) {
        json_object_set_new(rank, "experts", experts[r]);
        json_object_set_new(rank, "hidden", json_pack("[i, i]", 0, F));
    }
    json_object_set_new(root, "replicas", replicas);
    json_object_set_new(root, "pipeline", json_integer(chunks));
    SUCCEED(parse_plan(root, &made, &error));
    return made;
}

static motley_plan *make_plan(enum way way, struct draws *draws)
{
    static const struct { enum motley_mode mode; int group, pipeline, duplicate; } ways[WAYS] = {
        {MOTLEY_MODE_EXPERT, 0, 1, 0}, {MOTLEY_MODE_EXPERT, 0, 2, 0}, {MOTLEY_MODE_EXPERT, 0, 1, 1},
        {MOTLEY_MODE_MODEL, 0, 1, 0}, {MOTLEY_MODE_DATA, 0, 1, 0}, {MOTLEY_MODE_HYBRID, 2, 4, 0},
        {MOTLEY_MODE_EXPERT, 0, 1, 0}, {MOTLEY_MODE_EXPERT, 0, 1, 0}, {MOTLEY_MODE_EXPERT, 0, 1, 0},
        {MOTLEY_MODE_HYBRID, 2, 1, 0}, {MOTLEY_MODE_EXPERT, 0, 1, 0}};
    const struct motley_layer_shape shape = {.D = D, .F = F, .E = E, .K = 2, .activation = MOTLEY_RELU,
                                             .gate = MOTLEY_GATE_FORCED};
    const int fits = (way != SHARED && way != SHARED_ACROSS) || R > 2, alone = R == 1;
    const struct motley_plan_options options = {.tokens = MOST_T * R, .backward = 1, .shares = MOTLEY_SHARES_EVEN,
        .mode = fits && !alone ? ways[way].mode : MOTLEY_MODE_EXPERT, .group = fits && !alone ? ways[way].group : 0,
        .pipeline = alone ? 0 : ways[way].pipeline, .duplicate = !alone && ways[way].duplicate,
        .exchange = ways[way].duplicate ? MOTLEY_EXCHANGE_LINEAR : MOTLEY_EXCHANGE_AUTO};
    motley_plan *plan = NULL;
    SUCCEED(motley_plan_create(context, &shape, &options, &plan, &error));
    if (way >= REPLICAS && !alone) {
        motley_plan *even = plan;
        if (way == REPLICAS_ACROSS) {
            plan = scattered(even, draws, 1);
            motley_plan_destroy(even);
            even = plan;
        }
        plan = way < ACROSS ? scattered(even, draws, way == REPLICAS ? 1 : 2)
                             : through_gateways(even, 1 << below(draws, 4));
        motley_plan_destroy(even);
    }
    return plan;
}

static motley_layer *make_layer(const motley_plan *plan)
{
    const struct motley_plan_rank own = motley_plan_rank(plan, me);
    motley_layer *layer = NULL;
    float w1[F * D] = {0}, w2[D * F] = {0};
    SUCCEED(motley_layer_create(context, plan, &layer, &error));
    for (int i = 0; i < own.experts; i++) {
        for (int d = 0; d < D; d++) {
            w1[d * D + d] = 1;
            w2[d * F + d] = (float)(own.expert[i] + 1);
        }
        SUCCEED(motley_layer_set(layer, MOTLEY_W1, own.expert[i], w1, &error));
        SUCCEED(motley_layer_set(layer, MOTLEY_W2, own.expert[i], w2, &error));
    }
    return layer;
}

/* Tensors of so many rows; made once. */
struct tensors {
    motley_tensor *x, *y, *dx;
};

/* One routing of all ranks. */
struct routing {
    int T[MOST_R], K;
    int32_t chosen[MOST_R][MOST_T * E];
    double capacity;
    int prioritised, backward;
};

static struct routing draw(struct draws *draws)
{
    static const double capacities[] = {0, 0, 0, 0.5, 1, -0.7, 1e-3};
    struct routing r = {.K = 1 + below(draws, E), .capacity = capacities[below(draws, 7)],
                        .prioritised = below(draws, 2), .backward = below(draws, 4) == 0};
    const int kind = below(draws, 6), hot = below(draws, E), only = below(draws, R);
    for (int q = 0; q < R; q++) {
        r.T[q] = kind == 0 && q != only ? 0 : below(draws, MOST_T + 1);
        for (int n = 0; n < r.T[q] * r.K; n++)
            r.chosen[q][n] = kind == 1 ? hot : kind == 2 || (kind == 3 && below(draws, 3) == 0) ? -1 : below(draws, E);
    }
    return r;
}

/* Which choices count: experts take what comes first, over all ranks; all scores are alike. */
static void drop(struct routing *r)
{
    int taken[E] = {0}, tokens = 0;
    for (int q = 0; q < R; q++)
        tokens += r->T[q];
    const int rows = r->K * (int)((r->capacity < 0 ? -r->capacity : r->capacity) * ((tokens + E - 1) / E));
    for (int k = 0; k < r->K && r->capacity != 0; k++)
        for (int q = 0; q < R; q++)
            for (int t = 0; t < r->T[q]; t++) {
                int32_t *e = &r->chosen[q][t * r->K + k];
                if (*e >= 0 && taken[*e]++ >= rows)
                    *e = -1;
            }
}

/* y, dx [T,D] against the sum over a token's choices. */
static void compare(const struct routing *r, const float *given, const float *got, const char *what, int number)
{
    for (int t = 0; t < r->T[me]; t++) {
        int sum = 0;
        for (int k = 0; k < r->K; k++)
            sum += r->chosen[me][t * r->K + k] + 1;
        for (int d = 0; d < D; d++)
            require(got[t * D + d] == given[t * D + d] * (float)sum / E, what, number);
    }
}

static void run(motley_layer *layer, struct tensors *tensors, struct routing *r, int number)
{
    const struct motley_routing routing = {.K = r->K, .capacity = r->capacity, .prioritised = r->prioritised};
    const int T = r->T[me], pairs = T * r->K;
    float x[MOST_T * D], found[MOST_T * D], weights[MOST_T * E];
    int32_t indices[MOST_T * E];
    struct tensors *t = &tensors[T];
    for (int i = 0; i < T * D; i++)
        x[i] = (float)(1 + (i + number + me) % 7);
    SUCCEED(motley__layer_set_routing(layer, &routing, &error));
    SUCCEED(motley_tensor_write(t->x, x, &error));
    SUCCEED(motley_layer_forward(layer, t->x, r->chosen[me], t->y, &error));
    SUCCEED(motley_tensor_read(t->y, found, &error));
    SUCCEED(motley_layer_routing(layer, indices, weights, &error));
    drop(r);
    require(!memcmp(indices, r->chosen[me], (size_t)pairs * sizeof *indices), "other choices count", number);
    compare(r, x, found, "y", number);
    if (!r->backward)
        return;
    SUCCEED(motley_layer_backward(layer, t->x, t->dx, &error));
    SUCCEED(motley_tensor_read(t->dx, found, &error));
    compare(r, x, found, "dx", number);
}

static int count(void)
{
    const char *text = getenv("MOTLEY_TEST_ROUTINGS");
    return text ? atoi(text) : 10000;
}

static void every_row_is_conserved(void **state)
{
    struct tensors tensors[MOST_T + 1];
    struct draws draws = {1, 0};
    const int each = (count() + WAYS - 1) / WAYS;
    int *node_of = context->node_of;
    (void)state;
    for (int T = 0; T <= MOST_T; T++) {
        SUCCEED(motley_tensor_create(context, MOTLEY_F32, T, D, &tensors[T].x, &error));
        SUCCEED(motley_tensor_create(context, MOTLEY_F32, T, D, &tensors[T].y, &error));
        SUCCEED(motley_tensor_create(context, MOTLEY_F32, T, D, &tensors[T].dx, &error));
    }
    for (int way = 0; way < WAYS; way++) {
        if (way >= ACROSS)
            move_in(&draws);
        motley_plan *plan = make_plan((enum way)way, &draws);
        motley_layer *layer = make_layer(plan);
        for (int i = 0; i < each; i++) {
            struct routing r = draw(&draws);
            run(layer, tensors, &r, way * each + i);
        }
        motley_layer_destroy(layer);
        motley_plan_destroy(plan);
    }
    context->node_of = node_of;
    for (int T = 0; T <= MOST_T; T++) {
        motley_tensor_destroy(tensors[T].x);
        motley_tensor_destroy(tensors[T].y);
        motley_tensor_destroy(tensors[T].dx);
    }
}

/* An expert that two ranks store, or one that is a replica where it is stored, is no plan. */
static void doubled_experts_are_refused(void **state)
{
    struct draws draws = {2, 0};
    struct motley_error error = {0};
    motley_plan *plan = make_plan(WHOLE, &draws), *made = NULL;
    json_t *root = plan_json(plan), *ranks = json_object_get(root, "ranks"), *first = json_array_get(ranks, 0);
    (void)state;
    if (R > 1) {
        json_array_append(json_object_get(json_array_get(ranks, 1), "experts"),
                          json_array_get(json_object_get(first, "experts"), 0));
        require(parse_plan(root, &made, &error) != 0, "an expert on two ranks", -1);
        root = plan_json(plan);
        const json_t *rank = json_array_get(json_object_get(root, "ranks"), 0);
        const json_t *expert = json_array_get(json_object_get(rank, "experts"), 0);
        json_object_set_new(root, "replicas", json_pack("[{s:O, s:i, s:f}]", "expert", expert, "rank", 0, "part", 0.5));
    } else {
        json_array_append(json_object_get(first, "experts"), json_array_get(json_object_get(first, "experts"), 0));
    }
    require(parse_plan(root, &made, &error) != 0, "an expert twice on one rank", -1);
    motley_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    R = motley_context_size(context);
    me = motley_context_rank(context);
    printf("seed %llu\n", (unsigned long long)SEED);
    if (R > MOST_R) {
        printf("1..0 # SKIP for at most %d ranks\n", MOST_R);
        motley_context_destroy(context);
        MPI_Finalize();
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_conserved),
        cmocka_unit_test(doubled_experts_are_refused),
    };
    int status = cmocka_run_group_tests_name("fuzz_routing", tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
