/* Placement by what tokens choose together: rows that are foretold to travel are those that do, and loads have their
 * say where they are known, too.
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

/* What was recorded: other tokens than those that come. */
static motley_coactivation *record(int layers)
{
    motley_coactivation *c;
    assert_int_equal(motley__coactivation_alloc(layers, E, &c, NULL), 0);
    assert_int_equal(motley__coactivation_alloc_sets(c, K, layers * SETS, NULL), 0);
    for (int i = 0; i < layers * SETS; i++) {
        const int layer = i / SETS;
        int *set = c->set + (size_t)i * K;
        choose(layer, (uint64_t)(TOKENS + i), set);
        c->first[layer + 1] = i + 1;
        for (int a = 0; a < K; a++)
            for (int b = 0; b < K; b++)
                c->together[((size_t)layer * E + (size_t)set[a]) * E + (size_t)set[b]] += a != b;
    }
    return c;
}

/* Rows that tokens of a layer send to other ranks; tokens of rank r are those from first[r] on. */
static double count_sent(const motley_plan *plan, int layer, const int64_t *first)
{
    double sent = 0;
    for (int r = 0; r < plan->R; r++)
        for (int64_t t = first[r]; t < first[r + 1]; t++) {
            int set[K];
            choose(layer, (uint64_t)t, set);
            for (int g = 0; g < plan->G; g++) {
                int needed = 0;
                for (int k = 0; k < K; k++)
                    needed |= plan->server[set[k]] == g;
                sent += needed * (plan->first_member[g + 1] - plan->first_member[g] - (plan->group_of[r] == g));
            }
        }
    return sent;
}

/* A layer planned blindly, and by what tokens chose together. */
struct both {
    motley_coactivation *coactivation;
    struct motley__links links;
    struct cluster cluster;
    motley_plan *blind, *plan;
    int64_t first[MOST_RANKS + 1];   /* token of each rank */
};

static void make_both(struct motley_plan_options options, int R, int nodes, const double *slow, int layers,
                      struct both *b)
{
    const struct motley_layer_shape shape = fixture_shape(E, K);
    *b = (struct both){.coactivation = record(layers), .links = plain_links(R, nodes)};
    make_cluster(&b->cluster, &shape, R, slow);
    assert_int_equal(motley__plan_make(&shape, &options, R, b->cluster.entry, &b->links, &b->blind, NULL), 0);
    options.coactivation = b->coactivation;
    assert_int_equal(motley__plan_make(&shape, &options, R, b->cluster.entry, &b->links, &b->plan, NULL), 0);
    for (int r = 0; r < R; r++)
        b->first[r + 1] = b->first[r] + b->plan->rank[r].tokens;
}

static void clear_both(struct both *b)
{
    motley_plan_destroy(b->plan);
    motley_plan_destroy(b->blind);
    clear_cluster(&b->cluster);
    motley__links_clear(&b->links);
    motley_coactivation_destroy(b->coactivation);
}

static void check_rows(enum motley_mode mode, int group, int R, int layers)
{
    static const double slow[MOST_RANKS] = {1, 2, 1.5, 1};
    struct both b;
    double sent = 0;
    make_both((struct motley_plan_options){.mode = mode, .group = group, .tokens = TOKENS}, R, R, slow, layers, &b);
    for (int l = 0; l < layers; l++)
        sent += count_sent(motley__plan_of_layer(b.plan, l), l, b.first) / layers;
    print_message("mode %d, %d ranks, %d layers: %.0f rows, foretold %.0f, by chance %.0f\n", (int)mode, R, layers,
                  sent, foretold(b.plan), foretold(b.blind));
    assert_true(fabs(foretold(b.plan) - sent) < 0.03 * sent);
    assert_true(foretold(b.blind) > 1.15 * sent);
    clear_both(&b);
}

static void rows_are_foretold_by_what_is_chosen(void **state)
{
    (void)state;
    for (int R = 2; R <= MOST_RANKS; R++)
        check_rows(MOTLEY_MODE_EXPERT, 0, R, 1);
    check_rows(MOTLEY_MODE_HYBRID, 2, 4, 1);
    check_rows(MOTLEY_MODE_EXPERT, 0, 3, LAYERS); /* each layer with its own placement */
}

/* Rows that tokens send to another of two nodes, where ranks are in turn on them. */
static double count_crossed(const motley_plan *plan, int layer, const int64_t *first)
{
    double crossed = 0;
    for (int r = 0; r < plan->R; r++)
        for (int64_t t = first[r]; t < first[r + 1]; t++) {
            int set[K], needed = 0;
            choose(layer, (uint64_t)t, set);
            for (int q = 0; q < plan->R; q++)
                for (int k = 0; k < K && q % 2 != r % 2; k++)
                    needed |= plan->server[set[k]] == plan->group_of[q];
            crossed += needed;
        }
    return crossed;
}

static void check_crossing(int layers)
{
    static const double slow[MOST_RANKS] = {1, 1, 1, 1};
    struct both b;
    double crossed = 0;
    make_both((struct motley_plan_options){.mode = MOTLEY_MODE_EXPERT, .tokens = TOKENS, .shares = MOTLEY_SHARES_EVEN,
                                           .exchange = MOTLEY_EXCHANGE_HIERARCHICAL}, MOST_RANKS, 2, slow, layers, &b);
    for (int l = 0; l < layers; l++)
        crossed += count_crossed(motley__plan_of_layer(b.plan, l), l, b.first) / layers;
    print_message("%d layers: %.0f rows cross, foretold %.0f, by chance %.0f\n", layers, crossed,
                  foretold_crossing(b.plan), foretold_crossing(b.blind));
    assert_true(fabs(foretold_crossing(b.plan) - crossed) < 0.03 * crossed);
    assert_true(foretold_crossing(b.blind) > 1.05 * crossed);
    clear_both(&b);
}

static void so_are_those_that_cross_between_nodes(void **state)
{
    (void)state;
    check_crossing(1);
    check_crossing(LAYERS);
}

/* Two ranks alike.  The first two experts are often chosen together; by their loads they are most of the work. */
static motley_plan *plan_pairs(const struct cluster *cluster, const double *load)
{
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    motley_coactivation *c;
    motley_plan *plan;
    assert_int_equal(motley__coactivation_alloc(1, 8, &c, NULL), 0);
    for (int i = 0; i < 8; i++) /* 0 with 1, 2 with 3, .. */
        c->together[i * 8 + (i ^ 1)] = 100;
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 1024, .coactivation = c,
                                                .load = load};
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster->entry, NULL, &plan, NULL), 0);
    motley_coactivation_destroy(c);
    return plan;
}

static void loads_and_choices_go_together(void **state)
{
    (void)state;
    static const double slow[2] = {1, 1}, hot[8] = {8, 8, 1, 1, 1, 1, 1, 1}, even[8] = {3, 3, 3, 3, 3, 3, 3, 3};
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    struct cluster cluster;
    make_cluster(&cluster, &shape, 2, slow);
    motley_plan *plan = plan_pairs(&cluster, NULL), *same = plan_pairs(&cluster, even),
                *loaded = plan_pairs(&cluster, hot);
    for (int e = 0; e < 8; e += 2)
        assert_int_equal(plan->server[e], plan->server[e + 1]);
    assert_true(fabs(plan->copies - 1) < 1e-12 && motley__placement_equal(&plan->stored, &same->stored));
    assert_int_not_equal(loaded->server[0], loaded->server[1]);
    assert_true(fabs(loaded->copies - 1.5) < 1e-12); /* four experts each: of the other pairs two stay whole */
    assert_int_equal(loaded->replicas, 0);
    for (int r = 0; r < 2; r++)
        assert_true(fabs(motley_plan_rank(loaded, r).share - 0.5) < 0.05);
    char *text, *again;
    assert_int_equal(motley_plan_text(loaded, &text, NULL), 0); /* loads and what was chosen, there and back */
    motley_plan_destroy(same);
    assert_int_equal(motley_plan_parse(text, &same, NULL), 0);
    assert_int_equal(motley_plan_text(same, &again, NULL), 0);
    assert_string_equal(text, again);
    free(text);
    free(again);
    motley_plan_destroy(same);
    motley_plan_destroy(plan);
    motley_plan_destroy(loaded);
    clear_cluster(&cluster);
}

/* With a capacity, fewer: all first choices count before all second ones. */
static void a_capacity_leaves_fewer_rows(void **state)
{
    (void)state;
    static const double slow[MOST_RANKS] = {1, 2, 1.5, 1};
    for (int i = 0; i < 3; i++) {
        const double f = (double[]){0, 1, 0.5}[i];
        struct both b;
        double sent = 0, left[E];
        static int kept[TOKENS][K];
        make_both((struct motley_plan_options){.mode = MOTLEY_MODE_EXPERT, .tokens = TOKENS, .capacity = f}, 3, 3, slow,
                  1, &b);
        for (int e = 0; e < E; e++)
            left[e] = f > 0 ? K * floor(f * ceil((double)TOKENS / E)) : TOKENS;
        for (int t = 0; t < TOKENS; t++)
            choose(0, (uint64_t)t, kept[t]);
        for (int level = 0; level < K; level++)
            for (int t = 0; t < TOKENS; t++) {
                int *choice = &kept[t][(level + random_below(97, (uint64_t)t, K)) % K];
                *choice = left[*choice]-- > 0 ? *choice : -1;
            }
        for (int r = 0; r < 3; r++)
            for (int64_t t = b.first[r]; t < b.first[r + 1]; t++) {
                int went[3] = {0};
                for (int k = 0; k < K; k++)
                    if (kept[t][k] >= 0)
                        went[b.plan->member[b.plan->first_member[b.plan->server[kept[t][k]]]]] = 1;
                for (int q = 0; q < 3; q++)
                    sent += q != r && went[q];
            }
        const double said = b.plan->alternative[b.plan->chosen].predicted.moved / (8.0 * b.plan->shape.D + 8);
        print_message("f=%g: %.0f rows, foretold %.0f and what goes with their pairs\n", f, sent, said);
        assert_true(said > 0.98 * sent && said < 1.06 * sent);
        clear_both(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_foretold_by_what_is_chosen),
        cmocka_unit_test(so_are_those_that_cross_between_nodes),
        cmocka_unit_test(loads_and_choices_go_together),
        cmocka_unit_test(a_capacity_leaves_fewer_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
