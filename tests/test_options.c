/* The command line: every kind of option, and what each mistake is told.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/cli.h"

/* One of each kind. */
struct values {
    int flag, choice;
    int64_t integer;
    double number;
    uint64_t bytes;
    const char *text;
    struct motley__paths paths;
};

struct parsed {
    struct values values;
    struct motley__globals globals;
    struct motley_error error;
    int help, status;
};

/* words: NULL-terminated. */
static struct parsed parse(int required, char **words)
{
    struct parsed p = {0};
    const struct motley__option options[] = {
        {"--flag", MOTLEY__FLAG, &p.values.flag, 0, 0, NULL, "a flag", 0},
        {"--top-k", MOTLEY__INTEGER, &p.values.integer, 1, 64, NULL, "a number", 0},
        {"--any", MOTLEY__INTEGER, &p.values.integer, 0, 0, NULL, "any number", 0},
        {"--lr", MOTLEY__NUMBER, &p.values.number, 0, 1, NULL, "a real number", 0},
        {"--expert-memory", MOTLEY__BYTES, &p.values.bytes, 0, 0, NULL, "a size", 0},
        {"--gate", MOTLEY__CHOICE, &p.values.choice, 0, 0, "softmax|sigmoid|forced", "a choice", 0},
        {"--input", MOTLEY__TEXT, &p.values.text, 0, 0, NULL, "a file", required},
        {"--text", MOTLEY__PATHS, &p.values.paths, 0, 0, NULL, "files", 0},
        {0},
    };
    int argc = 0;
    while (words[argc])
        argc++;
    p.values.choice = -1;
    p.status = motley__options_read(argc, words, "test", options, &p.globals, &p.help, &p.error);
    return p;
}
#define PARSE(...) parse(0, (char *[]){__VA_ARGS__, NULL})

static void assert_mistake(struct parsed p, const char *words)
{
    assert_int_equal(p.status, MOTLEY_E_INVALID);
    if (!strstr(p.error.text, words))
        fail_msg("expected \"%s\" in: %s", words, p.error.text);
}

static void test_every_kind(void **state)
{
    (void)state;
    struct parsed p = PARSE("--flag", "--top-k", "7", "--lr", "1e-3", "--expert-memory", "2G", "--gate", "forced",
                            "--input=a=b", "--any=-5");
    assert_int_equal(p.status, 0);
    assert_int_equal(p.values.flag, 1);
    assert_int_equal(p.values.integer, -5);
    assert_true(p.values.number == 1e-3);
    assert_true(p.values.bytes == (uint64_t)2 << 30);
    assert_int_equal(p.values.choice, 2);
    assert_string_equal(p.values.text, "a=b");
}

static void test_sizes(void **state)
{
    (void)state;
    assert_true(PARSE("--expert-memory", "4096").values.bytes == 4096);
    assert_true(PARSE("--expert-memory", "1.5k").values.bytes == 1536);
    assert_true(PARSE("--expert-memory", "512M").values.bytes == (uint64_t)512 << 20);
    assert_true(PARSE("--expert-memory", "1T").values.bytes == (uint64_t)1 << 40);
    static char *wrong[] = {"", "M", "-1", "0", "3Q", "1GB", "nan", "inf", "1e30"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_mistake(PARSE("--expert-memory", wrong[i]), "--expert-memory: expected a number of bytes such as 512M");
}

static void test_ranges(void **state)
{
    (void)state;
    static char *wrong[] = {"0", "65", "-1", "x", "", "7x", "1.5", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_mistake(PARSE("--top-k", wrong[i]), "--top-k: expected a whole number from 1 to 64, found '");
    assert_int_equal(PARSE("--top-k", "64").values.integer, 64);
    assert_mistake(PARSE("--lr", "nan"), "--lr: expected a number from 0 to 1, found 'nan'");
    assert_mistake(PARSE("--lr", "1.01"), "found '1.01'");
    assert_mistake(PARSE("--any", "99999999999999999999"), "expected a whole number, found");
}

static void test_choices(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--gate", "softmax").values.choice, 0);
    assert_int_equal(PARSE("--gate", "sigmoid").values.choice, 1);
    static char *wrong[] = {"soft", "softmax|sigmoid", "SOFTMAX", "", "forced "};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_mistake(PARSE("--gate", wrong[i]), "--gate: expected one of softmax|sigmoid|forced, found '");
}

static void test_paths_end_at_an_option(void **state)
{
    (void)state;
    struct parsed p = PARSE("--text", "a", "b", "-c", "--flag");
    assert_int_equal(p.status, 0);
    assert_int_equal(p.values.paths.count, 3);
    assert_string_equal(p.values.paths.path[2], "-c");
    assert_int_equal(p.values.flag, 1);
    assert_mistake(PARSE("--text", "--flag"), "--text: expected one or more paths");
    assert_mistake(PARSE("--text"), "--text: expected one or more paths");
}

static void test_globals(void **state)
{
    (void)state;
    struct parsed p = PARSE("--devices", "gpu", "--share-gpus", "--threads", "3", "--memory-limit", "1G", "--profile",
                            "p", "--time-limit", "2.5", "--json");
    assert_int_equal(p.status, 0);
    assert_string_equal(p.globals.context.devices, "gpu");
    assert_int_equal(p.globals.context.share_gpus, 1);
    assert_int_equal(p.globals.context.threads, 3);
    assert_true(p.globals.context.memory_limit == (uint64_t)1 << 30);
    assert_string_equal(p.globals.context.profile, "p");
    assert_true(p.globals.context.time_limit_seconds == 2.5);
    assert_int_equal(p.globals.json, 1);
    assert_int_equal(p.globals.context.verbose, 1);
    assert_int_equal(PARSE("--quiet").globals.context.verbose, 0);
    assert_int_equal(PARSE("--verbose", "--trace", "t").globals.context.verbose, 2);
    assert_mistake(PARSE("--threads", "0"), "--threads: expected a whole number from 1");
}

static void test_mistakes(void **state)
{
    (void)state;
    assert_mistake(PARSE("--topk", "2"), "unknown option '--topk'; 'motley test --help' lists the options");
    assert_mistake(PARSE("--flags"), "unknown option '--flags'");
    assert_mistake(PARSE("--fla"), "unknown option '--fla'");
    assert_mistake(PARSE("word"), "unexpected word 'word'");
    assert_mistake(PARSE("-k", "2"), "unexpected word '-k'");
    assert_mistake(PARSE("--flag=1"), "--flag: takes no value, found '1'");
    assert_mistake(PARSE("--input"), "--input: expected a value behind it, found nothing");
    assert_mistake(PARSE("--input", "--flag"), "--input: expected a value behind it, found '--flag'");
    assert_mistake(PARSE("--input", ""), "--input: expected a name, found an empty one");
}

static void test_required(void **state)
{
    (void)state;
    assert_mistake(parse(1, (char *[]){"--flag", NULL}), "--input is required");
    assert_int_equal(parse(1, (char *[]){"--input", "x", NULL}).status, 0);
}

/* Help wins over what is missing, and stops the reading. */
static void test_help(void **state)
{
    (void)state;
    struct parsed p = parse(1, (char *[]){"--flag", "--help", "--nonsense", NULL});
    assert_int_equal(p.status, 0);
    assert_int_equal(p.help, 1);
}

/* The last one counts. */
static void test_repeated(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--top-k", "2", "--top-k=3").values.integer, 3);
}

static void test_usage_lists_everything(void **state)
{
    (void)state;
    const struct motley__option options[] = {
        {"--gate", MOTLEY__CHOICE, NULL, 0, 0, "softmax|sigmoid|cosine|forced", "the gate", 0},
        {"--top-k", MOTLEY__INTEGER, NULL, 1, 64, NULL, "experts per token", 0},
        {0},
    };
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    assert_non_null(stream);
    motley__options_usage(stream, "test", "--input IN", options);
    fclose(stream);
    static const char *const wanted[] = {"usage: motley test --input IN",
                                         "--gate softmax|sigmoid|cosine|forced",
                                         "--top-k N ",
                                         "experts per token",
                                         "--time-limit s",
                                         "--memory-limit BYTES",
                                         "--help"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!strstr(text, wanted[i]))
            fail_msg("expected \"%s\" in: %s", wanted[i], text);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_paths_end_at_an_option),
        cmocka_unit_test(test_globals),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_usage_lists_everything),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
