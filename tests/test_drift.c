/* Drift: a throttled rank is found within a few steps, noise is not, and swings are not followed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/random.h"
#include "plan/drift.h"

enum { R = 3, SEED = 77 };

static struct motley__drift *watch(void)
{
    struct motley__drift *drift;
    assert_int_equal(motley__drift_create(R, 0.25, &drift, NULL), 0);
    return drift;
}

/* Rank 1 takes `slow` times what it was predicted to take, the others twice as long; with noise of up to that part. */
static int step(struct motley__drift *drift, double slow, double noise, int64_t number)
{
    double observed[R], predicted[R];
    for (int r = 0; r < R; r++) {
        const double random = motley__random_uniform(SEED, (uint64_t)r, (uint64_t)number);
        predicted[r] = 0.1 * (r + 1) * (1 + number % 7); /* other rows every step */
        observed[r] = predicted[r] * (r == 1 ? slow : 2) * (1 + noise * (2 * random - 1));
    }
    return motley__drift_observe(drift, observed, predicted);
}

/* Steps until the plan is in doubt, at most `most`. */
static int until_doubt(struct motley__drift *drift, double slow, double noise, int64_t from, int most)
{
    for (int i = 0; i < most; i++)
        if (step(drift, slow, noise, from + i))
            return i + 1;
    return most;
}

static void a_throttled_rank_is_found(void **state)
{
    (void)state;
    struct motley__drift *drift = watch();
    assert_int_equal(until_doubt(drift, 1.5, 0.05, 0, 50), 50);
    assert_int_equal(until_doubt(drift, 5, 0.05, 50, 50), MOTLEY__DRIFT_WINDOW / 2 + 1);
    assert_true(motley__drift_change(drift, 1) > 3.1 && motley__drift_change(drift, 1) < 3.6);
    assert_true(motley__drift_change(drift, 0) > 0.9 && motley__drift_change(drift, 0) < 1.1);
    motley__drift_settle(drift); /* moved: what was predicted is now right for the slow rank */
    assert_int_equal(until_doubt(drift, 1.5, 0.05, 100, 20), 20);
    assert_int_equal(until_doubt(drift, 0.45, 0.05, 120, 50), MOTLEY__DRIFT_WINDOW / 2 + 1); /* fast again */
    motley__drift_destroy(drift);
}

static void noise_and_single_steps_are_not(void **state)
{
    (void)state;
    struct motley__drift *drift = watch();
    for (int64_t i = 0; i < 2000; i++)
        assert_int_equal(step(drift, i % 4 == 3 ? 9 : 1, 0.1, i), 0); /* one step in four is disturbed */
    motley__drift_destroy(drift);
}

/* A rank that swings with a period of 16 steps for 3200 steps: doubts become rare instead of 400. */
static void swings_are_not_followed(void **state)
{
    (void)state;
    struct motley__drift *drift = watch();
    int doubts = 0;
    for (int64_t i = 0; i < 3200; i++)
        if (step(drift, i / 8 % 2 ? 3 : 1, 0.02, i)) {
            doubts++;
            motley__drift_settle(drift);
        }
    assert_in_range(doubts, 2, 15);
    motley__drift_destroy(drift);
}

/* A rank is throttled while another plan is made from old measurements: that plan's first steps are not normal. */
static void what_is_normal_outlives_a_plan(void **state)
{
    (void)state;
    struct motley__drift *drift = watch();
    int doubt = 0;
    for (int64_t i = 0; i < 10; i++)
        assert_int_equal(step(drift, 1, 0.02, i), 0);
    motley__drift_forget(drift);
    for (int64_t i = 0; i < 2 * MOTLEY__DRIFT_WINDOW && !doubt; i++)
        doubt = step(drift, 3, 0.02, i);
    assert_true(doubt && motley__drift_change(drift, 1) > 2);
    motley__drift_destroy(drift);
}

static void silent_ranks_are_no_doubt(void **state)
{
    (void)state;
    struct motley__drift *drift = watch();
    const double some[R] = {1, 0, 1}, all[R] = {1, 1, 1};
    for (int i = 0; i < 20; i++)
        assert_int_equal(motley__drift_observe(drift, some, all), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(motley__drift_observe(drift, all, all), 0);
    assert_true(motley__drift_change(drift, 1) == 1);
    motley__drift_destroy(drift);
}

static void a_move_must_pay(void **state)
{
    (void)state;
    assert_true(motley__drift_pays(1.0, 0.5, 3.0, 12));
    assert_false(motley__drift_pays(1.0, 0.5, 3.0, 11));
    assert_false(motley__drift_pays(1.0, 0.96, 0.0, 1000000));
    assert_false(motley__drift_pays(1.0, 1.1, 0.0, 1000000));
    assert_false(motley__drift_pays(1.0, 0.5, 0.1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_throttled_rank_is_found),
        cmocka_unit_test(noise_and_single_steps_are_not),
        cmocka_unit_test(swings_are_not_followed),
        cmocka_unit_test(what_is_normal_outlives_a_plan),
        cmocka_unit_test(silent_ranks_are_no_doubt),
        cmocka_unit_test(a_move_must_pay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
