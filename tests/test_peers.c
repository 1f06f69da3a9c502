/* Whom tokens go to and whose come here: numbers of groups, spans and tables of small plans, counted by hand.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "layer/gateway.h"
#include "layer/peers.h"

/* Experts 0 and 2 on ranks 0 and 2, a slice each; 1 and 3 on rank 1; rank 3 has none. */
static motley_plan *make_plan(void)
{
    static const struct { int experts, expert[2], begin, end; } HELD[4] = {
        {2, {0, 2}, 0, 4}, {2, {1, 3}, 0, 10}, {2, {0, 2}, 4, 10}, {0, {0}, 0, 0}};
    const struct motley_layer_shape shape = {.D = 3, .F = 10, .E = 4, .K = 2};
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_HYBRID, .group = 2};
    motley_plan *plan = NULL;
    assert_int_equal(motley__plan_alloc(&shape, &options, 4, &plan, NULL), 0);
    plan->mode = MOTLEY_MODE_HYBRID;
    for (int r = 0; r < 4; r++) {
        struct motley__holding *holding = &plan->stored.rank[r];
        assert_int_equal(motley__holding_alloc(holding, HELD[r].experts, NULL), 0);
        for (int i = 0; i < HELD[r].experts; i++)
            holding->expert[i] = HELD[r].expert[i];
        holding->begin = HELD[r].begin;
        holding->end = HELD[r].end;
    }
    assert_int_equal(motley__plan_index(plan, NULL), 0);
    return plan;
}

static void expect(const int *found, size_t count, const int *wanted)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(found[i], wanted[i]);
}
#define EXPECT(found, ...) \
    expect((found), sizeof (const int[]){__VA_ARGS__} / sizeof(int), (const int[]){__VA_ARGS__})

/* Rows and where they begin, of each rank. */
static void expect_span(const struct motley__spans *span, int64_t end, const int *rows, const int *first)
{
    assert_int_equal(span->end, end);
    for (int r = 0; r < 4; r++) {
        assert_int_equal(span->rows[r], rows[r]);
        if (rows[r])
            assert_int_equal(span->first[r], first[r]);
    }
}
#define FOUR(...) ((const int[4]){__VA_ARGS__})

/* Rank 0's own group is sent to, for rank 2 is in it. */
static void a_group_shares_its_rows(void **state)
{
    motley_plan *plan = make_plan();
    struct motley__peers *p = NULL;
    struct motley__count mine[4];
    const struct motley__count theirs[4] = {{0, 0}, {2, 3}, {4, 4}, {1, 2}};
    (void)state;
    assert_int_equal(motley__peers_create(plan, 0, NULL, &p, NULL), 0);
    assert_int_equal(p->G, 3);
    assert_int_equal(p->sent, 3);
    EXPECT(p->server, 2, 0, 2, 0);
    EXPECT(p->to, 0, 1, 1, 0);
    EXPECT(p->from, 0, 1, 1, 1);
    assert_int_equal(p->streams, 2);
    EXPECT(p->stream, 1, 2);
    memcpy(p->row_offsets, ((int[]){0, 5, 5, 8}), 4 * sizeof(int));
    memcpy(p->pair_offsets, ((int[]){0, 6, 6, 10}), 4 * sizeof(int));
    assert_int_equal(motley__peers_sent(p, mine, NULL), 0);
    assert_memory_equal(mine, ((const struct motley__count[]){{0, 0}, {5, 6}, {3, 4}, {0, 0}}), sizeof mine);
    expect_span(p->span[MOTLEY__SENT_ROWS], 8, FOUR(0, 5, 3, 0), FOUR(0, 0, 5, 0));
    expect_span(p->span[MOTLEY__SENT_LIST], 46, FOUR(0, 28, 18, 0), FOUR(0, 0, 28, 0));
    assert_int_equal(motley__peers_arrived(p, theirs, NULL), 0);
    expect_span(p->span[MOTLEY__ARRIVED_ROWS], 7, FOUR(0, 2, 4, 1), FOUR(0, 0, 2, 6));
    expect_span(p->span[MOTLEY__ARRIVED_PAIRS], 9, FOUR(0, 3, 4, 2), FOUR(0, 0, 3, 7));
    expect_span(p->span[MOTLEY__ARRIVED_LIST], 41, FOUR(0, 13, 20, 8), FOUR(0, 0, 13, 33));
    EXPECT(p->source, 0, 0, 2, 6, 7, 0, 0, 3, 7, 9);
    motley__peers_destroy(p);
    motley_plan_destroy(plan);
}

/* Rank 1 keeps its own pairs; ranks 0 and 2 get the same rows, and each gives them back. */
static void each_rank_of_a_group_gives_back(void **state)
{
    motley_plan *plan = make_plan();
    struct motley__peers *p = NULL;
    struct motley__count mine[4];
    const struct motley__count theirs[4] = {{0, 0}};
    (void)state;
    assert_int_equal(motley__peers_create(plan, 1, NULL, &p, NULL), 0);
    assert_int_equal(p->sent, 2);
    EXPECT(p->server, 0, 2, 0, 2);
    EXPECT(p->stream, 0, 2);
    memcpy(p->row_offsets, ((int[]){0, 5, 5, 5}), 4 * sizeof(int));
    memcpy(p->pair_offsets, ((int[]){0, 7, 7, 9}), 4 * sizeof(int));
    assert_int_equal(motley__peers_sent(p, mine, NULL), 0);
    expect_span(p->span[MOTLEY__SENT_ROWS], 5, FOUR(5, 0, 5, 0), FOUR(0, 0, 0, 0));
    expect_span(p->span[MOTLEY__SENT_LIST], 31, FOUR(31, 0, 31, 0), FOUR(0, 0, 0, 0));
    assert_int_equal(motley__peers_arrived(p, theirs, NULL), 0);
    expect_span(p->span[MOTLEY__BACK_ROWS], 10, FOUR(5, 0, 5, 0), FOUR(0, 0, 5, 0));
    expect_span(p->span[MOTLEY__BACK_PAIRS], 14, FOUR(7, 0, 7, 0), FOUR(0, 0, 7, 0));
    EXPECT(p->table, 0, 2, 2, 2, 0, 5, 0, 7); /* streams of groups; bases of rows; of pairs */
    motley__peers_destroy(p);
    motley_plan_destroy(plan);
}

/* Ranks 0 and 3 on one node, 1 and 2 on others: of the own group, which is on two nodes, only rank 0 is here. */
static void inside_a_node_others_are_left_out(void **state)
{
    static const int node_of[4] = {0, 1, 2, 0};
    motley_plan *plan = make_plan();
    struct motley__peers *p = NULL;
    (void)state;
    assert_int_equal(motley__peers_create(plan, 0, node_of, &p, NULL), 0);
    assert_int_equal(p->G, 2); /* rank 3's, which serves nothing, and the own one */
    assert_int_equal(p->sent, 1);
    EXPECT(p->server, 1, -1, 1, -1);
    EXPECT(p->to, 0, 0, 0, 0);
    EXPECT(p->from, 0, 0, 0, 1);
    assert_int_equal(p->streams, 0);
    motley__peers_destroy(p);
    motley_plan_destroy(plan);
}

/* A node's ranks take turns with another's as gateways. */
static void gateways_take_turns(void **state)
{
    static const int node_of[7] = {0, 1, 0, 2, 0, 1, 0};
    static const int wanted[7][3] = {{0, 1, 3}, {0, 1, 3}, {2, 5, 3}, {0, 1, 3}, {4, 1, 3}, {2, 5, 3}, {6, 5, 3}};
    (void)state;
    for (int source = 0; source < 7; source++)
        for (int node = 0; node < 3; node++)
            assert_int_equal(motley__gateway_of(node_of, 7, source, node), wanted[source][node]);
}

/* Rank 0 with nodes {0,3}, {1}, {2}: its own group is on the third node, too, and each other node is a set. */
static void nodes_are_groups_of_gateways(void **state)
{
    static const int node_of[4] = {0, 1, 2, 0};
    motley_plan *plan = make_plan();
    struct motley__peers *p = NULL;
    (void)state;
    assert_int_equal(motley__gateway_peers(plan, 0, node_of, &p, NULL), 0);
    assert_int_equal(p->G, 3);
    assert_int_equal(p->sent, 2);
    EXPECT(p->server, 1, 0, 1, 0);
    EXPECT(p->group, 2, 0, 1, 2);
    EXPECT(p->to, 0, 1, 1, 0);
    EXPECT(p->from, 0, 1, 1, 0);
    EXPECT(p->stream, 1, 2);
    motley__peers_destroy(p);
    /* Rank 3 has no experts, but tokens: the group of ranks 0 and 2 is here and there. */
    assert_int_equal(motley__gateway_peers(plan, 3, node_of, &p, NULL), 0);
    EXPECT(p->server, 1, 0, 1, 0);
    EXPECT(p->from, 0, 0, 0, 0); /* ranks 1 and 2 are the first of their nodes, and so is rank 0 of this one */
    motley__peers_destroy(p);
    motley_plan_destroy(plan);
}

/* Ranks 0 and 2 share experts, so that for rank 1 their nodes are one set; from rank 3's, with nothing, come only
 * tokens. */
static void nodes_of_one_group_are_one_set(void **state)
{
    static const int node_of[4] = {0, 1, 2, 3};
    motley_plan *plan = make_plan();
    struct motley__peers *p = NULL;
    (void)state;
    assert_int_equal(motley__gateway_peers(plan, 1, node_of, &p, NULL), 0);
    assert_int_equal(p->G, 2);
    EXPECT(p->server, 0, -1, 0, -1);
    EXPECT(p->group, 0, 1, 0, 1);
    EXPECT(p->to, 1, 0, 1, 0);
    EXPECT(p->from, 1, 0, 1, 1);
    EXPECT(p->stream, 0, 2);
    motley__peers_destroy(p);
    motley_plan_destroy(plan);
}

/* Lists of more than 2^31 bytes: their units, of two bytes, are fewer. */
static void bytes_may_pass_what_rows_cannot(void **state)
{
    enum { SENT = 1 << 28, COMES = 1 << 27 };
    motley_plan *plan = make_plan();
    struct motley__peers *p = NULL;
    struct motley__count mine[4];
    const struct motley__count theirs[4] = {{0, 0}, {COMES, COMES}, {COMES, COMES}, {COMES, COMES}};
    const struct motley__count more[4] = {{0, 0}, {COMES, COMES}, {COMES, COMES}, {COMES, 2 * COMES}};
    struct motley_error error = {0};
    (void)state;
    assert_int_equal(motley__peers_create(plan, 0, NULL, &p, NULL), 0);
    memcpy(p->row_offsets, ((int[]){0, SENT, SENT, SENT + 7}), 4 * sizeof(int));
    memcpy(p->pair_offsets, ((int[]){0, SENT, SENT, SENT + 9}), 4 * sizeof(int));
    assert_int_equal(motley__peers_sent(p, mine, NULL), 0);
    expect_span(p->span[MOTLEY__SENT_ROWS], SENT + 7, FOUR(0, SENT, 7, 0), FOUR(0, 0, SENT, 0));
    expect_span(p->span[MOTLEY__SENT_LIST], 5 * SENT + 41, FOUR(0, 5 * SENT, 41, 0), FOUR(0, 0, 5 * SENT, 0));
    assert_int_equal(motley__peers_arrived(p, theirs, NULL), 0);
    expect_span(p->span[MOTLEY__ARRIVED_ROWS], 3 * COMES, FOUR(0, COMES, COMES, COMES), FOUR(0, 0, COMES, 2 * COMES));
    expect_span(p->span[MOTLEY__ARRIVED_LIST], INT64_C(15) * COMES, FOUR(0, 5 * COMES, 5 * COMES, 5 * COMES),
                FOUR(0, 0, 5 * COMES, 10 * COMES));
    assert_int_equal(motley__peers_arrived(p, more, &error), MOTLEY_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "smaller batches"));
    motley__peers_destroy(p);
    motley_plan_destroy(plan);
}

/* What does not fit the wire is refused, not cut off. */
static void too_much_is_refused(void **state)
{
    motley_plan *plan = make_plan();
    struct motley__peers *p = NULL;
    struct motley__count mine[4];
    struct motley_error error = {0};
    (void)state;
    assert_int_equal(motley__peers_create(plan, 0, NULL, &p, NULL), 0);
    memcpy(p->row_offsets, ((int[]){0, 1 << 29, 1 << 29, 1 << 29}), 4 * sizeof(int));
    memcpy(p->pair_offsets, ((int[]){0, 1 << 29, 1 << 29, 1 << 29}), 4 * sizeof(int));
    assert_int_equal(motley__peers_sent(p, mine, &error), MOTLEY_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "smaller batches"));
    motley__peers_destroy(p);
    plan->shape.E = 65536;
    assert_int_equal(motley__peers_create(plan, 0, NULL, &p, &error), MOTLEY_E_UNSUPPORTED);
    plan->shape.E = 4;
    motley_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_shares_its_rows),
        cmocka_unit_test(each_rank_of_a_group_gives_back),
        cmocka_unit_test(inside_a_node_others_are_left_out),
        cmocka_unit_test(gateways_take_turns),
        cmocka_unit_test(nodes_are_groups_of_gateways),
        cmocka_unit_test(nodes_of_one_group_are_one_set),
        cmocka_unit_test(bytes_may_pass_what_rows_cannot),
        cmocka_unit_test(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
