/* What the hierarchical exchange is predicted to cost: against numbers reckoned by hand; and where it is chosen.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "plan/hierarchy.h"
#include "plan/mode.h"
#include "plan_fixture.h"
#include "plan_predict.h"

enum { RANKS = 4, E = 64, K = 6, TOKENS = 4000, ROW = 64 * 4 };

/* Four equal ranks on some nodes. */
struct cluster {
    struct motley__profile_entry storage[RANKS];
    struct motley__curve curve[RANKS][2];
    const struct motley__profile_entry *entry[RANKS];
    struct motley__links links;
    struct motley__task task;
};

static void open_cluster(struct cluster *c, const int *node_of, double bandwidth, enum motley_exchange exchange)
{
    const struct motley_layer_shape shape = fixture_shape(E, K);
    int nodes = 0;
    for (int r = 0; r < RANKS; r++) {
        nodes = node_of[r] >= nodes ? node_of[r] + 1 : nodes;
        c->curve[r][0] = fixture_curve(&shape, 0, 0, 1e-7);
        c->curve[r][1] = fixture_curve(&shape, 1, 0, 2e-7);
        c->storage[r] = (struct motley__profile_entry){.key = fixture_key(r), .panel = 16, .curves = 2,
                                                       .curve = c->curve[r]};
        c->storage[r].move = (struct motley__move){.bandwidth = 1e10, .launch = 1e-5};
        c->entry[r] = &c->storage[r];
    }
    assert_int_equal(motley__links_alloc(RANKS, nodes, 1, &c->links, NULL), 0);
    memcpy(c->links.node, node_of, RANKS * sizeof *node_of);
    c->links.inside[0] = (struct motley__link){1e-6, 1e-6, 5e9};
    c->links.between[0] = (struct motley__link){5e-5, 1e-5, bandwidth};
    c->task = (struct motley__task){
        .shape = shape, .R = RANKS, .entry = c->entry, .links = &c->links,
        .options = {.tokens = TOKENS, .backward = 1, .shares = MOTLEY_SHARES_EVEN, .exchange = exchange}};
    assert_int_equal(motley__task_open(&c->task, NULL), 0);
}

static void close_cluster(struct cluster *c)
{
    motley__task_close(&c->task);
    motley__links_clear(&c->links);
}

/* The chance that none of n of the 64 experts is among 6. */
static double none_of(int n)
{
    double chance = 1;
    for (int k = 0; k < K; k++)
        chance *= (double)(E - n - k) / (E - k);
    return chance;
}

static const int PAIRED[RANKS] = {0, 1, 0, 1};

/* Two nodes of two ranks: half of the experts on each, a quarter on each rank. */
static void two_nodes_by_hand(void **state)
{
    struct cluster c;
    struct motley__rank_cost cost[RANKS];
    (void)state;
    open_cluster(&c, PAIRED, 25e6, MOTLEY_EXCHANGE_HIERARCHICAL);
    const struct motley__prediction p = predict(&c.task, MOTLEY_MODE_EXPERT, 0, cost);
    const double crossing = TOKENS * (1 - none_of(32));
    /* To its neighbour each rank sends of 1000 own tokens and of as many foreign ones. */
    const double inside = RANKS * 2000 * (1 - none_of(16));
    const double out = ROW + 8 + ROW, back = ROW + ROW; /* bytes of a row, there and back, forward and backward */
    assert_near(p.node_moved, crossing * (out + back) + TOKENS * K / 2 * (6 + 4.0));
    assert_near(p.moved - p.node_moved, inside * (out + back) + RANKS * 2000 * K / 4 * (6 + 4.0));
    assert_int_equal(p.ways, 1);
    assert_int_equal(p.way[0].exchange, MOTLEY_EXCHANGE_HIERARCHICAL);
    assert_int_equal(p.way[0].chunks, 1);
    /* The link moves half of it each way, and everything waits for it. */
    assert_true(p.way[0].seconds > p.node_moved / 2 / 25e6 && p.way[0].seconds < 1.3 * p.node_moved / 2 / 25e6);
    /* A row for each of its experts would cross 3.04 times as often. */
    assert_true(fabs(TOKENS * K / 2 / crossing - 3.04) < 0.01);
    close_cluster(&c);
}

/* Every rank has a slice of every expert: one row to the other node, not one to each of its two ranks. */
static void slices_on_both_nodes(void **state)
{
    struct cluster c;
    struct motley__rank_cost cost[RANKS];
    (void)state;
    open_cluster(&c, PAIRED, 25e6, MOTLEY_EXCHANGE_HIERARCHICAL);
    const struct motley__prediction p = predict(&c.task, MOTLEY_MODE_MODEL, 0, cost);
    assert_near(p.node_moved, TOKENS * (4.0 * ROW + 8 + K * (6 + 4)));
    close_cluster(&c);
}

static enum motley_exchange chosen(const int *node_of, double bandwidth, int *ways)
{
    struct cluster c;
    struct motley__rank_cost cost[RANKS];
    open_cluster(&c, node_of, bandwidth, MOTLEY_EXCHANGE_AUTO);
    const struct motley__prediction p = predict(&c.task, MOTLEY_MODE_EXPERT, 0, cost);
    enum motley_exchange exchange = p.way[0].exchange;
    assert_near(p.forward_seconds + p.backward_seconds, p.way[0].seconds);
    *ways = p.ways;
    close_cluster(&c);
    return exchange;
}

/* Over a slow link with two ranks behind it; not inside a node, nor with one rank on each, where nothing is spared. */
static void it_is_chosen_where_it_spares_rows(void **state)
{
    static const int one[RANKS] = {0, 0, 0, 0}, each[RANKS] = {0, 1, 2, 3};
    int ways, fewer;
    (void)state;
    assert_int_equal(chosen(PAIRED, 25e6, &ways), MOTLEY_EXCHANGE_HIERARCHICAL);
    assert_int_equal(chosen(one, 25e6, &fewer), MOTLEY_EXCHANGE_LINEAR);
    assert_true(ways > 1 && fewer >= 1); /* the other exchange is known, too */
    assert_int_equal(chosen(each, 25e6, &ways), MOTLEY_EXCHANGE_LINEAR);
    assert_int_equal(chosen(PAIRED, 1e12, &ways), MOTLEY_EXCHANGE_LINEAR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_by_hand),
        cmocka_unit_test(slices_on_both_nodes),
        cmocka_unit_test(it_is_chosen_where_it_spares_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
