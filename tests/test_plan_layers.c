/* Plans that put together what is chosen together, layer by layer.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan/plan.h"
#include "plan_cluster.h"
#include "published.h"

static double mean_copies(const motley_plan *plan, double *before)
{
    double sum = 0;
    *before = 0;
    for (int l = 0; l < plan->layers; l++) {
        sum += plan->layer[l]->copies / plan->layers;
        *before += plan->layer[l]->copies_before / plan->layers;
    }
    return sum;
}

/* Copies of a plan's layer, counted from where its experts lie. */
static double counted(const motley_coactivation *c, int layer, const motley_plan *plan)
{
    double copies = 0, tokens = 0;
    for (int i = 0; i < E8; i++)
        for (int j = i + 1; j < E8; j++) {
            const double count = (double)c->together[((size_t)layer * E8 + (size_t)i) * E8 + (size_t)j];
            copies += count * (plan->server[i] == plan->server[j] ? 1 : 2);
            tokens += count;
        }
    return copies / tokens;
}

static void published_counts_reach_their_optimum(void **state)
{
    (void)state;
    static const double slow[MOST_RANKS] = {1, 1, 1, 1}, optimum[] = {0, 0, 1.268, 0, 1.5222};
    const struct motley_layer_shape shape = fixture_shape(E8, 2);
    motley_coactivation *c = published();
    for (int R = 2; R <= 4; R += 2) {
        const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 1024, .coactivation = c,
                                                    .shares = MOTLEY_SHARES_EVEN};
        struct cluster cluster;
        motley_plan *plan, *again;
        char *text, *second;
        double before;
        make_cluster(&cluster, &shape, R, slow);
        assert_int_equal(motley__plan_make(&shape, &options, R, cluster.entry, NULL, &plan, NULL), 0);
        assert_int_equal(plan->layers, 32);
        print_message("%d ranks: %.4f copies per token\n", R, mean_copies(plan, &before));
        assert_true(fabs(mean_copies(plan, &before) - optimum[R]) < 5e-4);
        assert_true(fabs(before - (R == 4 ? 1.870 : 1.585)) < 5e-4);
        for (int l = 0; l < plan->layers; l++) {
            assert_ptr_equal(motley__plan_of_layer(plan, l), plan->layer[l]);
            assert_true(fabs(counted(c, l, plan->layer[l]) - plan->layer[l]->copies) < 1e-9);
            for (int r = 0; r < R; r++)
                assert_int_equal(motley_plan_rank(plan->layer[l], r).experts, E8 / R);
        }
        assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
        assert_int_equal(motley_plan_parse(text, &again, NULL), 0);
        assert_int_equal(motley_plan_text(again, &second, NULL), 0);
        assert_string_equal(text, second);
        for (int l = 0; l < plan->layers; l++)
            assert_true(motley__placement_equal(&plan->layer[l]->computed, &again->layer[l]->computed));
        free(text);
        free(second);
        motley_plan_destroy(again);
        motley_plan_destroy(plan);
        clear_cluster(&cluster);
    }
    motley_coactivation_destroy(c);
}

/* On unlike devices the number of experts stays what the devices earn, and no placement is worse than blocks. */
static void unequal_shares_keep_their_numbers(void **state)
{
    (void)state;
    static const double slow[3] = {1, 2, 5};
    const struct motley_layer_shape shape = fixture_shape(E8, 2);
    struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 4096, .backward = 1};
    struct cluster cluster;
    motley_plan *plain, *plan;
    motley_coactivation *c = published();
    make_cluster(&cluster, &shape, 3, slow);
    assert_int_equal(motley__plan_make(&shape, &options, 3, cluster.entry, NULL, &plain, NULL), 0);
    options.coactivation = c;
    assert_int_equal(motley__plan_make(&shape, &options, 3, cluster.entry, NULL, &plan, NULL), 0);
    for (int r = 0; r < 3; r++)
        assert_int_equal(motley_plan_rank(plan, r).experts, motley_plan_rank(plain, r).experts);
    assert_true(plan->copies > 1 && plan->copies_before <= 2);
    options.coactivation_layer = 7;
    motley_plan_destroy(plan);
    assert_int_equal(motley__plan_make(&shape, &options, 3, cluster.entry, NULL, &plan, NULL), 0);
    assert_int_equal(plan->layers, 0);
    assert_true(fabs(counted(c, 6, plan) - plan->copies) < 1e-9);
    motley_plan_destroy(plan);
    motley_plan_destroy(plain);
    clear_cluster(&cluster);
    motley_coactivation_destroy(c);
}

static void modes_where_groups_hold_everything_ignore_it(void **state)
{
    (void)state;
    static const double slow[MOST_RANKS] = {1, 1, 1, 1};
    static const enum motley_mode modes[] = {MOTLEY_MODE_DATA, MOTLEY_MODE_MODEL};
    const struct motley_layer_shape shape = fixture_shape(E8, 2);
    motley_coactivation *c = published();
    struct cluster cluster;
    make_cluster(&cluster, &shape, 4, slow);
    for (int i = 0; i < 2; i++) {
        struct motley_plan_options options = {.mode = modes[i], .tokens = 1024, .coactivation = c};
        motley_plan *plan, *plain;
        assert_int_equal(motley__plan_make(&shape, &options, 4, cluster.entry, NULL, &plan, NULL), 0);
        options.coactivation = NULL;
        assert_int_equal(motley__plan_make(&shape, &options, 4, cluster.entry, NULL, &plain, NULL), 0);
        assert_true(plan->layers == 0 && plan->copies == 0);
        assert_true(motley__placement_equal(&plan->stored, &plain->stored));
        motley_plan_destroy(plan);
        motley_plan_destroy(plain);
    }
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_HYBRID, .group = 2, .tokens = 1024,
                                                .coactivation = c, .shares = MOTLEY_SHARES_EVEN};
    motley_plan *plan;
    double before;
    assert_int_equal(motley__plan_make(&shape, &options, 4, cluster.entry, NULL, &plan, NULL), 0);
    assert_true(fabs(mean_copies(plan, &before) - 2 * 1.268) < 1e-3); /* groups of two: a copy for each of them */
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
    motley_coactivation_destroy(c);
}

static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    static const double slow[2] = {1, 1};
    const struct motley_layer_shape six = fixture_shape(6, 2), four = fixture_shape(E8, 4);
    motley_coactivation *c = published();
    struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 64, .coactivation = c,
                                          .shares = MOTLEY_SHARES_EVEN};
    struct motley_error error = {0};
    struct cluster cluster;
    motley_plan *plan;
    make_cluster(&cluster, &six, 2, slow);
    assert_int_equal(motley__plan_make(&six, &options, 2, cluster.entry, NULL, &plan, &error), MOTLEY_E_INVALID);
    assert_string_equal(error.text, "the co-activation is of 8 experts, but the layer has 6");
    error = (struct motley_error){0};
    assert_int_equal(motley__plan_make(&four, &options, 2, cluster.entry, NULL, &plan, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "no sets of experts"));
    error = (struct motley_error){0};
    options.coactivation_layer = 33;
    const struct motley_layer_shape eight = fixture_shape(E8, 2);
    assert_int_equal(motley__plan_make(&eight, &options, 2, cluster.entry, NULL, &plan, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "expected 0 to 32"));
    clear_cluster(&cluster);
    motley_coactivation_destroy(c);
}

/* A plan's text whose layers lie. */
static void layers_that_lie_are_told(void **state)
{
    (void)state;
    static const double slow[2] = {1, 1};
    static const char *const lies[][3] = {
        {"\"groups\": [", "\"groups\": [7, ", "do not share out"},
        {"\"recorded\": \"", "\"recorded\": \"x", "\"recorded\""},
        {"\"copies_per_token\": ", "\"copies_per_token\": -", "\"copies_per_token\""},
    };
    const struct motley_layer_shape shape = fixture_shape(E8, 2);
    motley_coactivation *c = published();
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 64, .coactivation = c,
                                                .shares = MOTLEY_SHARES_EVEN};
    struct cluster cluster;
    motley_plan *plan, *again;
    char *text;
    make_cluster(&cluster, &shape, 2, slow);
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster.entry, NULL, &plan, NULL), 0);
    assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const char *at = strstr(text, lies[i][0]);
        struct motley_error error = {0};
        char *lie;
        assert_non_null(at);
        assert_int_equal(motley__format(&lie, NULL, "%.*s%s%s", (int)(at - text), text, lies[i][1],
                                        at + strlen(lies[i][0])), 0);
        assert_int_equal(motley_plan_parse(lie, &again, &error), MOTLEY_E_FORMAT);
        assert_non_null(strstr(error.text, lies[i][2]));
        free(lie);
    }
    free(text);
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
    motley_coactivation_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_counts_reach_their_optimum),
        cmocka_unit_test(unequal_shares_keep_their_numbers),
        cmocka_unit_test(modes_where_groups_hold_everything_ignore_it),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(layers_that_lie_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
