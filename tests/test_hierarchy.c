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

#include "allocate/mode.h"
#include "cost/hierarchy.h"
#include "plan/plan.h"
#include "plan_fixture.h"
#include "plan_predict.h"

enum { RANKS = 4, E = 64, K = 6, TOKENS = 4000, ROW = 64 * 4 };

/* Four equal ranks on some nodes, whose experts take so many seconds for a row. */
struct cluster {
    struct motley__profile_entry storage[RANKS];
    struct motley__curve curve[RANKS][2];
    const struct motley__profile_entry *entry[RANKS];
    struct motley__links links;
    struct motley__task task;
};

static void open_cluster_of(struct cluster *c, double row, const int *node_of, double bandwidth,
                            enum motley_exchange exchange)
{
    const struct motley_layer_shape shape = fixture_shape(E, K);
    int nodes = 0;
    for (int r = 0; r < RANKS; r++) {
        nodes = node_of[r] >= nodes ? node_of[r] + 1 : nodes;
        c->curve[r][0] = fixture_curve(&shape, 0, 0, row);
        c->curve[r][1] = fixture_curve(&shape, 1, 0, 2 * row);
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

static void open_cluster(struct cluster *c, const int *node_of, double bandwidth, enum motley_exchange exchange)
{
    open_cluster_of(c, 1e-7, node_of, bandwidth, exchange);
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
    for (int i = 0; i < p.ways; i++)
        assert_int_equal(p.way[i].exchange, MOTLEY_EXCHANGE_HIERARCHICAL);
    assert_int_equal(p.way[0].chunks, 1); /* there is hardly anything to hide */
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

/* The same step in chunks: the phases after one another, less what is hidden; reckoned by hand from the same phases. */
static double by_hand(const struct motley__phases *f, double out, double back, double inside, double experts, int d)
{
    const double each = inside / d + (d > 1 ? 2 * (6 * 1e-5 + 100e-6) : 0);
    const double own = d > 1 ? experts / 8 : 0, chunk = d > 1 ? experts * 3 / 4 / d : experts;
    double done = own, returned = out;
    for (int c = 0; c < d; c++) {
        done = fmax(done, out * (c + 1) / d) + each + chunk;
        returned = fmax(returned, done) + back / d;
    }
    return f->dispatch + f->combine - out - back - inside + fmax(done + own, returned);
}

/* With experts that take as long as the link between nodes chunks hide much of it. */
static void chunks_cross_under_experts(void **state)
{
    struct cluster c;
    struct motley__rank_cost cost[RANKS];
    (void)state;
    open_cluster_of(&c, 5e-6, PAIRED, 25e6, MOTLEY_EXCHANGE_HIERARCHICAL);
    c.task.options.backward = 0;
    const struct motley__prediction p = predict(&c.task, MOTLEY_MODE_EXPERT, 0, cost);
    const struct motley__phases *f = &cost[0].forward;
    double least = INFINITY;
    assert_int_equal(p.ways, 4);
    assert_true(f->out > 0.3 * f->experts && f->out < 3 * f->experts);
    assert_true(f->inside > 0 && f->inside < f->out);
    for (int i = 0; i < p.ways; i++) {
        const double wanted = f->gate + by_hand(f, f->out, f->back, f->inside, f->experts, p.way[i].chunks);
        assert_true(fabs(p.way[i].seconds - wanted) < 0.02 * wanted); /* launches */
        least = fmin(least, p.way[i].seconds);
    }
    assert_true(p.way[0].chunks > 1 && p.way[0].seconds == least);
    close_cluster(&c);
}

/* Expert 0 is on three ranks, two of them on the first node.  Of its pairs the node serves what these serve; ranks keep
 * what they can of their own tokens', so of what other nodes have for it less comes. */
static void replicas_serve_their_nodes(void **state)
{
    struct cluster c;
    struct motley__hierarchy h;
    struct motley__division division;
    struct motley__duty duty[RANKS] = {{0}};
    struct motley__replica replica[] = {{.expert = 0, .rank = 1, .part = 0.3}, {.expert = 0, .rank = 2, .part = 0.3}};
    double load[E], share[2][E / 2], rest[E];
    int owner[E], group_of[RANKS] = {0, 1, 2, 3}, count[2] = {0};
    int64_t tokens[RANKS] = {1000, 1000, 1000, 1000};
    (void)state;
    for (int e = 0; e < E; e++) {
        load[e] = e == 0 ? 9 : 1; /* an eighth of all pairs */
        rest[e] = e == 0 ? 0.4 : 1;
        owner[e] = e / (E / RANKS);
    }
    open_cluster_of(&c, 1e-7, PAIRED, 25e6, MOTLEY_EXCHANGE_HIERARCHICAL);
    motley__task_close(&c.task);
    c.task.options.load = load;
    assert_int_equal(motley__task_open(&c.task, NULL), 0);
    assert_int_equal(motley__division_alloc(RANKS, &division, NULL), 0);
    struct motley__division by_hand = division;
    by_hand.G = RANKS;
    by_hand.group_of = group_of;
    by_hand.tokens = tokens;
    by_hand.owner = owner;
    by_hand.rest = rest;
    by_hand.replicas = 2;
    by_hand.replica = replica;
    for (int r = 0; r < RANKS; r++)
        by_hand.width[r] = c.task.shape.F;
    assert_int_equal(motley__hierarchy_open(&c.task, &by_hand, duty, &h, NULL), 0);
    assert_near(h.part[0], 0.125 * (0.4 + 0.3) + 31 / 72.0); /* experts 0-15 and 32-47 */
    assert_near(h.part[1], 0.125 * 0.3 + 32 / 72.0);
    for (int e = 0; e < E; e++) {
        const int node = PAIRED[owner[e]];
        share[node][count[node]++] = e == 0 ? 0.125 * ((0.4 - 0.25) / 0.75 + (0.3 - 0.25) / 0.75) : 1 / 72.0;
    }
    assert_near(h.reach[0], motley__task_reach_of(&c.task, share[0], count[0]));
    assert_true(h.reach[1] > motley__task_reach_of(&c.task, share[1], count[1])); /* a little for expert 0, too */
    motley__hierarchy_close(&h);
    motley__division_clear(&division);
    close_cluster(&c);
}

static struct motley__way chosen(const int *node_of, double row, double bandwidth, int *ways)
{
    struct cluster c;
    struct motley__rank_cost cost[RANKS];
    open_cluster_of(&c, row, node_of, bandwidth, MOTLEY_EXCHANGE_AUTO);
    const struct motley__prediction p = predict(&c.task, MOTLEY_MODE_EXPERT, 0, cost);
    const struct motley__way way = p.way[0];
    assert_near(p.forward_seconds + p.backward_seconds, p.way[0].seconds);
    *ways = p.ways;
    close_cluster(&c);
    return way;
}

/* Over a slow link with two ranks behind it; not inside a node, nor with one rank on each, where nothing is spared. */
static void it_is_chosen_where_it_spares_rows(void **state)
{
    static const int one[RANKS] = {0, 0, 0, 0}, each[RANKS] = {0, 1, 2, 3};
    int ways, fewer;
    (void)state;
    assert_int_equal(chosen(PAIRED, 1e-7, 25e6, &ways).exchange, MOTLEY_EXCHANGE_HIERARCHICAL);
    assert_int_equal(chosen(one, 1e-7, 25e6, &fewer).exchange, MOTLEY_EXCHANGE_LINEAR);
    assert_true(ways > 1 && fewer >= 1); /* the other exchange is known, too */
    assert_int_equal(chosen(each, 1e-7, 25e6, &ways).exchange, MOTLEY_EXCHANGE_LINEAR);
    assert_int_equal(chosen(PAIRED, 1e-7, 1e12, &ways).exchange, MOTLEY_EXCHANGE_LINEAR);
    const struct motley__way both = chosen(PAIRED, 5e-6, 10e6, &ways); /* it spares rows, and chunks hide the rest */
    assert_true(both.exchange == MOTLEY_EXCHANGE_HIERARCHICAL && both.chunks > 1);
    assert_int_equal(ways, 8);
}

/* Even shares know links and nothing of devices: the exchange is chosen all the same, and rows travel in one chunk
 * unless more are asked for. */
static void even_shares_choose_by_links_alone(void **state)
{
    (void)state;
    static const int one[RANKS] = {0, 0, 0, 0};
    for (int i = 0; i < 6; i++) {
        struct cluster c;
        motley_plan *plan;
        open_cluster(&c, i % 3 ? PAIRED : one, i % 3 == 1 ? 25e6 : 1e12, MOTLEY_EXCHANGE_AUTO);
        for (int r = 0; r < RANKS; r++)
            c.storage[r].curves = i < 3 ? 0 : 2;
        c.task.options.mode = MOTLEY_MODE_EXPERT;
        assert_int_equal(motley__plan_make(&c.task.shape, &c.task.options, RANKS, c.entry, &c.links, &plan, NULL), 0);
        assert_int_equal(plan->exchange, i % 3 == 1 ? MOTLEY_EXCHANGE_HIERARCHICAL : MOTLEY_EXCHANGE_LINEAR);
        assert_int_equal(plan->pipeline, 1);
        motley_plan_destroy(plan);
        c.task.options.pipeline = 4;
        assert_int_equal(motley__plan_make(&c.task.shape, &c.task.options, RANKS, c.entry, &c.links, &plan, NULL), 0);
        assert_int_equal(plan->pipeline, 4);
        motley_plan_destroy(plan);
        close_cluster(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_by_hand),
        cmocka_unit_test(slices_on_both_nodes),
        cmocka_unit_test(chunks_cross_under_experts),
        cmocka_unit_test(replicas_serve_their_nodes),
        cmocka_unit_test(it_is_chosen_where_it_spares_rows),
        cmocka_unit_test(even_shares_choose_by_links_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
