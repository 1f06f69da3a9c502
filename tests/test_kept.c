/* What a capacity keeps: pairs and rows that a plan foretells are those that skewed tokens really have once choices
 * beyond it are dropped; capacity comes back from a plan's text, and without one nothing changes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "allocate/serve.h"
#include "base/random.h"
#include "layer/capacity.h"
#include "plan_cluster.h"

enum { E = 12, K = 3, R = 3, T = 3000, SEED = 71 };

static int chosen[T][K];             /* -1: dropped */
static const double EVEN[E] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const double SKEWED[E] = {6, 5, 4, 3, 2, 2, 1, 1, 1, 0.5, 0.5, 0.2};
static const double HOT[E] = {0.2, 30, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* Each token draws different experts, one after the other, by their heat; load [E]: how often each was chosen. */
static void draw(const double *heat, double *load)
{
    memset(load, 0, E * sizeof *load);
    for (int t = 0; t < T; t++) {
        double left = 0;
        for (int e = 0; e < E; e++)
            left += heat[e];
        for (int k = 0; k < K; k++) {
            double x = left * motley__random_uniform(SEED, (uint64_t)k, (uint64_t)t);
            int last = -1;
            for (int e = 0; e < E && x >= 0; e++) {
                int taken = 0;
                for (int j = 0; j < k; j++)
                    taken |= chosen[t][j] == e;
                if (taken)
                    continue;
                last = e;
                x -= heat[e];
            }
            chosen[t][k] = last;
            left -= heat[last];
            load[last]++;
        }
    }
}

/* All first choices before all second ones. */
static double drop(double f)
{
    int64_t room[E];
    double kept = 0;
    for (int e = 0; e < E; e++)
        room[e] = f == 0 ? T : motley__capacity_rows(f, T, E, K);
    for (int k = 0; k < K; k++)
        for (int t = 0; t < T; t++) {
            const int e = chosen[t][k];
            if (room[e]-- <= 0)
                chosen[t][k] = -1;
            else
                kept++;
        }
    return kept;
}

/* What the tokens of R ranks, each a third of them, come to: pairs of each rank, and rows that it gets from others. */
static void count(const struct motley__serving *serving, double *pairs, double *rows)
{
    int server[MOTLEY__LOTS * E];
    for (int r = 0; r < R; r++)
        pairs[r] = rows[r] = 0;
    for (int r = 0; r < R; r++) {
        assert_int_equal(motley__serve(serving, r, server, NULL), 0);
        for (int t = 0; t < T / R; t++) {
            int there[R] = {0};
            for (int k = 0; k < K; k++) {
                const int e = chosen[r * (T / R) + t][k];
                if (e >= 0)
                    there[server[t % MOTLEY__LOTS * E + e]]++;
            }
            for (int g = 0; g < R; g++) {
                pairs[g] += there[g];
                rows[g] += g != r && there[g];
            }
        }
    }
}

static void check(const char *name, const double *heat, double f)
{
    static const double slow[R] = {1, 1.5, 1};
    const struct motley_layer_shape shape = fixture_shape(E, K);
    struct motley__division division;
    struct motley__duty duty[R];
    struct cluster cluster;
    double load[E], tokens[R], pairs[R], rows[R], all = 0, foretold = 0;
    draw(heat, load);
    make_cluster(&cluster, &shape, R, slow);
    struct motley__task task = {.shape = shape, .R = R, .entry = cluster.entry,
                                .options = {.tokens = T, .capacity = f, .load = heat == EVEN ? NULL : load}};
    assert_int_equal(motley__task_open(&task, NULL), 0);
    assert_int_equal(motley__mode_divide(&task, MOTLEY_MODE_EXPERT, 0, &division, NULL), 0);
    assert_int_equal(motley__division_duties(&task, &division, duty, NULL), 0);
    int owner[E];
    motley__division_owners(&division, E, 0, owner);
    for (int r = 0; r < R; r++)
        tokens[r] = (double)division.tokens[r];
    const double kept = drop(f);
    const struct motley__serving serving = {.R = R, .E = E, .group_of = division.group_of, .owner = owner,
                                            .tokens = tokens, .replicas = division.replicas,
                                            .replica = division.replica};
    count(&serving, pairs, rows);
    assert_true(fabs(task.kept - kept / (T * K)) < 0.02);
    for (int r = 0; r < R; r++) {
        print_message("%s f=%5.2f rank %d: %4.0f pairs, %4.0f foretold; %4.0f rows, %4.0f foretold\n", name, f, r,
                      pairs[r], duty[r].pairs, rows[r], duty[r].received);
        assert_true(fabs(pairs[r] - duty[r].pairs) < 0.06 * T);
        all += rows[r];
        foretold += duty[r].received;
    }
    /* Of late ranks' tokens more is dropped than of early ones', which a plan does not look at. */
    assert_true(fabs(all - foretold) < (f == 0 || fabs(f) > 1 ? 0.04 : 0.11) * all);
    motley__division_clear(&division);
    motley__task_close(&task);
    clear_cluster(&cluster);
}

static void rows_are_foretold_with_what_is_dropped(void **state)
{
    (void)state;
    static const double factors[] = {0, 0.25, 0.5, 1, -1, 1.5, 3};
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        check("even", EVEN, factors[i]);
        check("skewed", SKEWED, factors[i]);
        check("hot", HOT, factors[i]);
    }
}

/* Seconds and bytes of what is dropped are not counted, whatever the mode; with room for all they are as before. */
static void what_is_dropped_costs_nothing(void **state)
{
    (void)state;
    static const double slow[R] = {1, 1.5, 1}, factors[] = {0, 1000, 1, 0.5, -0.5};
    const struct motley_layer_shape shape = fixture_shape(E, K);
    struct cluster cluster;
    make_cluster(&cluster, &shape, R, slow);
    for (int loaded = 0; loaded < 2; loaded++)
        for (enum motley_mode mode = MOTLEY_MODE_EXPERT; mode <= MOTLEY_MODE_HYBRID; mode++) {
            double seconds[5], bytes[5];
            for (int i = 0; i < 5; i++) {
                const struct motley_plan_options options = {.tokens = T, .backward = 1, .mode = mode,
                    .group = mode == MOTLEY_MODE_HYBRID ? 2 : 0, .capacity = factors[i],
                    .load = loaded ? SKEWED : NULL};
                motley_plan *plan;
                assert_int_equal(motley__plan_make(&shape, &options, R, cluster.entry, NULL, &plan, NULL), 0);
                const struct motley__prediction *p = &plan->alternative[plan->chosen].predicted;
                seconds[i] = p->forward.experts + p->backward.experts;
                bytes[i] = (double)p->bytes;
                motley_plan_destroy(plan);
            }
            assert_true(fabs(seconds[1] / seconds[0] - 1) < 1e-9 && bytes[1] >= bytes[0]);
            assert_true(seconds[2] < seconds[1] && seconds[3] < 0.75 * seconds[2] && seconds[4] == seconds[3]);
            assert_true(bytes[3] < bytes[1] && bytes[4] == bytes[3]);
        }
    clear_cluster(&cluster);
}

static void capacity_comes_back_from_text(void **state)
{
    (void)state;
    static const double slow[R] = {1, 1, 1}, factors[] = {0, 1.25, -0.5};
    const struct motley_layer_shape shape = fixture_shape(E, K);
    struct cluster cluster;
    make_cluster(&cluster, &shape, R, slow);
    for (int i = 0; i < 3; i++) {
        const struct motley_plan_options options = {.tokens = T, .mode = MOTLEY_MODE_EXPERT, .capacity = factors[i]};
        motley_plan *plan, *again;
        char *text, *same;
        assert_int_equal(motley__plan_make(&shape, &options, R, cluster.entry, NULL, &plan, NULL), 0);
        assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
        assert_true((strstr(text, "\"capacity\"") != NULL) == (factors[i] != 0)); /* as plans were before */
        assert_int_equal(motley_plan_parse(text, &again, NULL), 0);
        assert_true(again->options.capacity == factors[i]);
        assert_int_equal(motley_plan_text(again, &same, NULL), 0);
        assert_string_equal(text, same);
        free(text);
        free(same);
        motley_plan_destroy(plan);
        motley_plan_destroy(again);
    }
    const struct motley_plan_options wrong = {.tokens = T, .capacity = NAN};
    struct motley_error error = {0};
    motley_plan *plan;
    assert_int_equal(motley__plan_make(&shape, &wrong, R, cluster.entry, NULL, &plan, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "capacity"));
    clear_cluster(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_foretold_with_what_is_dropped),
        cmocka_unit_test(what_is_dropped_costs_nothing),
        cmocka_unit_test(capacity_comes_back_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
