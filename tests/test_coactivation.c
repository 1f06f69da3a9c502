/* What was recorded of tokens' choices: files and back, files that lie, and what follows from the counts.
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
#include "coactivation/coactivation.h"
#include "published.h"

static void add_sets(motley_coactivation *c, const char *text)
{
    char *copy = strdup(text);
    struct motley_error error = {0};
    if (motley__coactivation_parse_sets("counts.sets", copy, c, &error))
        fail_msg("%s", error.text);
    free(copy);
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
    static const int split[3] = {0, 1, 1}, apart[3] = {0, 1, 2};
    static const uint8_t has[6] = {1, 0, 1, 1, 0, 1};
    double reach[2];
    motley_coactivation *c = parse(THREE);
    struct motley__choices choices;
    struct motley_error error = {0};
    assert_int_equal(motley__choices_make(c, 0, 2, &choices, NULL), 0);
    assert_int_equal(choices.sets, 3);
    assert_true(fabs(choices.chosen[0] - 0.7) < 1e-12 && fabs(choices.chosen[2] - 0.5) < 1e-12);
    /* 5 + 2 of 10 tokens go to both groups, 3 to the second alone */
    motley__choices_reach(&choices, split, NULL, 2, reach);
    assert_true(fabs(reach[0] - 0.7) < 1e-12 && fabs(reach[1] - 1) < 1e-12);
    motley__choices_reach(&choices, apart, has, 2, reach); /* 0 and 1 in the first place, 1 and 2 in the second */
    assert_true(fabs(reach[0] - 1) < 1e-12 && fabs(reach[1] - 1) < 1e-12);
    motley__choices_reach(&choices, split, has, 1, reach + 1); /* groups 0 and 1, of which the first is there */
    assert_true(fabs(reach[1] - 0.7) < 1e-12);
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
    motley__choices_reach(&choices, split, NULL, 2, reach);
    assert_true(fabs(reach[0] - 0.5) < 1e-12 && fabs(reach[1] - 1) < 1e-12);
    motley__choices_clear(&choices);
    motley_coactivation_destroy(c);
}

static void sets_are_drawn_as_often_as_they_are_chosen(void **state)
{
    (void)state;
    enum { T = 20000 };
    motley_coactivation *c = parse(THREE);
    struct motley__choices choices;
    int32_t *experts = malloc(2 * T * sizeof *experts), *again = malloc(2 * T * sizeof *again);
    assert_true(experts && again);
    assert_int_equal(motley__choices_make(c, 0, 2, &choices, NULL), 0);
    assert_int_equal(motley__choices_draw(&choices, 1, 2, T, experts, NULL), 0);
    for (int s = 0; s < choices.sets; s++) {
        double drawn = 0;
        for (int t = 0; t < T; t++)
            drawn += experts[2 * t] == choices.set[2 * s] && experts[2 * t + 1] == choices.set[2 * s + 1];
        assert_true(fabs(drawn / T - choices.weight[s]) < 0.02);
    }
    assert_int_equal(motley__choices_draw(&choices, 1, 2, T, again, NULL), 0);
    assert_memory_equal(experts, again, 2 * T * sizeof *experts);
    free(again);
    free(experts);
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

/* Of two that are chosen together one keeps all of its choices, one a quarter. */
static void what_is_kept_is_left(void **state)
{
    (void)state;
    for (int K = 2; K <= 3; K++) {
        enum { SETS = 4000 };
        static const double kept[3] = {1, 0.25, 0};
        const int sets = K == 2 ? 1 : SETS, group[3] = {0, 1, 2};
        struct motley__choices choices = {.sets = sets, .K = K, .set = malloc(sizeof(int) * (size_t)(sets * K)),
                                          .weight = malloc(sizeof(double) * (size_t)sets),
                                          .chosen = malloc(3 * sizeof(double))};
        double reach[3], all = 0;
        for (int i = 0; i < sets * K; i++)
            choices.set[i] = i % K;
        for (int i = 0; i < sets; i++)
            choices.weight[i] = 1.0 / sets;
        for (int e = 0; e < 3; e++)
            choices.chosen[e] = e < K;
        assert_int_equal(motley__choices_keep(&choices, 3, kept, NULL), 0);
        motley__choices_reach(&choices, group, NULL, 3, reach);
        for (int i = 0; i < choices.sets; i++)
            all += choices.weight[i];
        assert_true(fabs(all - 1) < 1e-9 && fabs(choices.chosen[1] - 0.25) < 1e-12);
        assert_true(fabs(reach[0] - 1) < 1e-9 && fabs(reach[1] - 0.25) < (K == 2 ? 1e-9 : 0.02) && reach[2] == 0);
        motley__choices_clear(&choices);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_come_back),
        cmocka_unit_test(any_end_of_line_is_read),
        cmocka_unit_test(files_that_lie_are_told),
        cmocka_unit_test(sets_that_lie_are_told),
        cmocka_unit_test(choices_follow_from_the_files),
        cmocka_unit_test(sets_are_drawn_as_often_as_they_are_chosen),
        cmocka_unit_test(lists_hold_the_closest_collaborators),
        cmocka_unit_test(what_is_kept_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
