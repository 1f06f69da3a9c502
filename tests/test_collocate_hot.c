/* Hot experts that tokens choose together with others: their replicas go where these are, and rows are foretold lot by
 * lot, between nodes, too.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "allocate/collocate.h"
#include "coactivation/coactivation.h"
#include "families.h"

/* Nine tokens of ten take expert 0, and two of a family; the others three of it. */
static void choose_hot(uint64_t token, int set[K])
{
    choose(0, token, set);
    for (int k = 0; k < K; k++)
        if (set[k] == 0)
            return;
    if (random_below(99, token, 10))
        set[random_below(98, token, K)] = 0;
}

static motley_coactivation *record_hot(double load[E])
{
    motley_coactivation *c;
    assert_int_equal(motley__coactivation_alloc(1, E, &c, NULL), 0);
    assert_int_equal(motley__coactivation_alloc_sets(c, K, SETS, NULL), 0);
    for (int i = 0; i < SETS; i++) {
        int *set = c->set + (size_t)i * K;
        choose_hot((uint64_t)(TOKENS + i), set);
        for (int a = 0; a < K; a++) {
            load[set[a]]++;
            for (int b = 0; b < K; b++)
                c->together[(size_t)set[a] * E + (size_t)set[b]] += a != b;
        }
    }
    c->first[1] = SETS;
    return c;
}

/* Rows sent to other ranks and ranks that tokens go to, each token by its lot; work of the slowest rank, in pairs. */
static double count_by_lots(const motley_plan *plan, const double *slow, double *copies, double *slowest)
{
    const int lots = motley__plan_lots(plan);
    double sent = 0, pairs[MOST_RANKS] = {0};
    *copies = *slowest = 0;
    for (int r = 0, first = 0; r < plan->R; first += (int)plan->rank[r++].tokens) {
        int server[MOTLEY__LOTS * E];
        assert_int_equal(motley__plan_serve(plan, r, server, NULL), 0);
        for (int t = 0; t < plan->rank[r].tokens; t++) {
            int set[K], went[MOST_RANKS] = {0};
            choose_hot((uint64_t)(first + t), set);
            for (int k = 0; k < K; k++)
                went[plan->member[plan->first_member[server[t % lots * E + set[k]]]]]++;
            for (int q = 0; q < plan->R; q++) {
                pairs[q] += went[q] * slow[q];
                *copies += (went[q] > 0) / (double)TOKENS;
                sent += went[q] > 0 && q != r;
            }
        }
    }
    for (int r = 0; r < plan->R; r++)
        *slowest = fmax(*slowest, pairs[r]);
    return sent;
}

/* Every device gets memory for so many times what the plan takes of the fullest. */
static void bound_memory(struct cluster *cluster, const motley_plan *plan, double room)
{
    uint64_t most = 0;
    for (int r = 0; r < plan->R; r++)
        most = plan->rank[r].bytes > most ? plan->rank[r].bytes : most;
    for (int r = 0; r < plan->R; r++)
        cluster->profile[r].entry[0].key.memory_bytes = (uint64_t)(room * (double)most);
}

/* room: memory of the devices, as times of what the plan by loads alone takes; 0: plenty. */
static void check_hot(int R, const double *slow, int backward, double room)
{
    const struct motley_layer_shape shape = fixture_shape(E, K);
    double load[E] = {0}, copies, slowest, blind_copies, blind_slowest;
    struct motley__links links = plain_links(R, R);
    struct cluster cluster;
    motley_plan *plan, *blind;
    struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = TOKENS, .load = load,
                                          .backward = backward};
    motley_coactivation *c = record_hot(load);
    make_cluster(&cluster, &shape, R, slow);
    assert_int_equal(motley__plan_make(&shape, &options, R, cluster.entry, &links, &blind, NULL), 0);
    options.coactivation = c;
    if (room > 0)
        bound_memory(&cluster, blind, room);
    assert_int_equal(motley__plan_make(&shape, &options, R, cluster.entry, &links, &plan, NULL), 0);
    for (int r = 0; r < R; r++)
        assert_true(plan->rank[r].bytes <= cluster.entry[r]->key.memory_bytes);
    const double sent = count_by_lots(plan, slow, &copies, &slowest);
    const double blind_sent = count_by_lots(blind, slow, &blind_copies, &blind_slowest);
    print_message("%d ranks: %d replicas, %.0f rows, %.3f copies (%.3f foretold), work %.0f; by loads alone "
                  "%d replicas, %.0f rows, %.3f copies, work %.0f\n", R, plan->replicas, sent, copies, plan->copies,
                  slowest, blind->replicas, blind_sent, blind_copies, blind_slowest);
    assert_true(backward || fabs(foretold(plan) - sent) <= 0.03 * sent);
    assert_true(fabs(plan->copies - copies) < 0.03 * copies && sent < blind_sent);
    assert_true(plan->replicas > 0);
    motley_plan_destroy(plan);
    motley_plan_destroy(blind);
    motley_coactivation_destroy(c);
    motley__links_clear(&links);
    clear_cluster(&cluster);
}

/* Rows to the other of two nodes, ranks in turn on them, each token by its lot. */
static double count_crossed_by_lots(const motley_plan *plan)
{
    const int lots = motley__plan_lots(plan);
    double crossed = 0;
    for (int r = 0, first = 0; r < plan->R; first += (int)plan->rank[r++].tokens) {
        int server[MOTLEY__LOTS * E];
        assert_int_equal(motley__plan_serve(plan, r, server, NULL), 0);
        for (int t = 0; t < plan->rank[r].tokens; t++) {
            int set[K], needed = 0;
            choose_hot((uint64_t)(first + t), set);
            for (int k = 0; k < K; k++) {
                const int group = server[t % lots * E + set[k]];
                needed |= plan->member[plan->first_member[group]] % 2 != r % 2;
            }
            crossed += needed;
        }
    }
    return crossed;
}

static void replicas_count_between_nodes(void **state)
{
    (void)state;
    static const double slow[MOST_RANKS] = {1, 2, 1.5, 1};
    const struct motley_layer_shape shape = fixture_shape(E, K);
    for (int tight = 0; tight < 2; tight++) {
        double load[E] = {0};
        struct motley__links links = plain_links(MOST_RANKS, 2);
        struct cluster cluster;
        motley_plan *plan;
        motley_coactivation *c = record_hot(load);
        const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = TOKENS, .load = load,
                                                    .coactivation = c, .exchange = MOTLEY_EXCHANGE_HIERARCHICAL};
        make_cluster(&cluster, &shape, MOST_RANKS, slow);
        for (int r = 0; r < MOST_RANKS && tight; r++)
            cluster.profile[r].entry[0].key.memory_bytes = UINT64_C(40) << 20;
        assert_int_equal(motley__plan_make(&shape, &options, MOST_RANKS, cluster.entry, &links, &plan, NULL), 0);
        const double crossed = count_crossed_by_lots(plan), foretold = foretold_crossing(plan);
        print_message("%d replicas: %.0f rows cross, foretold %.0f\n", plan->replicas, crossed, foretold);
        assert_true(plan->replicas > 0 && fabs(foretold - crossed) < 0.05 * crossed);
        motley_plan_destroy(plan);
        motley_coactivation_destroy(c);
        motley__links_clear(&links);
        clear_cluster(&cluster);
    }
}

static void hot_experts_get_replicas_where_their_tokens_go(void **state)
{
    (void)state;
    static const double alike[MOST_RANKS] = {1, 1, 1, 1}, unlike[MOST_RANKS] = {1, 2, 1.5, 1};
    for (int R = 2; R <= MOST_RANKS; R++)
        for (int backward = 0; backward < 2; backward++) {
            check_hot(R, alike, backward, 0);
            check_hot(R, unlike, backward, 0);
            check_hot(R, unlike, backward, 1.2);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_experts_get_replicas_where_their_tokens_go),
        cmocka_unit_test(replicas_count_between_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
