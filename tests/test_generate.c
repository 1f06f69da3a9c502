/* Sampling: what each number does, and that the seed decides the draw alone.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model/generate.h"

enum { C = 5, DRAWS = 20000 };
static const float logits[C] = {1.0f, 3.0f, -1.0f, 3.0f, 2.0f};

/* How often each token comes. */
static void histogram(struct motley__sampling s, double share[C])
{
    for (int c = 0; c < C; c++)
        share[c] = 0;
    for (uint64_t i = 0; i < DRAWS; i++)
        share[motley__sample(&s, C, logits, i)] += 1.0 / DRAWS;
}

static void test_greedy_takes_the_lower_of_equals(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(motley__sample(&(struct motley__sampling){.seed = i}, C, logits, i), 1);
}

static void test_shares_are_the_softmax(void **state)
{
    (void)state;
    for (double temperature = 0.5; temperature < 3; temperature *= 2) {
        double share[C], sum = 0;
        histogram((struct motley__sampling){.temperature = temperature, .seed = 9}, share);
        for (int c = 0; c < C; c++)
            sum += exp(logits[c] / temperature);
        for (int c = 0; c < C; c++) {
            const double p = exp(logits[c] / temperature) / sum;
            assert_true(fabs(share[c] - p) < 5 * sqrt(p * (1 - p) / DRAWS) + 1e-9); /* five deviations */
        }
    }
}

static void test_top_k_keeps_the_likeliest(void **state)
{
    (void)state;
    double share[C];
    histogram((struct motley__sampling){.temperature = 1, .top_k = 2}, share);
    assert_true(share[1] > 0.45 && share[3] > 0.45 && share[1] + share[3] > 0.99999);
    histogram((struct motley__sampling){.temperature = 1, .top_k = 1}, share);
    assert_true(share[1] > 0.99999);
}

static void test_top_p_keeps_the_fewest_that_reach_it(void **state)
{
    (void)state;
    double share[C]; /* probabilities: 1, 3: 0.398 each; 4: 0.146; 0: 0.054; 2: 0.007 */
    histogram((struct motley__sampling){.temperature = 1, .top_p = 0.39}, share);
    assert_true(share[1] > 0.99999);
    histogram((struct motley__sampling){.temperature = 1, .top_p = 0.9}, share);
    assert_true(share[4] > 0.1 && share[0] == 0 && share[2] == 0);
    histogram((struct motley__sampling){.temperature = 1, .top_p = 1}, share);
    assert_true(share[0] > 0.03);
}

static void test_seed_decides(void **state)
{
    (void)state;
    const struct motley__sampling one = {.temperature = 1, .seed = 1}, two = {.temperature = 1, .seed = 2};
    int differ = 0;
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(motley__sample(&one, C, logits, i), motley__sample(&one, C, logits, i));
        differ += motley__sample(&one, C, logits, i) != motley__sample(&two, C, logits, i);
    }
    assert_true(differ > 20);
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    const struct motley__sampling bad[] = {{.temperature = -1}, {.temperature = NAN}, {.top_p = 1.5}, {.top_p = -0.1},
                                           {.top_k = -1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct motley_error error = {0};
        assert_int_equal(motley__sampling_check(&bad[i], &error), MOTLEY_E_INVALID);
        assert_true(strlen(error.text) > 10);
    }
    assert_int_equal(motley__sampling_check(&(struct motley__sampling){.temperature = 0.8, .top_p = 0.9}, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy_takes_the_lower_of_equals), cmocka_unit_test(test_shares_are_the_softmax),
        cmocka_unit_test(test_top_k_keeps_the_likeliest), cmocka_unit_test(test_top_p_keeps_the_fewest_that_reach_it),
        cmocka_unit_test(test_seed_decides), cmocka_unit_test(test_nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
