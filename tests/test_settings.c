/* A trainer's options: defaults, what a resumed run may change, and what checkpoints keep of them; config.json.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "train/config_json.h"
#include "train/journal.h"

static const char *const texts[] = {"a.txt", "b"};

static struct motley_trainer_options given(void)
{
    return (struct motley_trainer_options){.text = texts, .texts = 2, .output = "out"};
}

static void make(const struct motley_trainer_options *options, const json_t *saved, struct motley__settings *settings)
{
    struct motley_error error = {0};
    if (motley__settings_make(options, saved, settings, &error))
        fail_msg("%s", error.text);
}

static void refuse(const struct motley_trainer_options *options, const json_t *saved, int code, const char *word)
{
    struct motley__settings settings;
    struct motley_error error = {0};
    assert_int_equal(motley__settings_make(options, saved, &settings, &error), code);
    if (!strstr(error.text, word))
        fail_msg("\"%s\" does not say \"%s\"", error.text, word);
}

static void test_zero_means_default(void **state)
{
    (void)state;
    struct motley_trainer_options options = given();
    struct motley__settings settings;
    options.steps = 400;
    options.clip = -1;
    make(&options, NULL, &settings);
    assert_int_equal(settings.o.width, 128);
    assert_int_equal(settings.o.top_k, 2);
    assert_int_equal(settings.o.warmup, 20);
    assert_int_equal(settings.o.save_every, 40);
    assert_int_equal(settings.o.evaluate_every, 20);
    assert_true(settings.o.clip < 0);
    assert_string_equal(settings.o.text[1], "b");
    assert_string_equal(settings.o.output, "out");
    motley__settings_clear(&settings);
}

static void test_nonsense_is_refused_by_name(void **state)
{
    (void)state;
    struct motley_trainer_options options = given();
    options.batch = -3;
    refuse(&options, NULL, MOTLEY_E_INVALID, "batch");
    options = given();
    options.learning_rate = NAN;
    refuse(&options, NULL, MOTLEY_E_INVALID, "learning_rate");
    options = given();
    options.width = 130; /* with 4 heads */
    refuse(&options, NULL, MOTLEY_E_INVALID, "heads");
    options = given();
    options.top_k = 9; /* of 8 */
    refuse(&options, NULL, MOTLEY_E_INVALID, "experts per token");
    options = given();
    options.texts = 0;
    refuse(&options, NULL, MOTLEY_E_INVALID, "--text");
}

static void test_resumed_run_takes_what_was_saved(void **state)
{
    (void)state;
    struct motley_trainer_options options = given(), again = {.output = "out", .steps = 900, .learning_rate = 0.5};
    struct motley__settings first, second;
    options.steps = 400;
    options.width = 96;
    options.seed = UINT64_C(0xfedcba9876543210);
    options.learning_rate = 1.0 / 3;
    options.balance = -1;
    make(&options, NULL, &first);
    json_t *saved = motley__settings_json(&first);
    assert_non_null(saved);
    make(&again, saved, &second);
    assert_int_equal(second.o.steps, 900);
    assert_true(second.o.learning_rate == 0.5);
    assert_int_equal(second.o.width, 96);
    assert_true(second.o.seed == options.seed);
    assert_int_equal(second.o.warmup, first.o.warmup);
    assert_true(second.o.balance < 0);
    assert_int_equal(second.o.texts, 2);
    assert_string_equal(second.o.text[0], "a.txt");
    motley__settings_clear(&second);

    again.width = 160;
    refuse(&again, saved, MOTLEY_E_INVALID, "width");
    json_object_del(saved, "batch");
    again.width = 0;
    refuse(&again, saved, MOTLEY_E_FORMAT, "batch");
    json_decref(saved);
    motley__settings_clear(&first);
}

/* What is stored belongs to the run, not to the model: a resumed one may change it, f32 by a word of its own. */
static void test_storage_is_kept_or_changed(void **state)
{
    (void)state;
    struct motley_trainer_options options = given(), again = {.output = "out"};
    struct motley__settings first, second, plain;
    options.dtype = MOTLEY_BF16;
    make(&options, NULL, &first);
    assert_int_equal(first.o.dtype, MOTLEY_BF16);
    options.dtype = -1;
    make(&options, NULL, &plain);
    assert_int_equal(plain.o.dtype, MOTLEY_F32);
    assert_false(motley__settings_hash(&first) == motley__settings_hash(&plain));
    json_t *saved = motley__settings_json(&first), *saved_plain = motley__settings_json(&plain);

    make(&again, saved, &second);
    assert_int_equal(second.o.dtype, MOTLEY_BF16);
    motley__settings_clear(&second);
    again.dtype = -1;
    make(&again, saved, &second);
    assert_int_equal(second.o.dtype, MOTLEY_F32);
    motley__settings_clear(&second);
    again.dtype = MOTLEY_BF16;
    make(&again, saved_plain, &second);
    assert_int_equal(second.o.dtype, MOTLEY_BF16);
    motley__settings_clear(&second);

    again.dtype = 0;
    json_object_del(saved, "dtype"); /* a checkpoint from before there was a choice */
    make(&again, saved, &second);
    assert_int_equal(second.o.dtype, MOTLEY_F32);
    motley__settings_clear(&second);
    options.dtype = MOTLEY_F16;
    refuse(&options, NULL, MOTLEY_E_UNSUPPORTED, "loss scaling");
    options.dtype = 7;
    refuse(&options, NULL, MOTLEY_E_INVALID, "dtype");
    json_decref(saved_plain);
    json_decref(saved);
    motley__settings_clear(&plain);
    motley__settings_clear(&first);
}

/* What routes belongs to the model, what helps it to learn to the run. */
static void test_routing_is_kept_or_refused(void **state)
{
    (void)state;
    struct motley_trainer_options options = given(), again = {.output = "out", .noise = -1, .importance = -1};
    struct motley__settings first, second;
    options.gate = MOTLEY_GATE_COSINE;
    options.before = 1;
    options.noise = 0.5;
    options.importance = 0.1;
    options.capacity = 1.25;
    options.prioritised = 1;
    make(&options, NULL, &first);
    const struct motley__config config = motley__settings_config(&first);
    assert_int_equal(config.gate, MOTLEY_GATE_COSINE);
    assert_int_equal(config.gate_width, 64);
    assert_int_equal(config.before, 1);
    json_t *saved = motley__settings_json(&first);
    make(&again, saved, &second);
    assert_int_equal(second.o.gate, MOTLEY_GATE_COSINE);
    assert_int_equal(second.o.before, 1);
    assert_true(second.o.noise < 0 && second.o.importance < 0);
    assert_true(second.o.capacity == 1.25 && second.o.prioritised == 1);
    motley__settings_clear(&second);
    again.capacity = -1; /* then nothing is to be prioritised */
    make(&again, saved, &second);
    assert_true(second.o.capacity < 0 && second.o.prioritised < 0);
    motley__settings_clear(&second);
    again.gate = -1;
    refuse(&again, saved, MOTLEY_E_INVALID, "gate is cosine in the checkpoint and cannot be changed to softmax");
    again.gate = 0;
    again.before = -1;
    refuse(&again, saved, MOTLEY_E_INVALID, "before is yes in the checkpoint and cannot be changed to no");
    json_decref(saved);
    motley__settings_clear(&first);

    options = given();
    make(&options, NULL, &first);
    saved = motley__settings_json(&first);
    static const char *const young[] = {"gate", "before", "correction_rate", "noise", "importance", "capacity",
                                        "prioritised"};
    for (size_t i = 0; i < sizeof young / sizeof *young; i++)
        assert_int_equal(json_object_del(saved, young[i]), 0); /* from before there was a choice */
    make(&(struct motley_trainer_options){0}, saved, &second);
    assert_true(motley__settings_hash(&first) == motley__settings_hash(&second));
    assert_int_equal(motley__settings_config(&second).gate, MOTLEY_GATE_SOFTMAX);
    refuse(&(struct motley_trainer_options){.gate = MOTLEY_GATE_SIGMOID}, saved, MOTLEY_E_INVALID, "gate is softmax");
    motley__settings_clear(&second);
    json_decref(saved);
    motley__settings_clear(&first);
}

static void test_routing_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct motley_trainer_options options = given();
    struct motley__settings settings;
    options.importance = 0.1;
    refuse(&options, NULL, MOTLEY_E_INVALID, "without gate noise");
    options.noise = 1;
    options.gate = MOTLEY_GATE_SIGMOID;
    refuse(&options, NULL, MOTLEY_E_INVALID, "expected a softmax or cosine gate");
    options = given();
    options.prioritised = 1;
    refuse(&options, NULL, MOTLEY_E_INVALID, "without a capacity");
    options = given();
    options.correction_rate = 0.01;
    refuse(&options, NULL, MOTLEY_E_INVALID, "only a sigmoid gate");
    options = given();
    options.gate = MOTLEY_GATE_SIGMOID;
    options.z = 0.01;
    refuse(&options, NULL, MOTLEY_E_INVALID, "z-loss");
    options.z = 0;
    make(&options, NULL, &settings);
    assert_true(settings.o.z < 0 && settings.o.correction_rate == 0.001);
    motley__settings_clear(&settings);
    options.gate = MOTLEY_GATE_FORCED;
    refuse(&options, NULL, MOTLEY_E_INVALID, "gate");
}

static void test_different_options_have_different_hashes(void **state)
{
    (void)state;
    struct motley_trainer_options options = given();
    struct motley__settings one, two;
    make(&options, NULL, &one);
    make(&options, NULL, &two);
    assert_true(motley__settings_hash(&one) == motley__settings_hash(&two));
    motley__settings_clear(&two);
    options.learning_rate = 0.0026;
    make(&options, NULL, &two);
    assert_false(motley__settings_hash(&one) == motley__settings_hash(&two));
    motley__settings_clear(&two);
    motley__settings_clear(&one);
}

static void test_journal_comes_back_exactly(void **state)
{
    (void)state;
    struct motley_trainer_options options = given();
    struct motley__settings settings, back;
    make(&options, NULL, &settings);
    const struct motley__journal journal = {.step = 12345678901,
                                            .tokens = 1,
                                            .seconds = 1.0 / 3,
                                            .loss = 0.1 + 0.2,
                                            .held_out_loss = NAN,
                                            .text_bytes = 99,
                                            .text_hash = UINT64_C(0xf000000000000001)};
    struct motley__journal read;
    char *text;
    json_t *saved;
    assert_int_equal(motley__journal_text(&journal, &settings, &text, NULL), 0);
    assert_int_equal(motley__journal_parse(text, &read, &saved, NULL), 0);
    assert_true(read.step == journal.step && read.tokens == 1 && read.seconds == journal.seconds);
    assert_true(read.loss == journal.loss && isnan(read.held_out_loss));
    assert_true(read.text_bytes == 99 && read.text_hash == journal.text_hash);
    make(&(struct motley_trainer_options){0}, saved, &back);
    assert_true(motley__settings_hash(&back) == motley__settings_hash(&settings));
    motley__settings_clear(&back);
    motley__settings_clear(&settings);
    json_decref(saved);
    text[strlen(text) / 2] = 0;
    assert_int_equal(motley__journal_parse(text, &read, &saved, NULL), MOTLEY_E_FORMAT);
    free(text);
}

static void test_config_comes_back(void **state)
{
    (void)state;
    struct motley__config config = motley__config_default(), read;
    char *text;
    config.D = 96;
    config.heads = 4;
    config.kv_heads = 2;
    config.rope_theta = 12345.5;
    assert_int_equal(motley__config_text(&config, &text, NULL), 0);
    assert_non_null(strstr(text, "\"MixtralForCausalLM\""));
    assert_int_equal(motley__config_parse(text, &read, NULL), 0);
    assert_true(read.vocabulary == config.vocabulary && read.D == 96 && read.layers == config.layers);
    assert_true(read.heads == 4 && read.kv_heads == 2 && read.F == config.F && read.E == config.E &&
                read.K == config.K);
    assert_true(read.positions == config.positions && read.rope_theta == 12345.5 && read.norm_eps == config.norm_eps);
    assert_true(read.balance_coefficient == config.balance_coefficient && read.z_coefficient == config.z_coefficient);
    free(text);

    config.gate = MOTLEY_GATE_COSINE; /* not what transformers computes */
    config.gate_width = 17;
    config.before = 1;
    assert_int_equal(motley__config_text(&config, &text, NULL), 0);
    assert_null(strstr(text, "ixtral"));
    assert_int_equal(motley__config_parse(text, &read, NULL), 0);
    assert_true(read.gate == MOTLEY_GATE_COSINE && read.gate_width == 17 && read.before == 1 && read.D == 96);
    free(text);
}

#define SIZES "\"vocab_size\": 256, \"hidden_size\": 8, \"intermediate_size\": 8, \"num_hidden_layers\": 1, " \
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 2, \"num_local_experts\": 2, \"num_experts_per_tok\": 1, " \
    "\"max_position_embeddings\": 8"

static void test_other_models_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
        int code;
    } bad[] = {
        {"{", "line 1", MOTLEY_E_FORMAT},
        {"[]", "object", MOTLEY_E_FORMAT},
        {"{\"model_type\": \"llama\"}", "llama", MOTLEY_E_UNSUPPORTED},
        {"{\"model_type\": \"mixtral\", \"sliding_window\": 4096}", "sliding", MOTLEY_E_UNSUPPORTED},
        {"{\"model_type\": \"mixtral\", \"tie_word_embeddings\": true}", "tied", MOTLEY_E_UNSUPPORTED},
        {"{\"model_type\": \"mixtral\", \"vocab_size\": \"x\"}", "vocab_size", MOTLEY_E_FORMAT},
        {"{\"model_type\": \"mixtral\", \"vocab_size\": 256}", "hidden_size", MOTLEY_E_FORMAT},
        {"{\"model_type\": \"motley\"," SIZES "}", "motley_gate", MOTLEY_E_FORMAT},
        {"{\"model_type\": \"motley\"," SIZES ", \"motley_gate\": \"forced\"}", "forced", MOTLEY_E_FORMAT},
        {"{\"model_type\": \"motley\"," SIZES ", \"motley_gate\": \"cosine\"}", "before", MOTLEY_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct motley__config config;
        struct motley_error error = {0};
        assert_int_equal(motley__config_parse(bad[i].text, &config, &error), bad[i].code);
        if (!strstr(error.text, bad[i].word))
            fail_msg("\"%s\" does not say \"%s\"", error.text, bad[i].word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_means_default),
        cmocka_unit_test(test_nonsense_is_refused_by_name),
        cmocka_unit_test(test_resumed_run_takes_what_was_saved),
        cmocka_unit_test(test_storage_is_kept_or_changed),
        cmocka_unit_test(test_routing_is_kept_or_refused),
        cmocka_unit_test(test_routing_that_cannot_be_is_refused),
        cmocka_unit_test(test_different_options_have_different_hashes),
        cmocka_unit_test(test_journal_comes_back_exactly),
        cmocka_unit_test(test_config_comes_back),
        cmocka_unit_test(test_other_models_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
