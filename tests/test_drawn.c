/* Tokens drawn by loads: different experts for each token, each expert as often as its load says, others whoever stands
 * beside it, and the same ones again for the same seed.
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

#include "plan/drawn.h"

enum { MOST_E = 12, MOST_K = 12, T = 20000 };

static int32_t experts[T * MOST_K], again[T * MOST_K];

/* expected [E]: the part of the tokens that choose each. */
static void check(int E, int K, const double *load, const double *expected)
{
    int count[MOST_E] = {0}, together[MOST_E][MOST_E] = {{0}};
    assert_int_equal(motley__drawn_experts(E, K, load, 3, 5, T, experts, NULL), 0);
    assert_int_equal(motley__drawn_experts(E, K, load, 3, 5, T, again, NULL), 0);
    assert_memory_equal(experts, again, sizeof *experts * (size_t)(T * K));
    for (int t = 0; t < T; t++)
        for (int k = 0; k < K; k++) {
            const int e = experts[t * K + k];
            assert_in_range(e, 0, E - 1);
            count[e]++;
            for (int j = 0; j < k; j++) {
                assert_int_not_equal(experts[t * K + j], e);
                together[e][experts[t * K + j]]++;
                together[experts[t * K + j]][e]++;
            }
        }
    for (int e = 0; e < E; e++) {
        assert_true(fabs((double)count[e] / T - expected[e]) < 0.015);
        for (int other = 0; other < E && K > 1; other++) /* who wants both gets both, but when they fill a token */
            assert_true(e == other || K == 2 || expected[e] * expected[other] < 0.1 || together[e][other] > 0);
    }
}

static void experts_get_what_loads_say(void **state)
{
    (void)state;
    static const double even[8] = {3, 3, 3, 3, 3, 3, 3, 3}, half[8] = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    static const double skewed[8] = {8, 4, 4, 2, 1, 1, 0, 0};
    static const double of_three[8] = {1, 2 / 3., 2 / 3., 1 / 3., 1 / 6., 1 / 6., 0, 0};
    static const double of_one[8] = {0.4, 0.2, 0.2, 0.1, 0.05, 0.05, 0, 0};
    static const double all[3] = {9, 1, 0}, ones[3] = {1, 1, 1}, two[3] = {1, 1, 0};
    check(8, 4, even, half);
    check(8, 1, skewed, of_one);
    check(8, 3, skewed, of_three); /* the first has more than a token can give: 1, and the rest in proportion */
    check(3, 3, all, ones);
    check(3, 2, all, two);
}

static void none_or_one_token(void **state)
{
    (void)state;
    static const double load[2] = {1, 0};
    experts[0] = 7;
    assert_int_equal(motley__drawn_experts(2, 1, load, 1, 1, 0, experts, NULL), 0);
    assert_int_equal(experts[0], 7);
    assert_int_equal(motley__drawn_experts(2, 1, load, 1, 1, 1, experts, NULL), 0);
    assert_int_equal(experts[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_get_what_loads_say),
        cmocka_unit_test(none_or_one_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
