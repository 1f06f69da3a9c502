/* Bigram and trigram models: by hand on tiny texts, and as probabilities on random ones.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "routing.h"
#include "train/ngram.h"

static struct motley__ngram *count(const char *text, size_t bytes)
{
    struct motley__ngram *ngram;
    SUCCEED(motley__ngram_create((const uint8_t *)text, bytes, &ngram, &error));
    return ngram;
}

/* "abab a": a is followed by b twice, b by a and by ' ' is not: a b a b _ a. */
static void test_bigram_by_hand(void **state)
{
    (void)state;
    struct motley__ngram *ngram = count("abab a", 6);
    assert_float_equal(motley__ngram_bigram(ngram, 'a', 'b'), 3.0 / 258, 1e-15); /* a before b twice, a ends the text */
    assert_float_equal(motley__ngram_bigram(ngram, 'b', 'a'), 2.0 / 258, 1e-15);
    assert_float_equal(motley__ngram_bigram(ngram, 'b', ' '), 2.0 / 258, 1e-15);
    assert_float_equal(motley__ngram_bigram(ngram, 'z', 'a'), 1.0 / 256, 1e-15);
    motley__ngram_destroy(ngram);
}

static void test_trigram_by_hand(void **state)
{
    (void)state;
    struct motley__ngram *ngram = count("abab a", 6);
    /* 6 bytes: 3 a, 2 b, 1 blank, three kinds of them */
    const double a = (3 + 3.0 / 256) / 9, blank = (1 + 3.0 / 256) / 9, z = (0 + 3.0 / 256) / 9;
    /* behind b: once a, once a blank, two kinds */
    const double a_b = (1 + 2 * a) / 4, blank_b = (1 + 2 * blank) / 4, z_b = 2 * z / 4;
    assert_float_equal(motley__ngram_trigram(ngram, -1, 'b', 'a'), a_b, 1e-15);
    /* behind ab: once a, once a blank */
    assert_float_equal(motley__ngram_trigram(ngram, 'a', 'b', 'a'), (1 + 2 * a_b) / 4, 1e-15);
    assert_float_equal(motley__ngram_trigram(ngram, 'a', 'b', ' '), (1 + 2 * blank_b) / 4, 1e-15);
    assert_float_equal(motley__ngram_trigram(ngram, 'a', 'b', 'z'), 2 * z_b / 4, 1e-15);
    /* behind " b" nothing was seen: the shorter history answers; behind z neither */
    assert_float_equal(motley__ngram_trigram(ngram, ' ', 'b', 'a'), a_b, 1e-15);
    assert_float_equal(motley__ngram_trigram(ngram, 'q', 'z', 'a'), a, 1e-15);
    motley__ngram_destroy(ngram);
}

static void test_probabilities_sum_to_one(void **state)
{
    (void)state;
    const uint64_t seed = test_seed();
    char text[5000];
    for (size_t i = 0; i < sizeof text; i++) /* few bytes often, many seldom */
        text[i] = (char)(256 * pow(motley__random_uniform(seed, 1, i), 4));
    struct motley__ngram *ngram = count(text, sizeof text);
    for (size_t i = 0; i < 200; i++) {
        const int a = random_int(seed, 2, i, 257) - 1, b = random_int(seed, 3, i, 256);
        double bigram = 0, trigram = 0;
        for (int c = 0; c < 256; c++) {
            assert_true(motley__ngram_bigram(ngram, b, c) > 0);
            assert_true(motley__ngram_trigram(ngram, a, b, c) > 0);
            bigram += motley__ngram_bigram(ngram, b, c);
            trigram += motley__ngram_trigram(ngram, a, b, c);
        }
        assert_float_equal(bigram, 1, 1e-12);
        assert_float_equal(trigram, 1, 1e-12);
    }
    motley__ngram_destroy(ngram);
}

static void test_bits_add_up(void **state)
{
    (void)state;
    struct motley__ngram *ngram = count("abab a", 6);
    double bigram = 0.5, trigram = 0;
    motley__ngram_bits(ngram, (const uint8_t *)"bab", 2, &bigram, &trigram);
    assert_float_equal(bigram, 0.5 - log2(2.0 / 258) - log2(3.0 / 258), 1e-12);
    assert_float_equal(trigram, -log2(motley__ngram_trigram(ngram, -1, 'b', 'a')) -
                       log2(motley__ngram_trigram(ngram, 'b', 'a', 'b')), 1e-12);
    motley__ngram_destroy(ngram);
}

static void test_no_text_is_uniform(void **state)
{
    (void)state;
    struct motley__ngram *ngram = count("", 0);
    assert_float_equal(motley__ngram_bigram(ngram, 1, 2), 1.0 / 256, 1e-15);
    assert_float_equal(motley__ngram_trigram(ngram, 0, 1, 2), 1.0 / 256, 1e-15);
    motley__ngram_destroy(ngram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bigram_by_hand), cmocka_unit_test(test_trigram_by_hand),
        cmocka_unit_test(test_probabilities_sum_to_one), cmocka_unit_test(test_bits_add_up),
        cmocka_unit_test(test_no_text_is_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
