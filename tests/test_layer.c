/* The layer on every number of ranks: forward and backward against a reference in double precision, whatever the
 * activation, K, gate and the ranks' tokens; the same bits when repeated; the memory that was promised.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer_parts.h"

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

/* The same in every storage type; the choice is not what rounding changes. */
static void sigmoid_and_cosine_gates(void **state)
{
    (void)state;
    for (int gate = MOTLEY_GATE_SIGMOID; gate <= MOTLEY_GATE_COSINE; gate++) {
        struct motley_layer_shape shape = shape_with_gate((enum motley_gate)gate, 3);
        check(&shape, T, GATE_SPREAD, SPLIT_EVEN);
        check(&shape, 0, GATE_SPREAD, SPLIT_EVEN);
        shape.normalize = 1;
        check(&shape, T, GATE_EQUAL, SPLIT_LAST_HAS_ALL);
        shape.dtype = MOTLEY_BF16;
        check(&shape, T, GATE_SPREAD, SPLIT_FIRST_HAS_NONE);
    }
}

/* A plan may give a rank nothing, or experts that are not neighbours. */
static void ranks_without_experts(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 2);
    const int R = motley_context_size(context);
    struct part last[4], dealt[4];
    (void)state;
    shape.bias = 1;
    for (int r = 0; r < R; r++) {
        last[r] = (struct part){r == R - 1 ? 0 : -1, 0, F};
        dealt[r] = (struct part){r < (R + 1) / 2 ? r : -1, 0, F}; /* the upper half of the ranks has none */
    }
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    motley_plan *plans[] = {with_parts(plan, "expert", 1, last), with_parts(plan, "expert", (R + 1) / 2, dealt)};
    for (int i = 0; i < 2; i++) {
        check_plan(plans[i], T, GATE_SPREAD, SPLIT_EVEN);
        check_plan(plans[i], T, GATE_ONE_EXPERT, SPLIT_LAST_HAS_ALL);
        motley_plan_destroy(plans[i]);
    }
    motley_plan_destroy(plan);
}

static void slices_of_the_hidden_dimension(void **state)
{
    const int R = motley_context_size(context);
    (void)state;
    for (int variant = 0; variant < VARIANTS; variant++)
        for (int activation = MOTLEY_GELU; activation <= MOTLEY_SWIGLU; activation += 2) {
            struct motley_layer_shape shape = shape_of((enum motley_activation)activation, variant == 1 ? E : 2);
            shape.bias = activation == MOTLEY_GELU;
            shape.normalize = variant == 2;
            motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
            motley_plan *sliced = with_parts(plan, SLICES[R - 1][variant].mode, SLICES[R - 1][variant].groups,
                                             SLICES[R - 1][variant].part);
            check_plan(sliced, T, GATE_SPREAD, SPLIT_EVEN);
            check_plan(sliced, T, GATE_ONE_EXPERT, SPLIT_LAST_HAS_ALL);
            check_plan(sliced, 3, GATE_SPREAD, SPLIT_FIRST_HAS_NONE);
            check_plan(sliced, 0, GATE_SPREAD, SPLIT_EVEN);
            motley_plan_destroy(sliced);
            motley_plan_destroy(plan);
        }
}

/* The same plan in chunks, and duplicates or none. */
static motley_plan *in_chunks(const motley_plan *plan, int chunks, int duplicate)
{
    motley_plan *cut = NULL;
    json_t *root = plan_json(plan);
    require(root != NULL, "the plan's text is no JSON");
    json_object_set_new(root, "pipeline", json_integer(chunks));
    json_object_set_new(json_object_get(root, "options"), "duplicate", json_boolean(duplicate));
    SUCCEED(parse_plan(root, &cut, &error));
    return cut;
}

/* Chunks of some tokens, of one, of none; duplicates and slices among them. */
static void chunks_travel_under_experts(void **state)
{
    const int R = motley_context_size(context);
    (void)state;
    for (int variant = 0; variant < VARIANTS; variant++)
        for (int chunks = 1; chunks <= 8; chunks *= 2) {
            struct motley_layer_shape shape = shape_of(variant % 2 ? MOTLEY_SWIGLU : MOTLEY_GELU, variant + 1);
            shape.bias = variant % 2 == 0;
            motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN), *whole = in_chunks(plan, chunks, variant != 2);
            motley_plan *sliced = with_parts(whole, SLICES[R - 1][variant].mode, SLICES[R - 1][variant].groups,
                                             SLICES[R - 1][variant].part);
            motley_plan *plans[] = {whole, sliced};
            for (int i = 0; i < 2; i++) {
                check_plan(plans[i], T, GATE_SPREAD, SPLIT_EVEN);
                check_plan(plans[i], T, GATE_ONE_EXPERT, SPLIT_LAST_HAS_ALL);
                check_plan(plans[i], 5, GATE_SPREAD, SPLIT_FIRST_HAS_NONE);
                check_plan(plans[i], 0, GATE_SPREAD, SPLIT_EVEN);
                check_memory(plans[i], (enum split)variant);
                motley_plan_destroy(plans[i]);
            }
            motley_plan_destroy(plan);
        }
}

/* Data mode: tokens stay, and what is stored may be divided in any of these ways. */
static motley_plan *data_plan(const motley_plan *plan, int variant)
{
    const int R = motley_context_size(context);
    return with_parts(plan, "data", SLICES[R - 1][variant].groups, SLICES[R - 1][variant].part);
}

static void weights_travel_in_data_mode(void **state)
{
    (void)state;
    for (int variant = 0; variant < VARIANTS; variant++)
        for (int activation = MOTLEY_GELU; activation <= MOTLEY_SWIGLU; activation += 2) {
            struct motley_layer_shape shape = shape_of((enum motley_activation)activation, variant == 1 ? E : 2);
            shape.bias = activation == MOTLEY_GELU;
            shape.dtype = variant == 2 && !shape.bias ? MOTLEY_BF16 : MOTLEY_F32;
            motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN), *data = data_plan(plan, variant);
            check_plan(data, T, GATE_SPREAD, SPLIT_EVEN);
            check_plan(data, T, GATE_ONE_EXPERT, SPLIT_LAST_HAS_ALL);
            check_plan(data, 3, GATE_SPREAD, SPLIT_FIRST_HAS_NONE);
            check_plan(data, 0, GATE_SPREAD, SPLIT_EVEN);
            motley_plan_destroy(data);
            motley_plan_destroy(plan);
        }
}

/* Each rank sends what it stores to all others, and no row; weights that were set again count from the next forward. */
static void data_mode_moves_only_weights(void **state)
{
    const struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 2);
    const int R = motley_context_size(context), me = motley_context_rank(context);
    (void)state;
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN), *data = data_plan(plan, 1);
    const struct motley_plan_rank own = motley_plan_rank(data, me);
    struct problem first = problem_create(&shape, T, GATE_SPREAD, SEED),
                   p = problem_create(&shape, T, GATE_SPREAD, SEED + 1);
    struct answer a = answer_create(&p);
    struct held held = hold(&p, SPLIT_EVEN);
    motley_layer *layer = make_layer(data, &first);
    step(layer, data, &first, &held);
    for (int which = 0; which < WEIGHTS; which++)
        for (int e = 0; e < E; e++) {
            size_t at;
            if (p.weight[which] && mine(data, which, e, &at))
                SUCCEED(motley_layer_set(layer, (enum motley_weight)which, e, p.weight[which] + at, &error));
        }
    step(layer, data, &p, &held);
    compare(data, &p, &a, &held);
    struct motley_layer_traffic traffic = {0};
    SUCCEED(motley_layer_traffic(layer, &traffic, &error));
    const int64_t stored = (int64_t)own.experts * 3 * D * (own.hidden_end - own.hidden_begin) * 4;
    require(traffic.rows_sent == 0 && traffic.rows_returned == 0, "rows were sent");
    require(traffic.bytes_sent == (R - 1) * stored, "bytes of weights were miscounted");
    require(traffic.copies_per_token == (held.T > 0), "a token stays on its rank");
    motley_layer_destroy(layer);
    let_go(&held);
    answer_destroy(&a);
    problem_destroy(&p);
    problem_destroy(&first);
    motley_plan_destroy(data);
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

static void tokens_come_and_go(void **state)
{
    const struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 2);
    (void)state;
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    check_changing_tokens(plan);
    motley_plan_destroy(plan);
}

static void memory_is_what_was_planned(void **state)
{
    const int R = motley_context_size(context);
    (void)state;
    for (int activation = MOTLEY_RELU; activation <= MOTLEY_SWIGLU; activation++) {
        struct motley_layer_shape shape = shape_of((enum motley_activation)activation, 2);
        shape.bias = activation == MOTLEY_SILU;
        shape.dtype = activation == MOTLEY_GELU || activation == MOTLEY_SWIGLU ? MOTLEY_BF16 : MOTLEY_F32;
        motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
        check_memory(plan, (enum split)(activation % 3));
        for (int variant = 0; variant < VARIANTS && activation >= MOTLEY_SILU; variant++) {
            motley_plan *sliced = with_parts(plan, SLICES[R - 1][variant].mode, SLICES[R - 1][variant].groups,
                                             SLICES[R - 1][variant].part);
            check_memory(sliced, (enum split)variant);
            motley_plan_destroy(sliced);
            sliced = data_plan(plan, variant);
            check_memory(sliced, (enum split)variant);
            motley_plan_destroy(sliced);
        }
        motley_plan_destroy(plan);
    }
}

/* The ranks that hold an expert, as bits. */
static uint64_t ranks_of(const motley_plan *plan, int expert)
{
    uint64_t ranks = 0;
    for (int r = 0; r < motley_context_size(context); r++) {
        const struct motley_plan_rank rank = motley_plan_rank(plan, r);
        for (int i = 0; i < rank.experts; i++)
            ranks |= (uint64_t)(rank.expert[i] == expert) << r;
    }
    return ranks;
}

/* Rows of token t that are due to a rank: one, or in the plain form one for each of its experts there. */
static int rows_to(const motley_plan *plan, const struct answer *a, int t, int rank, int duplicate)
{
    int pairs = 0;
    for (int k = 0; k < 3; k++)
        pairs += (int)(ranks_of(plan, a->indices[t * 3 + k]) >> rank & 1);
    return duplicate ? pairs : pairs > 0;
}

/* What a step says that it moved, counted again from the routing: a token goes once to each rank that needs it. */
static void check_traffic(const motley_plan *plan, const struct problem *p, const struct answer *a, int chunks,
                          int duplicate)
{
    const int me = motley_context_rank(context), R = motley_context_size(context);
    struct held held = hold(p, SPLIT_EVEN);
    motley_layer *layer = make_layer(plan, p);
    step(layer, plan, p, &held);
    struct motley_layer_traffic traffic = {0};
    SUCCEED(motley_layer_traffic(layer, &traffic, &error));
    int64_t sent = 0, returned = 0, pairs = 0, takers = 0;
    double copies = 0;
    for (int r = 0; r < R; r++)
        takers += r != me && motley_plan_rank(plan, r).experts > 0;
    for (int t = 0; t < T; t++) {
        const int own = t >= held.first && t < held.first + held.T;
        returned += own ? 0 : rows_to(plan, a, t, me, duplicate);
        for (int r = 0; r < R && own; r++) {
            sent += r == me ? 0 : rows_to(plan, a, t, r, duplicate);
            pairs += r == me ? 0 : rows_to(plan, a, t, r, 1);
            copies += rows_to(plan, a, t, r, 0);
        }
    }
    const int64_t row = D * (int64_t)sizeof(float);
    require(traffic.rows_sent == sent && traffic.rows_returned == returned, "rows were miscounted");
    require(fabs(traffic.copies_per_token - (held.T ? copies / held.T : 0)) < 1e-12, "copies were miscounted");
    require(traffic.bytes_sent == (sent + returned) * row + 4 * sent + 6 * pairs + 8 * chunks * takers,
            "bytes are not those of the rows, where they begin, their pairs and the counts");
    require(R > 1 || (sent == 0 && traffic.bytes_sent == 0), "one rank sends to nobody");
    require(traffic.bytes_sent_nodes == 0, "all ranks are on one node");
    motley_layer_destroy(layer);
    let_go(&held);
}

static void traffic_is_counted(void **state)
{
    const struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 3);
    const int R = motley_context_size(context);
    (void)state;
    struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
    struct answer a = answer_create(&p);
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    check_traffic(plan, &p, &a, 1, 0);
    for (int variant = 0; variant < VARIANTS; variant++) {
        const int chunks = 1 << variant, duplicate = variant != 1;
        motley_plan *cut = in_chunks(plan, chunks, duplicate);
        motley_plan *sliced = with_parts(cut, SLICES[R - 1][variant].mode, SLICES[R - 1][variant].groups,
                                         SLICES[R - 1][variant].part);
        check_traffic(cut, &p, &a, chunks, duplicate);
        check_traffic(sliced, &p, &a, chunks, duplicate);
        motley_plan_destroy(sliced);
        motley_plan_destroy(cut);
    }
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
        cmocka_unit_test(sigmoid_and_cosine_gates),
        cmocka_unit_test(ranks_without_experts),  cmocka_unit_test(slices_of_the_hidden_dimension),
        cmocka_unit_test(weights_travel_in_data_mode), cmocka_unit_test(data_mode_moves_only_weights),
        cmocka_unit_test(the_same_bits_again),    cmocka_unit_test(chunks_travel_under_experts),
        cmocka_unit_test(tokens_come_and_go),     cmocka_unit_test(memory_is_what_was_planned),
        cmocka_unit_test(traffic_is_counted),     cmocka_unit_test(mistakes_are_agreed),
    };
    int status = cmocka_run_group_tests_name("layer", tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
