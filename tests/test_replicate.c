/* Plans for skewed loads: experts by their rows, replicas where they pay and nowhere else, and who serves which rows.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "allocate/refine.h"
#include "plan/plan.h"
#include "plan_fixture.h"

enum { E = 8, R = 4 };

/* R ranks, rank r as fast as speed[r] says, without links. */
struct ranks {
    struct motley__profile_entry storage[R];
    struct motley__curve curve[R][2];
    const struct motley__profile_entry *entry[R];
};

static void make_ranks(struct ranks *ranks, const struct motley_layer_shape *shape, const double *speed)
{
    for (int r = 0; r < R; r++) {
        for (int backward = 0; backward < 2; backward++)
            ranks->curve[r][backward] = fixture_curve(shape, backward, 1e-5, (1 + backward) * 1e-5 / speed[r]);
        ranks->storage[r] = (struct motley__profile_entry){.key = fixture_key(r), .panel = 1, .curves = 2,
                                                           .curve = ranks->curve[r]};
        ranks->entry[r] = &ranks->storage[r];
    }
}

static const double ALIKE[R] = {1, 1, 1, 1}, UNLIKE[R] = {1, 3, 2, 1};
static const double HOT[E] = {93, 1, 1, 1, 1, 1, 1, 1}, EVEN[E] = {2, 2, 2, 2, 2, 2, 2, 2};
static const double FOUR[E] = {20, 20, 1, 20, 1, 20, 1, 1}, MILD[E] = {5, 1, 3, 4, 1, 2, 4, 4};

static motley_plan *plan_for(struct ranks *ranks, const struct motley_layer_shape *shape, const double *load,
                             enum motley_mode mode, int backward, const struct motley__links *links)
{
    const struct motley_plan_options options = {.tokens = 4000, .backward = backward, .mode = mode, .load = load,
                                                .group = mode == MOTLEY_MODE_HYBRID ? 2 : 0};
    motley_plan *plan = NULL;
    struct motley_error error = {0};
    if (motley__plan_make(shape, &options, R, ranks->entry, links, &plan, &error))
        fail_msg("%s", error.text);
    return plan;
}

static double slowest_of(const motley_plan *plan)
{
    double slowest = 0;
    for (int r = 0; r < R; r++)
        slowest = fmax(slowest, plan->rank[r].seconds);
    return slowest;
}

/* Seconds if all work could be divided without remainder; the curves' overhead is next to nothing. */
static double ideal(const double *speed, int directions)
{
    double sum = 0;
    for (int r = 0; r < R; r++)
        sum += speed[r];
    return 4000 * (directions == 2 ? 3e-5 : 1e-5) / sum;
}

static void even_loads_change_nothing(void **state)
{
    const struct motley_layer_shape shape = fixture_shape(E, 1);
    struct ranks ranks;
    (void)state;
    make_ranks(&ranks, &shape, UNLIKE);
    for (enum motley_mode mode = MOTLEY_MODE_EXPERT; mode <= MOTLEY_MODE_HYBRID; mode++) {
        motley_plan *plain = plan_for(&ranks, &shape, NULL, mode, 1, NULL);
        motley_plan *even = plan_for(&ranks, &shape, EVEN, mode, 1, NULL);
        assert_true(motley__placement_equal(&plain->stored, &even->stored));
        assert_int_equal(even->replicas, 0);
        assert_int_equal(motley__plan_lots(even), 1);
        for (int r = 0; r < R; r++) {
            assert_true(plain->rank[r].seconds == even->rank[r].seconds);
            assert_true(plain->rank[r].bytes == even->rank[r].bytes);
        }
        motley_plan_destroy(plain);
        motley_plan_destroy(even);
    }
}

static void hot_experts_are_shared(void **state)
{
    const struct motley_layer_shape shape = fixture_shape(E, 1);
    const double *const loads[] = {HOT, FOUR, MILD}, *const speeds[] = {ALIKE, UNLIKE};
    struct ranks ranks;
    (void)state;
    for (int i = 0; i < 12; i++) {
        const double *speed = speeds[i % 2], *load = loads[i / 2 % 3];
        const enum motley_mode mode = i < 6 ? MOTLEY_MODE_EXPERT : MOTLEY_MODE_HYBRID;
        make_ranks(&ranks, &shape, speed);
        motley_plan *plan = plan_for(&ranks, &shape, load, mode, 0, NULL);
        const double best = ideal(speed, 1);
        if (slowest_of(plan) > 1.06 * best)
            fail_msg("case %d: %g s for the slowest rank, %g at best", i, slowest_of(plan), best);
        assert_true(load != HOT || plan->replicas > 0);
        double share = 0;
        for (int r = 0; r < R; r++)
            share += motley_plan_rank(plan, r).share;
        assert_true(fabs(share - 1) < 1e-9);
        motley_plan_destroy(plan);
    }
}

/* Every rank a node of its own. */
static void make_links(struct motley__links *links, double bandwidth)
{
    assert_int_equal(motley__links_alloc(R, R, 1, links, NULL), 0);
    for (int r = 0; r < R; r++)
        links->node[r] = r;
    links->between[0].bandwidth = bandwidth;
}

/* Ranks that have room for what they store and hardly more. */
static void no_memory_no_replicas(void **state)
{
    const struct motley_layer_shape shape = fixture_shape(E, 1);
    struct ranks ranks;
    struct motley__links links;
    (void)state;
    make_ranks(&ranks, &shape, ALIKE);
    make_links(&links, 1e6);
    motley_plan *without = plan_for(&ranks, &shape, HOT, MOTLEY_MODE_EXPERT, 1, &links);
    assert_int_equal(without->replicas, 0);
    motley_plan *with = plan_for(&ranks, &shape, HOT, MOTLEY_MODE_EXPERT, 1, NULL);
    assert_true(with->replicas > 0 && slowest_of(with) < 0.5 * slowest_of(without));
    for (int r = 0; r < R; r++) /* a weight and its gradient are 196 KiB */
        ranks.storage[r].key.memory_bytes = without->rank[r].bytes + (64 << 10);
    motley_plan *full = plan_for(&ranks, &shape, HOT, MOTLEY_MODE_EXPERT, 1, NULL);
    assert_int_equal(full->replicas, 0);
    assert_true(motley__placement_equal(&full->stored, &without->stored));
    motley_plan_destroy(without);
    motley_plan_destroy(with);
    motley_plan_destroy(full);
    motley__links_clear(&links);
}

/* In training weights and gradients travel in every step: over a slow link that costs more than it wins. */
static void replicas_pay_for_their_moves(void **state)
{
    const struct motley_layer_shape shape = fixture_shape(E, 1);
    struct ranks ranks;
    struct motley__links links;
    (void)state;
    make_ranks(&ranks, &shape, ALIKE);
    make_links(&links, 1e9);
    motley_plan *fast = plan_for(&ranks, &shape, HOT, MOTLEY_MODE_EXPERT, 1, &links);
    assert_true(fast->replicas > 0 && fast->rank[0].forward.weights > 0 && fast->rank[0].backward.weights > 0);
    links.between[0].bandwidth = 1e6;
    motley_plan *slow = plan_for(&ranks, &shape, HOT, MOTLEY_MODE_EXPERT, 1, &links);
    assert_int_equal(slow->replicas, 0);
    motley_plan *inference = plan_for(&ranks, &shape, HOT, MOTLEY_MODE_EXPERT, 0, &links);
    assert_true(inference->replicas > 0 && inference->rank[0].forward.weights == 0);
    motley_plan_destroy(fast);
    motley_plan_destroy(slow);
    motley_plan_destroy(inference);
    motley__links_clear(&links);
}

/* Every lot is served by a group that has the expert, and all lots together bring each group its part. */
static void check_serving(const motley_plan *plan)
{
    static double rows[R][E];
    int server[MOTLEY__LOTS * E];
    memset(rows, 0, sizeof rows);
    for (int r = 0; r < R; r++) {
        assert_int_equal(motley__plan_serve(plan, r, server, NULL), 0);
        for (int i = 0; i < motley__plan_lots(plan) * E; i++) {
            const int first = plan->member[plan->first_member[server[i]]];
            assert_true(motley__holding_find(&plan->computed.rank[first], i % E) >= 0);
            rows[server[i]][i % E] += (double)plan->rank[r].tokens / (double)plan->options.tokens / MOTLEY__LOTS;
        }
    }
    for (int i = 0; i < plan->replicas; i++) {
        const struct motley__replica *replica = &plan->replica[i];
        const double served = rows[plan->group_of[replica->rank]][replica->expert];
        if (fabs(served - replica->part) > 1.0 / MOTLEY__LOTS)
            fail_msg("replica %d of expert %d serves %g, planned %g", i, replica->expert, served, replica->part);
    }
}

static void parts_become_lots(void **state)
{
    const struct motley_layer_shape shape = fixture_shape(E, 2);
    const double *const loads[] = {HOT, FOUR};
    struct ranks ranks;
    (void)state;
    make_ranks(&ranks, &shape, UNLIKE);
    for (int i = 0; i < 4; i++) {
        motley_plan *plan = plan_for(&ranks, &shape, loads[i % 2], i < 2 ? MOTLEY_MODE_EXPERT : MOTLEY_MODE_HYBRID, 0,
                                     NULL);
        assert_true(plan->replicas > 0 || i != 0);
        if (plan->replicas)
            check_serving(plan);
        motley_plan_destroy(plan);
    }
}

static void text_comes_back(void **state)
{
    const struct motley_layer_shape shape = fixture_shape(E, 1);
    struct ranks ranks;
    char *text, *again;
    motley_plan *read;
    (void)state;
    make_ranks(&ranks, &shape, UNLIKE);
    motley_plan *plan = plan_for(&ranks, &shape, HOT, MOTLEY_MODE_EXPERT, 0, NULL);
    assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
    assert_int_equal(motley_plan_parse(text, &read, NULL), 0);
    assert_int_equal(motley_plan_text(read, &again, NULL), 0);
    assert_string_equal(text, again);
    assert_memory_equal(read->load, HOT, sizeof HOT);
    assert_int_equal(read->replicas, plan->replicas);
    assert_true(motley__placement_equal(&read->computed, &plan->computed));
    motley_plan_destroy(read);
    free(again);

    char *part = strstr(strstr(text, "\"replicas\""), "\"part\"");
    struct motley_error error = {0};
    part[7] = '-'; /* where a blank was: below 0 */
    assert_int_equal(motley_plan_parse(text, &read, &error), MOTLEY_E_FORMAT);
    assert_non_null(strstr(error.text, "replica 0"));
    free(text);
    motley_plan_destroy(plan);
}

static void impossible_loads_are_refused(void **state)
{
    static const double none[E], negative[E] = {1, -1}, infinite[E] = {INFINITY};
    const double *const wrong[] = {none, negative, infinite};
    const struct motley_layer_shape shape = fixture_shape(E, 1);
    struct ranks ranks;
    (void)state;
    make_ranks(&ranks, &shape, ALIKE);
    for (int i = 0; i < 3; i++) {
        const struct motley_plan_options options = {.tokens = 10, .load = wrong[i]};
        struct motley_error error = {0};
        motley_plan *plan = NULL;
        assert_int_equal(motley__plan_make(&shape, &options, R, ranks.entry, NULL, &plan, &error), MOTLEY_E_INVALID);
        assert_non_null(strstr(error.text, "load"));
    }
}

/* The last rank is a node of its own, behind a link of so many bytes a second: the predicted step of what is divided as
 * if rows moved in no time, and of what is made of that. */
static void over_a_link(const double *load, double bandwidth, int backward, double *blind, double *seen, int *moved)
{
    const struct motley_layer_shape shape = fixture_shape(E, 2);
    struct ranks ranks;
    struct motley__links links;
    struct motley__division division;
    struct motley__rank_cost cost[R];
    struct motley__prediction predicted;
    make_ranks(&ranks, &shape, UNLIKE);
    assert_int_equal(motley__links_alloc(R, 2, 1, &links, NULL), 0);
    links.node[R - 1] = 1;
    links.inside[0].bandwidth = 1e10;
    links.between[0].bandwidth = bandwidth;
    struct motley__task task = {.shape = shape, .R = R, .entry = ranks.entry, .links = &links,
                                .options = {.tokens = 4000, .backward = backward, .load = load,
                                            .exchange = MOTLEY_EXCHANGE_LINEAR}};
    int before[E];
    assert_int_equal(motley__task_open(&task, NULL), 0);
    assert_int_equal(motley__mode_divide(&task, MOTLEY_MODE_EXPERT, 0, &division, NULL), 0);
    assert_int_equal(motley__predict(&task, &division, cost, &predicted, NULL), 0);
    *blind = predicted.way[0].seconds;
    const int replicas = division.replicas;
    memcpy(before, division.owner, sizeof before);
    assert_int_equal(motley__refine(&task, &division, cost, &predicted, NULL), 0);
    *seen = predicted.way[0].seconds;
    *moved = replicas != division.replicas || memcmp(before, division.owner, sizeof before);
    int held[R] = {0};
    for (int e = 0; e < E; e++)
        held[division.owner[e]]++;
    for (int r = 0; r < R; r++)
        assert_int_equal(held[r], division.experts[r]);
    for (int i = 0; i < division.replicas; i++)
        assert_int_not_equal(division.owner[division.replica[i].expert], division.replica[i].rank);
    motley__division_clear(&division);
    motley__task_close(&task);
    motley__links_clear(&links);
}

static void rows_to_another_node_count(void **state)
{
    static const double *const loads[] = {HOT, FOUR, MILD};
    int shorter = 0;
    (void)state;
    for (int i = 0; i < 6; i++) {
        double blind, seen;
        int moved;
        over_a_link(loads[i / 2], 1e12, i % 2, &blind, &seen, &moved);
        assert_true(seen <= blind && !moved);
        over_a_link(loads[i / 2], 2e7, i % 2, &blind, &seen, &moved);
        print_message("case %d: %.1f ms as if rows moved in no time, %.1f ms\n", i, 1e3 * blind, 1e3 * seen);
        assert_true(seen <= blind && (moved ? seen < 0.98 * blind : seen == blind));
        shorter += seen < 0.97 * blind;
    }
    assert_true(shorter >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(even_loads_change_nothing), cmocka_unit_test(hot_experts_are_shared),
        cmocka_unit_test(no_memory_no_replicas), cmocka_unit_test(replicas_pay_for_their_moves),
        cmocka_unit_test(rows_to_another_node_count),
        cmocka_unit_test(parts_become_lots), cmocka_unit_test(text_comes_back),
        cmocka_unit_test(impossible_loads_are_refused),
    };
    return cmocka_run_group_tests_name("replicate", tests, NULL, NULL);
}
