/* What people look at: tables, bars, medians.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/progress.h"
#include "base/table.h"

static void columns_are_as_wide_as_needed(void **state)
{
    (void)state;
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    struct motley__table *table = motley__table_create(">rank|device|>GFLOP/s");
    assert_non_null(table);
    motley__table_row(table, "%d|%s|%.1f", 0, "a long name", 5.25);
    motley__table_row(table, "%d|%s", 10, "é");
    motley__table_print(table, out);
    fclose(out);
    assert_string_equal(text, "rank  device       GFLOP/s\n"
                              "   0  a long name      5.2\n"
                              "  10  é                   \n");
    motley__table_destroy(table);
    motley__table_destroy(NULL);
    free(text);
}

static void quick_work_leaves_a_log_alone(void **state)
{
    (void)state;
    char *text;
    size_t bytes;
    struct motley__progress progress;
    FILE *out = open_memstream(&text, &bytes);
    motley__progress_start(&progress, out, "measuring", 10);
    for (int i = 0; i <= 10; i++)
        motley__progress_show(&progress, i, "%d", i);
    motley__progress_end(&progress);
    fclose(out);
    assert_int_equal(bytes, 0);
    free(text);
}

static void slow_work_says_how_far_it_is(void **state)
{
    (void)state;
    char *text;
    size_t bytes;
    struct motley__progress progress;
    FILE *out = open_memstream(&text, &bytes);
    motley__progress_start(&progress, out, "measuring", 10);
    progress.started -= 100; /* as if it had begun then */
    progress.shown -= 100;
    motley__progress_show(&progress, 5, "loss %.1f", 2.5);
    motley__progress_show(&progress, 6, "not yet again");
    motley__progress_show(&progress, 10, "the end");
    motley__progress_end(&progress);
    fclose(out);
    assert_string_equal(text, "measuring [############............]  50% 1:40 left  loss 2.5\n"
                              "measuring [########################] 100% 1:40 in all  the end\n");
    free(text);
}

static void nowhere_shows_nothing(void **state)
{
    (void)state;
    struct motley__progress progress;
    motley__progress_start(&progress, NULL, "x", 0);
    progress.shown -= 100;
    motley__progress_show(&progress, 1, "x");
    motley__progress_end(&progress);
    assert_int_equal(progress.drawn, 0);
}

static void medians(void **state)
{
    (void)state;
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};
    assert_true(motley__median(odd, 3) == 2);
    assert_true(motley__median(even, 4) == 2.5);
    assert_true(motley__median(NULL, 0) == 0);
}

static void time_passes(void **state)
{
    (void)state;
    double begin = motley__seconds();
    motley__sleep(0.02);
    motley__sleep(-1);
    double slept = motley__seconds() - begin;
    assert_true(slept >= 0.02 && slept < 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_needed), cmocka_unit_test(quick_work_leaves_a_log_alone),
        cmocka_unit_test(slow_work_says_how_far_it_is),  cmocka_unit_test(nowhere_shows_nothing),
        cmocka_unit_test(medians),                       cmocka_unit_test(time_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
