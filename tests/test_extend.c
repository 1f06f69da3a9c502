/* The decoder when it writes: a cache of what it has read against whole passes, text it goes on with, what is too long.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "decoder.h"
#include "model/generate.h"

/* Rank 0 extends a sequence by pieces; the logits of each piece's end are those of the whole pass.  Sums of other tiles
 * may round a stored number to its neighbour. */
static void check_cache(enum motley_dtype dtype)
{
    const struct motley__config c = small_model(2);
    const int piece[] = {5, 1, 1, 20, 1, 1, 8}, C = c.vocabulary, first = context->rank == 0;
    motley_plan *plan;
    struct motley__decoder *decoder = open_stored_decoder(context, &c, dtype, &plan, 0);
    uint8_t tokens[37];
    for (int t = 0; t < c.positions; t++)
        tokens[t] = (uint8_t)random_int(6, 0, (size_t)t, C);
    float *all = ARRAY(float, c.positions * C), *some = ARRAY(float, C);
    SUCCEED(motley__decoder_logits(decoder, tokens, first, c.positions, all, &error));
    for (int round = 0; round < 2; round++, motley__decoder_reset(decoder))
        for (int i = 0, end = 0; i < 7; i++) {
            SUCCEED(motley__decoder_extend(decoder, tokens + end, first ? piece[i] : 0, some, &error));
            end += piece[i];
            if (!first)
                continue;
            double *expected = doubles_of(all + (end - 1) * C, (size_t)C);
            ASSERT_NEAR(some, expected, (size_t)C, 2e-6 + 2 * rounding(dtype));
            free(expected);
        }
    free(some);
    free(all);
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
}

static void test_cache(void **state)
{
    (void)state;
    check_cache(MOTLEY_F32);
    check_cache(MOTLEY_BF16);
}

/* Greedy text is the likeliest token of a whole pass again and again; beyond the last position the window moves on. */
static void test_generate(void **state)
{
    (void)state;
    enum { PROMPT = 3, COUNT = 50 };
    const struct motley__config c = small_model(2);
    const struct motley__sampling greedy = {.temperature = 0}, drawn = {.temperature = 1, .seed = 4};
    const int C = c.vocabulary, first = context->rank == 0;
    motley_plan *plan;
    struct motley__decoder *decoder = open_decoder(context, &c, &plan, 0);
    uint8_t text[PROMPT + COUNT] = {7, 1, 20}, again[COUNT], other[COUNT];
    float *logits = ARRAY(float, c.positions * C);
    SUCCEED(motley__generate(decoder, &greedy, text, PROMPT, COUNT, text + PROMPT, NULL, NULL, &error));
    for (int n = PROMPT; n <= c.positions; n++) {
        SUCCEED(motley__decoder_logits(decoder, text, first, n, logits, &error));
        if (first)
            assert_int_equal(text[n], motley__sample(&greedy, C, logits + (n - 1) * C, 0));
    }
    /* The byte behind a full window: its later half is all that is seen. */
    const int kept = c.positions / 2;
    SUCCEED(motley__decoder_logits(decoder, text + c.positions - kept, first, kept + 1, logits, &error));
    if (first)
        assert_int_equal(text[c.positions + 1], motley__sample(&greedy, C, logits + kept * C, 0));

    SUCCEED(motley__generate(decoder, &drawn, text, PROMPT, COUNT, again, NULL, NULL, &error));
    SUCCEED(motley__generate(decoder, &drawn, text, PROMPT, COUNT, other, NULL, NULL, &error));
    if (first)
        assert_memory_equal(again, other, COUNT);
    free(logits);
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
}

static void test_too_long_is_refused(void **state)
{
    (void)state;
    const struct motley__config c = small_model(2);
    motley_plan *plan;
    struct motley__decoder *decoder = open_decoder(context, &c, &plan, 0);
    struct motley__pass pass;
    struct motley_error error = {0};
    uint8_t tokens[40] = {0};
    float logits[64];
    const int first = context->rank == 0;
    assert_int_equal(motley__decoder_pass(decoder, tokens, 1, 38, 1, 0, &pass, &error), MOTLEY_E_INVALID);
    error = (struct motley_error){0};
    assert_int_equal(motley__decoder_extend(decoder, tokens, first ? 30 : 0, logits, &error), 0);
    assert_int_equal(motley__decoder_extend(decoder, tokens, first ? 8 : 0, logits, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "8 tokens behind 30"));
    error = (struct motley_error){0};
    tokens[0] = 200;
    assert_int_equal(motley__decoder_extend(decoder, tokens, first ? 1 : 0, logits, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "outside the vocabulary"));
    error = (struct motley_error){0};
    assert_int_equal(motley__decoder_pass(decoder, tokens + 1, 1, 8, 1, 1, &pass, &error), MOTLEY_E_INVALID);
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache), cmocka_unit_test(test_generate), cmocka_unit_test(test_too_long_is_refused),
    };
    motley__test_context(&argc, &argv, &context);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return failed;
}
