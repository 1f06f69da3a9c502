/* When another value is taken instead of the default: on a device made of numbers, with a clock of its own.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "measure/contest.h"

enum { SEED = 90125, VALUES = 5 };

/* What each value takes, how much a sample wanders, and what the first one takes besides, to be built. */
struct machine {
    double seconds[VALUES], noise, build;
    int broken;                         /* a value that does not build; 0: none */
    double now;
    uint64_t stream, samples;
    int runs[VALUES];
};

static int sample(void *user, int value, double *seconds)
{
    struct machine *m = user;
    if (!m->runs[value]++)
        m->now += m->build;
    if (m->broken && value == m->broken)
        return 1;
    *seconds = m->seconds[value] * exp(m->noise * motley__random_normal(SEED, m->stream, m->samples++));
    m->now += *seconds;
    return 0;
}

static double now(void *user)
{
    return ((struct machine *)user)->now;
}

static int run(struct machine *machine, double seconds, double *gain)
{
    const struct motley__contest contest = {.values = VALUES, .sample = sample, .clock = now, .user = machine,
                                            .build_seconds = 1, .seconds = seconds};
    return motley__contest(&contest, gain);
}

static void the_faster_value_is_taken(void **state)
{
    (void)state;
    struct machine machine = {.seconds = {0.010, 0.011, 0.009, 0.0095, 0.02}, .noise = 0.01};
    double gain = 0;
    assert_int_equal(run(&machine, 10, &gain), 2);
    assert_true(fabs(gain - 10.0 / 9) < 0.03);
}

static void equal_values_are_not(void **state)
{
    (void)state;
    int taken = 0;
    print_message("seed %d\n", SEED);
    for (uint64_t stream = 0; stream < 3000; stream++) {
        struct machine machine = {.seconds = {0.01, 0.01, 0.01, 0.01, 0.01}, .noise = 0.005 * (double)(stream % 20),
                                  .stream = stream};
        double gain = 0;
        taken += run(&machine, 10, &gain) != 0;
        assert_true(taken || gain == 1);
    }
    print_message("%d of 3000 contests between equals were won\n", taken);
    assert_true(taken <= 3);
}

/* 4% is clear on a quiet machine and nothing on a loud one. */
static void noise_decides_how_much_is_enough(void **state)
{
    (void)state;
    int quiet = 0, loud = 0;
    for (uint64_t stream = 0; stream < 100; stream++) {
        struct machine machine = {.seconds = {0.0104, 0.01, 0.02, 0.02, 0.02}, .noise = 0.005, .stream = stream};
        double gain;
        quiet += run(&machine, 10, &gain) == 1;
        machine.noise = 0.1;
        loud += run(&machine, 10, &gain) == 1;
    }
    assert_true(quiet >= 95);
    print_message("won %d of 100 quietly, %d loudly\n", quiet, loud);
    assert_true(loud <= 5);
}

static void too_little_is_not_worth_it(void **state)
{
    (void)state;
    struct machine machine = {.seconds = {0.01, 0.0099, 0.0099, 0.0099, 0.0099}};
    double gain;
    assert_int_equal(run(&machine, 10, &gain), 0);
    assert_true(gain == 1);
}

static void a_value_that_does_not_build_is_out(void **state)
{
    (void)state;
    struct machine machine = {.seconds = {0.01, 0.009, 0.001, 0.01, 0.01}, .broken = 2};
    double gain;
    assert_int_equal(run(&machine, 10, &gain), 1);
    assert_int_equal(machine.runs[2], 1);
    machine.broken = 1;
    machine.seconds[2] = 0.01;
    assert_int_equal(run(&machine, 10, &gain), 0);
}

static void hopeless_values_are_dropped_early(void **state)
{
    (void)state;
    struct machine machine = {.seconds = {0.01, 0.009, 0.02, 0.05, 0.0105}};
    double gain;
    assert_int_equal(run(&machine, 10, &gain), 1);
    assert_int_equal(machine.runs[2], 3); /* once to be built, two rounds */
    assert_int_equal(machine.runs[3], 3);
    assert_int_equal(machine.runs[4], 5);
}

/* However long building takes and however slow samples are, one value and one round beyond the time is the most. */
static void time_is_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        const double build = i % 8 * 0.3, each = 0.001 * pow(3, i / 8);
        struct machine machine = {.seconds = {each, 0.9 * each, each, each, each}, .build = build};
        const double round = 6 * each, limit = 2; /* besides a second for building */
        double gain;
        int value = run(&machine, limit, &gain);
        assert_true(value == 0 || value == 1);
        assert_true(machine.now <= 1 + build + each + limit + 2 * round);
    }
}

/* With samples so long that no value could win nothing is built in vain. */
static void without_enough_time_nothing_is_tried(void **state)
{
    (void)state;
    struct machine machine = {.seconds = {0.1, 0.05, 0.05, 0.05, 0.05}, .build = 1, .runs = {1}};
    double gain;
    assert_int_equal(run(&machine, 2, &gain), 0);
    assert_int_equal(machine.samples, 1);
}

static void few_rounds_decide_nothing(void **state)
{
    (void)state;
    const double before[] = {2, 2, 2, 2, 2}, value[] = {1, 1, 1, 1, 1};
    double gain = 0;
    assert_int_equal(motley__contest_better(0, before, value, before, &gain), 0);
    assert_int_equal(motley__contest_better(4, before, value, before, &gain), 0);
    assert_true(fabs(gain - 2) < 1e-12);
    assert_int_equal(motley__contest_better(5, before, value, before, &gain), 1);
}

/* Another program on the same cores doubles some samples, more of the default's by chance; the best ones are alike. */
static void luck_with_interruptions_is_no_gain(void **state)
{
    (void)state;
    double before[15], value[15], after[15], gain;
    for (int i = 0; i < 15; i++) {
        before[i] = after[i] = i < 2 ? 1 : 2;
        value[i] = 1;
    }
    assert_int_equal(motley__contest_better(15, before, value, after, &gain), 0);
    assert_true(gain > 1.9);
    int taken = 0;
    for (uint64_t stream = 0; stream < 2000; stream++) {
        for (int i = 0; i < 15; i++) {
            const uint64_t at = 3 * (uint64_t)i;
            before[i] = motley__random_uniform(SEED, stream, at) < 0.6 ? 2 : 1;
            value[i] = motley__random_uniform(SEED, stream, at + 1) < 0.4 ? 2 : 1;
            after[i] = motley__random_uniform(SEED, stream, at + 2) < 0.6 ? 2 : 1;
        }
        taken += motley__contest_better(15, before, value, after, &gain);
    }
    assert_int_equal(taken, 0);
}

/* A machine that speeds up during every round makes the second sample of the default faster than the value: no gain. */
static void drift_is_no_gain(void **state)
{
    (void)state;
    double before[9], value[9], after[9], gain;
    for (int i = 0; i < 9; i++) {
        before[i] = 1.2;
        value[i] = 1.05;
        after[i] = 1;
    }
    assert_int_equal(motley__contest_better(9, before, value, after, &gain), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_faster_value_is_taken),
        cmocka_unit_test(equal_values_are_not),
        cmocka_unit_test(noise_decides_how_much_is_enough),
        cmocka_unit_test(too_little_is_not_worth_it),
        cmocka_unit_test(a_value_that_does_not_build_is_out),
        cmocka_unit_test(hopeless_values_are_dropped_early),
        cmocka_unit_test(time_is_kept),
        cmocka_unit_test(without_enough_time_nothing_is_tried),
        cmocka_unit_test(few_rounds_decide_nothing),
        cmocka_unit_test(luck_with_interruptions_is_no_gain),
        cmocka_unit_test(drift_is_no_gain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
