/* loss.csv keeps what a resumed run may keep, and loss.svg shows it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "train/plot.h"

static char folder[] = "/tmp/motley-history-XXXXXX", csv[64], svg[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(csv, sizeof csv, "%s/loss.csv", folder);
    snprintf(svg, sizeof svg, "%s/loss.svg", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return motley__directory_remove(folder, NULL);
}

static struct motley__record record_of(int step)
{
    return (struct motley__record){.step = step, .tokens = 4096 * step, .train_loss = 1 + 4.5 / step,
                                   .held_out_loss = step % 5 ? NAN : 1.1 + 4.5 / step, .learning_rate = 1e-3 / step,
                                   .gradient_norm = 0.5, .tokens_per_second = 1234.5, .seconds = 0.75 * step};
}

static void add(struct motley__history *history, int first, int last)
{
    for (int step = first; step <= last; step++) {
        const struct motley__record record = record_of(step);
        assert_int_equal(motley__history_add(history, &record, NULL), 0);
    }
}

static char *contents(const char *path)
{
    char *text;
    size_t bytes;
    assert_int_equal(motley__file_read(path, &text, &bytes, NULL), 0);
    return text;
}

static void write_run(int steps)
{
    struct motley__history history;
    assert_int_equal(motley__history_open(csv, 0, 3.3, 2.4, &history, NULL), 0);
    add(&history, 1, steps);
    motley__history_close(&history);
}

static void test_line_holds_every_number(void **state)
{
    (void)state;
    write_run(5);
    char *text = contents(csv);
    const char *expected = "step,tokens,train_loss,held_out_loss,held_out_bits,bigram_bits,trigram_bits,learning_rate,"
                           "gradient_norm,tokens_per_second,seconds\n"
                           "1,4096,5.500000,,,,,1.000000e-03,0.500000,1234.5,0.750\n";
    assert_memory_equal(text, expected, strlen(expected));
    assert_non_null(strstr(text, "\n5,20480,1.900000,2.000000,2.885390,3.300000,2.400000,2.000000e-04,"));
    free(text);
}

static void test_resumed_run_leaves_the_same_file(void **state)
{
    (void)state;
    struct motley__history history;
    write_run(20);
    char *whole = contents(csv);
    write_run(13);
    assert_int_equal(motley__history_open(csv, 9, 3.3, 2.4, &history, NULL), 0);
    assert_int_equal(history.count, 9);
    assert_float_equal(history.record[8].train_loss, record_of(9).train_loss, 1e-6);
    assert_true(isnan(history.record[8].held_out_loss));
    assert_float_equal(history.record[4].held_out_loss, record_of(5).held_out_loss, 1e-6);
    add(&history, 10, 20);
    motley__history_close(&history);
    char *resumed = contents(csv);
    assert_string_equal(resumed, whole);
    free(whole);
    free(resumed);
}

/* A killed run may leave half a line; a foreign file is none of ours. */
static void test_torn_or_foreign_lines_are_dropped(void **state)
{
    (void)state;
    struct motley__history history;
    write_run(4);
    FILE *stream = fopen(csv, "a");
    assert_non_null(stream);
    assert_true(fputs("5,20480,1.9", stream) >= 0);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(motley__history_open(csv, 100, 3.3, 2.4, &history, NULL), 0);
    assert_int_equal(history.count, 4);
    motley__history_close(&history);
    assert_int_equal(motley__file_write(csv, "hello\n1,2,3\n", 12, NULL), 0);
    assert_int_equal(motley__history_open(csv, 100, 3.3, 2.4, &history, NULL), 0);
    assert_int_equal(history.count, 0);
    motley__history_close(&history);
    char *text = contents(csv);
    assert_memory_equal(text, "step,tokens,", 12);
    free(text);
}

static int occurrences(const char *text, const char *word)
{
    int count = 0;
    for (; (text = strstr(text, word)); text++)
        count++;
    return count;
}

static void test_plot_shows_all_four_and_no_nonsense(void **state)
{
    (void)state;
    struct motley__history history;
    assert_int_equal(motley__history_open(csv, 0, 3.3, 2.4, &history, NULL), 0);
    add(&history, 1, 2000);
    assert_int_equal(motley__plot_write(svg, &history, 3000, "8 experts < 9 & so on", NULL), 0);
    char *text = contents(svg);
    assert_memory_equal(text, "<svg ", 5);
    assert_string_equal(text + strlen(text) - 7, "</svg>\n");
    assert_int_equal(occurrences(text, "<polyline"), 2);
    assert_int_equal(occurrences(text, "<circle"), 400);
    assert_int_equal(occurrences(text, "nan"), 0);
    assert_int_equal(occurrences(text, "inf"), 0);
    assert_int_equal(occurrences(text, "8 experts &lt; 9 &amp; so on"), 1);
    const char *words[] = {"bits per byte</text>", ">step<",     "bigram counts",
                           "Witten-Bell trigram",  ">training<", ">held out<"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_int_equal(occurrences(text, words[i]), 1);
    assert_true(strlen(text) < 60000); /* not a point per step */
    free(text);
    motley__history_close(&history);
}

static void test_plot_of_nothing_is_a_plot(void **state)
{
    (void)state;
    struct motley__history history;
    assert_int_equal(motley__history_open(csv, 0, 3.3, 2.4, &history, NULL), 0);
    assert_int_equal(motley__plot_write(svg, &history, 10, "", NULL), 0);
    char *text = contents(svg);
    assert_int_equal(occurrences(text, "nan"), 0);
    free(text);
    motley__history_close(&history);
}

static void test_unwritable_folder_is_an_error(void **state)
{
    (void)state;
    struct motley__history history = {0};
    struct motley_error error = {0};
    assert_int_equal(motley__history_open("/nowhere/loss.csv", 0, 1, 1, &history, &error), MOTLEY_E_IO);
    assert_non_null(strstr(error.text, "/nowhere/loss.csv"));
    assert_int_equal(motley__plot_write("/nowhere/loss.svg", &history, 1, "", NULL), MOTLEY_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_holds_every_number), cmocka_unit_test(test_resumed_run_leaves_the_same_file),
        cmocka_unit_test(test_torn_or_foreign_lines_are_dropped),
        cmocka_unit_test(test_plot_shows_all_four_and_no_nonsense), cmocka_unit_test(test_plot_of_nothing_is_a_plot),
        cmocka_unit_test(test_unwritable_folder_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
