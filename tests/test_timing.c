/* Timings: the median without outliers.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "measure/timing.h"

static void outliers_are_forgotten(void **state)
{
    (void)state;
    double values[] = {1.02, 50, 1.00, 1.01, 1.03, 1.04, 0.98, 0.99, 9}, median, spread;
    int kept;
    motley__timing(values, 9, &median, &spread, &kept);
    assert_true(fabs(median - 1.01) < 1e-9);
    assert_int_equal(kept, 7);
    assert_true(spread > 0 && spread < 0.05);
}

static void few_values_do(void **state)
{
    (void)state;
    double one[] = {0.5}, two[] = {3, 1}, same[] = {2, 2, 2, 2}, median, spread;
    int kept;
    motley__timing(one, 1, &median, &spread, &kept);
    assert_true(median == 0.5 && spread == 0 && kept == 1);
    motley__timing(two, 2, &median, &spread, &kept);
    assert_true(median == 2 && spread == 1 && kept == 2);
    motley__timing(same, 4, &median, &spread, &kept);
    assert_true(median == 2 && spread == 0 && kept == 4);
}

static void results_have_five_digits(void **state)
{
    (void)state;
    double long_one[] = {0.123456789}, tiny[] = {1.23456789e-7}, median, spread;
    int kept;
    motley__timing(long_one, 1, &median, &spread, &kept);
    assert_true(fabs(median - 0.12346) < 1e-12);
    motley__timing(tiny, 1, &median, &spread, &kept);
    assert_true(fabs(median - 1.2346e-7) < 1e-18);
    assert_true(motley__timing_round(1067612345) == 1067600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outliers_are_forgotten),
        cmocka_unit_test(few_values_do),
        cmocka_unit_test(results_have_five_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
