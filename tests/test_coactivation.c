/* What was recorded of tokens' choices: files and back, files that lie, what follows from the counts, and plans that
 * put together what is chosen together.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "coactivation/coactivation.h"
#include "plan/plan.h"
#include "plan_cluster.h"

enum { SEED = 7788, E8 = 8 };

static motley_coactivation *parse(const char *text)
{
    char *copy = strdup(text);
    motley_coactivation *c = NULL;
    struct motley_error error = {0};
    if (motley__coactivation_parse("counts", copy, &c, &error))
        fail_msg("%s", error.text);
    free(copy);
    return c;
}

static void add_sets(motley_coactivation *c, const char *text)
{
    char *copy = strdup(text);
    struct motley_error error = {0};
    if (motley__coactivation_parse_sets("counts.sets", copy, c, &error))
        fail_msg("%s", error.text);
    free(copy);
}

static motley_coactivation *published(void)
{
    char path[1024], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/tests/coactivation/llama-moe-base.csv", getenv("SOURCE_DIR"));
    assert_int_equal(motley__file_read(path, &text, &bytes, NULL), 0);
    motley_coactivation *c = parse(text);
    free(text);
    return c;
}

static const char THREE[] = "layer,expert,with_0,with_1,with_2\n0,0,0,5,2\n0,1,5,0,3\n0,2,2,3,0\n"
                            "1,0,0,0,9\n1,1,0,0,1\n1,2,9,1,0\n";
static const char THREE_SETS[] = "layer,e0,e1,e2\n0,0,1,2\n0,2,1,-1\n1,2,0,1\n";

static void files_come_back(void **state)
{
    (void)state;
    char path[] = "/tmp/motley-coactivation-XXXXXX", sets[64], *text;
    size_t bytes;
    motley_coactivation *c = parse(THREE), *again = NULL;
    add_sets(c, THREE_SETS);
    assert_int_equal(motley_coactivation_layers(c), 2);
    assert_int_equal(motley_coactivation_experts(c), 3);
    assert_int_equal(c->together[3 * 3 + 2], 9);
    assert_true(c->K == 3 && c->first[1] == 2 && c->first[2] == 3 && c->set[5] == -1);
    close(mkstemp(path));
    snprintf(sets, sizeof sets, "%s.sets", path);
    assert_int_equal(motley__coactivation_write(c, path, NULL), 0);
    assert_int_equal(motley__file_read(path, &text, &bytes, NULL), 0);
    assert_string_equal(text, THREE);
    again = parse(text);
    free(text);
    assert_true(motley__coactivation_hash(again) != motley__coactivation_hash(c)); /* its sets are still missing */
    assert_int_equal(motley__file_read(sets, &text, &bytes, NULL), 0);
    assert_string_equal(text, THREE_SETS);
    add_sets(again, text);
    free(text);
    assert_true(motley__coactivation_hash(again) == motley__coactivation_hash(c));
    unlink(path);
    unlink(sets);
    motley_coactivation_destroy(again);
    motley_coactivation_destroy(c);
}

/* Lines may end as elsewhere, and the last one need not. */
static void any_end_of_line_is_read(void **state)
{
    (void)state;
    motley_coactivation *c = parse("layer,expert,with_0,with_1\r\n0,0,0,7\r\n0,1,7,0");
    assert_int_equal(c->together[1], 7);
    motley_coactivation_destroy(c);
}

static void files_that_lie_are_told(void **state)
{
    (void)state;
    static const char *const lies[][2] = {
        {"", "counts:1: expected the heading layer,expert,with_0,with_1"},
        {"layer,with_0\n", "counts:1: expected the heading"},
        {"layer,expert,with_0,with_2\n", "counts:1: expected the column with_1, at most 16384 of them, found 'with_2'"},
        {"layer,expert,with_0,with_1\n0,0,0,1\n", "expected 2 lines for each layer behind the heading, found 1"},
        {"layer,expert,with_0,with_1\n", "expected 2 lines for each layer behind the heading, found 0"},
        {"layer,expert,with_0,with_1\n0,0,0,1\n0,0,1,0\n",
         "counts:3: expert: expected a number from 1 to 1, found '0'"},
        {"layer,expert,with_0,with_1\n1,0,0,1\n1,1,1,0\n", "counts:2: layer: expected a number from 0 to 0, found '1'"},
        {"layer,expert,with_0,with_1\n0,0,3,1\n0,1,1,0\n",
         "counts:2: with_0: expected a number from 0 to 0, found '3'"},
        {"layer,expert,with_0,with_1\n0,0,0,-1\n0,1,-1,0\n", "counts:2: with_1: expected a number from 0 to "},
        {"layer,expert,with_0,with_1\n0,0,0,1\n0,1,2,0\n",
         "counts:3: with_0: expected 1, as expert 0 says of expert 1, found 2"},
        {"layer,expert,with_0,with_1\n0,0,0,1x\n0,1,1,0\n", "counts:2: with_1: expected a number"},
        {"layer,expert,with_0,with_1\n0,0,0\n0,1,1,0\n", "found the end of the line"},
        {"layer,expert,with_0,with_1\n0,0,0,1,4\n0,1,1,0\n", "counts:2: expected 4 columns as in line 1, found more"},
        {"layer,expert,with_0,with_1\n0,0,0,99999999999999999999\n0,1,1,0\n", "counts:2: with_1: expected a number"},
        {"layer,expert,with_0,with_1\n\n0,0,0,1\n", "counts:2: layer: expected a number from 0 to 0, found ''"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char *text = strdup(lies[i][0]);
        motley_coactivation *c = NULL;
        struct motley_error error = {0};
        assert_int_equal(motley__coactivation_parse("counts", text, &c, &error), MOTLEY_E_FORMAT);
        if (!strstr(error.text, lies[i][1]))
            fail_msg("lie %zu: \"%s\" lacks \"%s\"", i, error.text, lies[i][1]);
        assert_null(c);
        free(text);
    }
}

static void sets_that_lie_are_told(void **state)
{
    (void)state;
    static const char *const lies[][2] = {
        {"layer,expert\n", "counts.sets:1: expected the column e0"},
        {"layer,e0,e1,e2,e3\n", "counts.sets:1: expected at most 3 experts in a set, found 4"},
        {"layer,e0,e1\n0,0,3\n", "counts.sets:2: e1: expected a number from -1 to 2, found '3'"},
        {"layer,e0,e1\n0,2,2\n", "counts.sets:2: expected different experts, found 2 twice"},
        {"layer,e0,e1\n1,0,1\n0,0,1\n", "counts.sets:3: layer: expected a number from 1 to 1, found '0'"},
        {"layer,e0,e1\n2,0,1\n", "counts.sets:2: layer: expected a number from 0 to 1, found '2'"},
        {"layer,e0,e1\n0,0\n", "counts.sets:2: e1: expected a number from -1 to 2, found the end of the line"},
        {"layer,e0,e1\n0,0,1,2\n", "counts.sets:2: expected 3 columns as in line 1, found more"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char *text = strdup(lies[i][0]);
        motley_coactivation *c = parse(THREE);
        struct motley_error error = {0};
        assert_int_equal(motley__coactivation_parse_sets("counts.sets", text, c, &error), MOTLEY_E_FORMAT);
        if (!strstr(error.text, lies[i][1]))
            fail_msg("lie %zu: \"%s\" lacks \"%s\"", i, error.text, lies[i][1]);
        motley_coactivation_destroy(c);
        free(text);
    }
}

/* Of pairs exactly, of sets as sampled; one layer or all. */
static void choices_follow_from_the_files(void **state)
{
    (void)state;
    static const int split[3] = {0, 1, 1}, ranks[2] = {1, 2};
    motley_coactivation *c = parse(THREE);
    struct motley__choices choices;
    struct motley_error error = {0};
    assert_int_equal(motley__choices_make(c, 0, 2, &choices, NULL), 0);
    assert_int_equal(choices.sets, 3);
    assert_true(fabs(choices.chosen[0] - 0.7) < 1e-12 && fabs(choices.chosen[2] - 0.5) < 1e-12);
    /* 5 + 2 of 10 tokens go to both groups, 3 to the second alone, which has two ranks */
    assert_true(fabs(motley__choices_copies(&choices, split, ranks) - (0.7 * 3 + 0.3 * 2)) < 1e-12);
    motley__choices_clear(&choices);
    assert_int_equal(motley__choices_make(c, MOTLEY__ALL_LAYERS, 2, &choices, NULL), 0);
    assert_true(fabs(choices.chosen[1] - 9.0 / 20) < 1e-12);
    motley__choices_clear(&choices);
    assert_int_equal(motley__choices_make(c, 0, 3, &choices, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "FILE.sets"));
    add_sets(c, THREE_SETS);
    error = (struct motley_error){0};
    assert_int_equal(motley__choices_make(c, 0, 1, &choices, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "sets of 3 experts"));
    assert_int_equal(motley__choices_make(c, 0, 3, &choices, NULL), 0);
    assert_int_equal(choices.sets, 2);
    assert_true(fabs(motley__choices_copies(&choices, split, ranks) - (0.5 * 3 + 0.5 * 2)) < 1e-12);
    motley__choices_clear(&choices);
    motley_coactivation_destroy(c);
}

/* Against a plain sort, by count and number. */
static void lists_hold_the_closest_collaborators(void **state)
{
    (void)state;
    motley_coactivation *c = published();
    for (int layer = 0; layer < c->layers; layer++)
        for (int most = 1; most <= E8; most++) {
            uint32_t mask[E8];
            assert_int_equal(motley__coactivation_mask(c, layer, most, mask, NULL), 0);
            for (int i = 0; i < E8; i++)
                for (int j = 0; j < E8; j++) {
                    const int64_t *row = c->together + ((size_t)layer * E8 + (size_t)i) * E8;
                    int before = 0;
                    for (int k = 0; k < E8; k++)
                        before += k != i && (row[k] > row[j] || (row[k] == row[j] && k < j));
                    assert_int_equal(mask[i] >> j & 1, i == j || before < most);
                }
        }
    motley_coactivation_destroy(c);
}

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
        cmocka_unit_test(files_come_back),
        cmocka_unit_test(any_end_of_line_is_read),
        cmocka_unit_test(files_that_lie_are_told),
        cmocka_unit_test(sets_that_lie_are_told),
        cmocka_unit_test(choices_follow_from_the_files),
        cmocka_unit_test(lists_hold_the_closest_collaborators),
        cmocka_unit_test(published_counts_reach_their_optimum),
        cmocka_unit_test(unequal_shares_keep_their_numbers),
        cmocka_unit_test(modes_where_groups_hold_everything_ignore_it),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(layers_that_lie_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
