/* The layer with the hierarchical exchange, on ranks that are told to sit on several nodes: against the reference in
 * double precision, the memory that was promised, and what it says that it moved.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "context.h"
#include "layer_parts.h"

/* Nodes of the ranks, by the number of ranks: [R-1][variant][rank]. */
enum { HOUSES = 6 };
static const int NODES[4][HOUSES][4] = {
    {{0}, {0}, {0}, {0}, {0}, {0}},
    {{0, 1}, {0, 0}, {0, 1}, {0, 1}, {0, 1}, {0, 1}},
    {{0, 0, 1}, {0, 1, 2}, {0, 1, 0}, {0, 1, 1}, {0, 0, 0}, {0, 1, 0}},
    {{0, 0, 1, 1}, {0, 1, 0, 1}, {0, 0, 0, 1}, {0, 1, 2, 2}, {0, 1, 2, 3}, {0, 1, 1, 1}},
};

static int *real_nodes, node_of[4];

/* The ranks are on such nodes from now on. */
static void settle(int house)
{
    memcpy(node_of, NODES[motley_context_size(context) - 1][house], sizeof node_of);
    context->node_of = node_of;
}

/* How rows travel: each pair by itself or not, in so many chunks. */
struct way {
    int duplicate, chunks;
};
static const struct way PLAIN = {0, 1};

/* The same plan with the hierarchical exchange. */
static motley_plan *through_gateways(const motley_plan *plan, struct way way)
{
    motley_plan *changed = NULL;
    json_t *root = plan_json(plan);
    require(root != NULL, "the plan's text is no JSON");
    json_object_set_new(root, "exchange", json_string("hierarchical"));
    json_object_set_new(json_object_get(root, "options"), "duplicate", json_boolean(way.duplicate));
    json_object_set_new(root, "pipeline", json_integer(way.chunks));
    SUCCEED(parse_plan(root, &changed, &error));
    return changed;
}

/* Even shares, or slices; through gateways. */
static motley_plan *plan_of(const struct motley_layer_shape *shape, int variant, struct way way)
{
    const int R = motley_context_size(context);
    motley_plan *plan = make_plan(shape, MOTLEY_SHARES_EVEN), *made = through_gateways(plan, way), *sliced = NULL;
    motley_plan_destroy(plan);
    if (variant == VARIANTS)
        return made;
    sliced = with_parts(made, SLICES[R - 1][variant].mode, SLICES[R - 1][variant].groups, SLICES[R - 1][variant].part);
    motley_plan_destroy(made);
    return sliced;
}

static void every_house_and_mode(void **state)
{
    (void)state;
    for (int house = 0; house < HOUSES; house++)
        for (int variant = 0; variant <= VARIANTS; variant++) {
            struct motley_layer_shape shape = shape_of(variant % 2 ? MOTLEY_SWIGLU : MOTLEY_GELU, variant % 2 ? E : 3);
            shape.bias = shape.activation == MOTLEY_GELU;
            shape.normalize = house % 2;
            settle(house);
            motley_plan *plan = plan_of(&shape, variant, (struct way){0, 1 << (house + variant) % 4});
            check_plan(plan, T, GATE_SPREAD, SPLIT_EVEN);
            check_plan(plan, T, GATE_ONE_EXPERT, SPLIT_LAST_HAS_ALL);
            check_plan(plan, 5, GATE_SPREAD, SPLIT_FIRST_HAS_NONE);
            check_plan(plan, 0, GATE_SPREAD, SPLIT_EVEN);
            check_memory(plan, (enum split)(house % 3));
            motley_plan_destroy(plan);
        }
}

/* Ranks, and with them nodes, that hold nothing. */
static void nodes_without_experts(void **state)
{
    const int R = motley_context_size(context);
    const struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 2);
    struct part first[4], last[4];
    (void)state;
    for (int r = 0; r < R; r++) {
        first[r] = (struct part){r == 0 ? 0 : -1, 0, F};
        last[r] = (struct part){r == R - 1 ? 0 : -1, 0, F};
    }
    motley_plan *plan = plan_of(&shape, VARIANTS, PLAIN);
    motley_plan *plans[] = {with_parts(plan, "expert", 1, first), with_parts(plan, "expert", 1, last)};
    for (int house = 0; house < 2 * HOUSES; house++) {
        settle(house / 2);
        check_plan(plans[house % 2], T, GATE_SPREAD, SPLIT_EVEN);
    }
    for (int i = 0; i < 2; i++)
        motley_plan_destroy(plans[i]);
    motley_plan_destroy(plan);
}

/* Forced experts, of which one may come twice; each pair by itself; storage types. */
static void gates_duplicates_and_types(void **state)
{
    (void)state;
    for (int dtype = MOTLEY_F32; dtype <= MOTLEY_F16; dtype++)
        for (int duplicate = 0; duplicate < 2; duplicate++) {
            struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 3);
            shape.dtype = (enum motley_dtype)dtype;
            shape.gate = duplicate ? MOTLEY_GATE_SOFTMAX : MOTLEY_GATE_FORCED;
            settle(dtype);
            motley_plan *plan = plan_of(&shape, VARIANTS, (struct way){duplicate, 1 << (dtype + 1) % 4});
            check_plan(plan, T, GATE_SPREAD, SPLIT_EVEN);
            check_memory(plan, SPLIT_FIRST_HAS_NONE);
            motley_plan_destroy(plan);
        }
}

/* Tokens come and go: what was allotted for many serves few, and none. */
static void tokens_come_and_go(void **state)
{
    const struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 2);
    (void)state;
    settle(0);
    motley_plan *plan = plan_of(&shape, VARIANTS, PLAIN);
    check_changing_tokens(plan);
    motley_plan_destroy(plan);
}

/* Of whole experts, the rank that computes one. */
static int rank_of(const motley_plan *plan, int expert)
{
    for (int r = 0; r < motley_context_size(context); r++) {
        const struct motley_plan_rank rank = motley_plan_rank(plan, r);
        for (int i = 0; i < rank.experts; i++)
            if (rank.expert[i] == expert)
                return r;
    }
    return -1;
}

/* Rows that are due to another rank's tokens, and to other nodes: counted again, token after token. */
struct counted {
    int64_t sent, returned, nodes, copies;
};

static struct counted count(const motley_plan *plan, const struct answer *a, const struct held *held, int K)
{
    const int me = motley_context_rank(context), R = motley_context_size(context);
    struct counted c = {0};
    for (int t = 0; t < T; t++) {
        int ranks = 0, nodes = 0; /* as bits */
        const int own = t >= held->first && t < held->first + held->T;
        for (int k = 0; k < K; k++) {
            const int rank = rank_of(plan, a->indices[t * K + k]);
            ranks |= 1 << rank;
            nodes |= 1 << node_of[rank];
        }
        c.returned += !own && (ranks >> me & 1);
        for (int i = 0; i < R && own; i++) {
            c.copies += ranks >> i & 1;
            c.sent += i != me && (ranks >> i & 1);
            c.nodes += i != node_of[me] && (nodes >> i & 1);
        }
    }
    return c;
}

/* A token crosses to a node once, and what all ranks sent over nodes are those rows, there and back, and little
 * else. */
static void traffic_is_counted(void **state)
{
    enum { K = 4 };
    const struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, K);
    (void)state;
    struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
    struct answer a = answer_create(&p);
    for (int house = 0; house < HOUSES; house++) {
        const int chunks = 1 << house % 4;
        settle(house);
        motley_plan *plan = plan_of(&shape, VARIANTS, (struct way){0, chunks});
        struct held held = hold(&p, SPLIT_EVEN);
        motley_layer *layer = make_layer(plan, &p);
        step(layer, plan, &p, &held);
        struct motley_layer_traffic traffic = {0};
        SUCCEED(motley_layer_traffic(layer, &traffic, &error));
        const struct counted c = count(plan, &a, &held, K);
        require(traffic.rows_sent == c.sent && traffic.rows_returned == c.returned, "rows were miscounted");
        require(traffic.rows_sent_nodes == c.nodes, "rows to other nodes were miscounted");
        require(fabs(traffic.copies_per_token - (held.T ? (double)c.copies / held.T : 0)) < 1e-12,
                "copies were miscounted");
        int64_t all[2] = {c.nodes, traffic.bytes_sent_nodes};
        MPI_Allreduce(MPI_IN_PLACE, all, 2, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
        const int64_t row = D * (int64_t)sizeof(float), R = motley_context_size(context);
        require(all[1] >= 2 * all[0] * row, "fewer bytes than rows crossed");
        require(all[1] <= all[0] * (2 * row + 4 + 6 * K) + 8 * chunks * R * R,
                "more than rows and their pairs crossed");
        motley_layer_destroy(layer);
        let_go(&held);
        motley_plan_destroy(plan);
    }
    answer_destroy(&a);
    problem_destroy(&p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_house_and_mode),       cmocka_unit_test(nodes_without_experts),
        cmocka_unit_test(gates_duplicates_and_types), cmocka_unit_test(tokens_come_and_go),
        cmocka_unit_test(traffic_is_counted),
    };
    motley__test_context(&argc, &argv, &context);
    printf("seed %llu\n", (unsigned long long)SEED);
    real_nodes = context->node_of;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    context->node_of = real_nodes;
    motley_context_destroy(context);
    MPI_Finalize();
    return failed;
}
