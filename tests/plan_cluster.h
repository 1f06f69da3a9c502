/* A few made-up devices of unlike speed, for tests of plans.  Include after cmocka.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PLAN_CLUSTER_H
#define MOTLEY_TESTS_PLAN_CLUSTER_H

#include "plan/plan.h"
#include "plan_fixture.h"

enum { MOST_RANKS = 4 };

/* A cluster of R ranks; rank r needs slow[r] times as long as the first; forward and backward. */
struct cluster {
    struct motley__profile profile[MOST_RANKS];
    const struct motley__profile_entry *entry[MOST_RANKS];
};

static inline void make_cluster(struct cluster *cluster, const struct motley_layer_shape *shape, int R,
                                const double *slow)
{
    memset(cluster, 0, sizeof *cluster);
    for (int r = 0; r < R; r++) {
        struct motley__profile_key key = fixture_key(r);
        struct motley__profile_entry *entry = motley__profile_add(&cluster->profile[r], &key);
        assert_non_null(entry);
        entry->dense = (struct motley__dense_time){256, 512, 512, MOTLEY__DENSE_ESMM, 0.01 * slow[r], 0.01, 0};
        for (int backward = 0; backward < 2; backward++) {
            struct motley__curve curve = fixture_curve(shape, backward, 0, (1 + backward) * 1e-5 * slow[r]);
            assert_int_equal(motley__curve_put(entry, &curve, NULL), 0);
        }
        cluster->entry[r] = entry;
    }
}

static inline void clear_cluster(struct cluster *cluster)
{
    for (int r = 0; r < MOST_RANKS; r++)
        motley__profile_clear(&cluster->profile[r]);
}

/* All alternatives take as long as the chosen one, each a little more than the one before; so do the first `ways` of
 * 1, 2, 4 and 8 chunks. */
static inline void make_alike(motley_plan *plan, int ways)
{
    const double seconds = plan->alternative[plan->chosen].predicted.way[0].seconds;
    for (int i = 0; i < plan->alternatives; i++) {
        struct motley__prediction *p = &plan->alternative[i].predicted;
        p->ways = ways;
        for (int way = 0; way < ways; way++)
            p->way[way] = (struct motley__way){MOTLEY_EXCHANGE_LINEAR, 1 << way,
                                               seconds * (1 + 0.001 * (i != plan->chosen) * (1 + i) + 0.01 * way)};
    }
}

enum { UNLIKE_RANKS = 3, UNLIKE_EXPERTS = 8 };

/* Experts 4, 2, 2 on ranks that need 1, 2 and 2 seconds for each forward and backward: all end together.  The caller
 * destroys the plan and clears the cluster. */
static inline motley_plan *unlike_plan(struct cluster *cluster)
{
    static const double slow[UNLIKE_RANKS] = {1, 2, 2};
    const struct motley_layer_shape shape = fixture_shape(UNLIKE_EXPERTS, 2);
    const struct motley_plan_options options = {.tokens = 64, .backward = 1, .mode = MOTLEY_MODE_EXPERT};
    motley_plan *plan;
    make_cluster(cluster, &shape, UNLIKE_RANKS, slow);
    assert_int_equal(motley__plan_make(&shape, &options, UNLIKE_RANKS, cluster->entry, NULL, &plan, NULL), 0);
    for (int r = 0; r < UNLIKE_RANKS; r++) {
        assert_int_equal(motley_plan_rank(plan, r).experts, r ? 2 : 4);
        plan->rank[r].forward.experts = 1;
        plan->rank[r].backward.experts = 3;
    }
    return plan;
}

/* Of three unlike ranks, whole experts; destroyed by the caller. */
static inline motley_plan *some_plan(void)
{
    static const double slow[3] = {1, 2.7182818284590452, 1.1};
    const struct motley_layer_shape shape = fixture_shape(11, 3);
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 777, .backward = 1};
    struct cluster cluster;
    motley_plan *plan;
    make_cluster(&cluster, &shape, 3, slow);
    assert_int_equal(motley__plan_make(&shape, &options, 3, cluster.entry, NULL, &plan, NULL), 0);
    clear_cluster(&cluster);
    return plan;
}

#endif
