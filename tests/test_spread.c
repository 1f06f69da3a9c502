/* Experts with unequal loads: as good as trying every assignment where there are few, near a bound where there are
 * many, and never more on a group than it has memory for.
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

#include "allocate/spread.h"
#include "base/random.h"
#include "cost/cost.h"
#include "plan_fixture.h"

enum { SEED = 78, MOST_EXPERTS = 256, MOST_GROUPS = 32 };

static int draw(uint64_t stream, uint64_t index, int range)
{
    return (int)(motley__random_bits(SEED, stream, index) % (uint64_t)range);
}

/* Zipf's loads on groups of unlike speeds, none of them proportional. */
static void draw_seconds(uint64_t trial, int E, int G, double *seconds)
{
    for (int g = 0; g < G; g++)
        for (int e = 0; e < E; e++) {
            const uint64_t at = trial * MOST_GROUPS + (uint64_t)g;
            const double rows = 1000.0 / (1 + draw(1, trial * MOST_EXPERTS + (uint64_t)e, E));
            seconds[g * E + e] = draw(3, trial, 5) == 0 && e == 0 ? 0 : (5 + rows) / (1 + draw(2, at, 4));
        }
}

static double slowest_of(int E, int G, const double *seconds, const int *owner)
{
    double load[MOST_GROUPS] = {0}, slowest = 0;
    for (int e = 0; e < E; e++)
        load[owner[e]] += seconds[owner[e] * E + e];
    for (int g = 0; g < G; g++)
        slowest = fmax(slowest, load[g]);
    return slowest;
}

/* The best of all assignments of experts e.. */
static double try_all(int E, int G, const double *seconds, const int *most, int e, int *owner, int *count)
{
    double best = INFINITY;
    if (e == E)
        return slowest_of(E, G, seconds, owner);
    for (int g = 0; g < G; g++) {
        if (count[g] == most[g])
            continue;
        count[g]++;
        owner[e] = g;
        best = fmin(best, try_all(E, G, seconds, most, e + 1, owner, count));
        count[g]--;
    }
    return best;
}

static void as_good_as_trying_everything(void **state)
{
    int bounded = 0;
    (void)state;
    print_message("seed %d\n", SEED);
    for (uint64_t trial = 0; trial < 600; trial++) {
        const int E = 1 + draw(4, trial, 7), G = 1 + draw(5, trial, 4);
        double seconds[4 * 7];
        int most[4], owner[7], tried[7], count[4] = {0}, room = 0;
        draw_seconds(trial, E, G, seconds);
        for (int g = 0; g < G; g++)
            room += most[g] = draw(6, trial * 4 + (uint64_t)g, E + 2);
        struct motley_error error = {0};
        const int status = motley__spread(E, G, seconds, most, owner, &error);
        if (room < E) {
            assert_int_equal(status, MOTLEY_E_DEVICE_MEMORY);
            assert_non_null(strstr(error.text, "memory"));
            continue;
        }
        assert_int_equal(status, 0);
        for (int e = 0; e < E; e++)
            count[owner[e]]++;
        for (int g = 0; g < G; g++) {
            assert_true(count[g] <= most[g]);
            bounded += count[g] == most[g] && E > 3;
        }
        memset(count, 0, sizeof count);
        const double best = try_all(E, G, seconds, most, 0, tried, count), found = slowest_of(E, G, seconds, owner);
        if (found > best * (1 + 1e-6))
            fail_msg("trial %d, %d experts, %d groups: found %g, the best is %g", (int)trial, E, G, found, best);
    }
    assert_true(bounded > 50);
}

/* No assignment is faster than the heaviest expert where it is fastest, nor than all work without remainders. */
static void many_are_near_the_bound(void **state)
{
    static double seconds[MOST_GROUPS * MOST_EXPERTS];
    int owner[MOST_EXPERTS], again[MOST_EXPERTS], most[MOST_GROUPS];
    double worst = 0;
    (void)state;
    for (uint64_t trial = 0; trial < 40; trial++) {
        const int E = 64 << draw(7, trial, 3), G = 2 + draw(8, trial, MOST_GROUPS - 1);
        double speed = 0, work = 0, heaviest = 0;
        for (int g = 0; g < G; g++) {
            const double factor = 1 + draw(2, trial * MOST_GROUPS + (uint64_t)g, 4);
            for (int e = 0; e < E; e++)
                seconds[g * E + e] = (5 + 1000.0 / (1 + e)) / factor;
            speed += factor;
            most[g] = E;
        }
        for (int e = 0; e < E; e++) {
            double least = INFINITY;
            work += 5 + 1000.0 / (1 + e);
            for (int g = 0; g < G; g++)
                least = fmin(least, seconds[g * E + e]);
            heaviest = fmax(heaviest, least);
        }
        assert_int_equal(motley__spread(E, G, seconds, most, owner, NULL), 0);
        assert_int_equal(motley__spread(E, G, seconds, most, again, NULL), 0);
        assert_memory_equal(owner, again, (size_t)E * sizeof *owner);
        worst = fmax(worst, slowest_of(E, G, seconds, owner) / fmax(heaviest, work / speed));
    }
    print_message("at most %.3f of a lower bound\n", worst);
    assert_true(worst < 1.15);
}

/* The part of tokens that reach a set of experts: for equal shares the closed formula, for others what sampling without
 * replacement brings when the shares are those of the samples. */
static void reach_follows_shares(void **state)
{
    (void)state;
    for (int E = 1; E <= 12; E++)
        for (int K = 1; K <= E; K++)
            for (int n = 0; n <= E; n++) {
                const struct motley_layer_shape shape = fixture_shape(E, K);
                double share[12];
                for (int e = 0; e < n; e++)
                    share[e] = 1.0 / E;
                assert_true(fabs(motley__cost_reach_of(&shape, share, n, 1) - motley__cost_reach(&shape, n)) < 1e-9);
            }
    const struct motley_layer_shape pairs = fixture_shape(8, 2), single = fixture_shape(8, 1);
    const double hot[2] = {0.5, 0.1}, some[3] = {0.3, 0.2, 0.1};
    assert_true(motley__cost_reach_of(&pairs, hot, 2, 1) == 1); /* every token has it among its two */
    assert_true(fabs(motley__cost_reach_of(&single, some, 3, 1) - 0.6) < 1e-12);
    assert_true(motley__cost_reach_of(&pairs, some, 3, 1) > 0.6 && motley__cost_reach_of(&pairs, some, 3, 1) < 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_good_as_trying_everything),
                                       cmocka_unit_test(many_are_near_the_bound),
                                       cmocka_unit_test(reach_follows_shares)};
    return cmocka_run_group_tests_name("spread", tests, NULL, NULL);
}
