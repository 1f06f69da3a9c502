/* The text of a plan: what it says comes back, lies in it are found, and any partition of the experts can be read.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "plan_cluster.h"

static void text_comes_back_the_same(void **state)
{
    (void)state;
    motley_plan *plan = some_plan(), *read;
    char *text, *again;
    assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
    assert_int_equal(motley_plan_parse(text, &read, NULL), 0);
    assert_int_equal(motley_plan_text(read, &again, NULL), 0);
    assert_string_equal(text, again);
    assert_true(motley__placement_equal(&read->stored, &plan->stored));
    assert_int_equal(read->options.tokens, 777);
    assert_int_equal(read->options.backward, 1);
    assert_int_equal(read->shape.K, 3);
    assert_int_equal(read->shape.activation, MOTLEY_SWIGLU);
    for (int r = 0; r < 3; r++) {
        assert_true(plan->rank[r].seconds == read->rank[r].seconds && plan->rank[r].gflops == read->rank[r].gflops);
        assert_true(plan->rank[r].bytes == read->rank[r].bytes &&
                    plan->rank[r].dense_gflops == read->rank[r].dense_gflops);
        assert_string_equal(plan->rank[r].device, read->rank[r].device);
    }
    free(again);
    free(text);
    motley_plan_destroy(read);
    motley_plan_destroy(plan);
}

/* The text with one part of it replaced. */
static char *replace(const char *text, const char *part, const char *with)
{
    const char *at = strstr(text, part);
    char *made = malloc(strlen(text) + strlen(with) + 1);
    assert_non_null(at);
    assert_non_null(made);
    sprintf(made, "%.*s%s%s", (int)(at - text), text, with, at + strlen(part));
    return made;
}

static void lies_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *part, *with, *word;
    } lies[] = {
        {"\"motley_plan\": 1", "\"motley_plan\": 2", "motley_plan"},
        {"\"D\": 64", "\"D\": 0", "D ("},
        {"\"D\": 64", "\"D\": 64.5", "\"D\""},
        {"\"D\": 64,", "", "\"D\""},
        {"\"D\": 64", "\"D\": 64, \"D\": 64", "line"},
        {"\"E\": 11", "\"E\": 12", "expert 11 is on no rank"},
        {"\"E\": 11", "\"E\": 10", "experts"},
        {"\"E\": 11", "\"E\": 99999999999", "\"E\""},
        {"\"K\": 3", "\"K\": 12", "K ("},
        {"\"swiglu\"", "\"tanh\"", "activation"},
        {"\"bias\": false", "\"bias\": 0", "bias"},
        {"\"tokens\": 777", "\"tokens\": -1", "tokens"},
        {"\"measured\"", "\"guessed\"", "shares"},
        {"\"esmm\"", "7", "dense"},
        {"   0,", "   1,", "ascending"},
        {"   0,", "   -1,", "0 to 10"},
        {"   0,", "   \"0\",", "0 to 10"},
        {"   0,", "", "expert 0 is on no rank"},
        {"\"seconds\": 0", "\"seconds\": -0", "seconds"},
        {"\"bytes\": ", "\"bytes\": -", "bytes"},
        {"\"host0\"", "null", "host"},
        {"\"mode\": \"expert\",\n \"exchange", "\"mode\": \"auto\",\n \"exchange", "\"mode\""},
        {"\"exchange\": \"linear\",\n \"pipeline", "\"exchange\": \"auto\",\n \"pipeline", "\"exchange\""},
        {"\"pipeline\": 1,\n \"chosen", "\"pipeline\": 3,\n \"chosen", "\"pipeline\""},
        {"\"pipeline\": 0,", "\"pipeline\": 3,", "pipeline"},
        {"\"wire\": \"f32\"", "\"wire\": \"f64\"", "wire"},
        {"\"duplicate\": false", "\"duplicate\": 2", "duplicate"},
        {"\"chosen\": 0", "\"chosen\": 99", "chosen"},
        {"\"alternatives\": [", "\"alternatives\": 1, \"x\": [", "alternatives"},
        {"\"mode\": \"data\",", "\"mode\": \"auto\",", "\"mode\""},
        {"\"fits\": true", "\"fits\": 1", "fits"},
        {"\"known\": true", "\"known\": null", "known"},
        {"\"experts\": ", "\"experts\": -1", "experts"},
        {"    128\n", "    129\n", "hidden"},
        {"    128\n", "    127\n", "hidden row 127 of expert 0 is on no rank"},
        {"\"ranks\"", "\"files\"", "ranks"},
    };
    motley_plan *plan = some_plan(), *read = NULL;
    char *text;
    assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct motley_error error = {0};
        char *lie = replace(text, lies[i].part, lies[i].with);
        int status = motley_plan_parse(lie, &read, &error);
        if (status != MOTLEY_E_FORMAT || !strstr(error.text, lies[i].word))
            fail_msg("%s for %s: status %d, \"%s\" should name %s", lies[i].with, lies[i].part, status, error.text,
                     lies[i].word);
        assert_null(read);
        free(lie);
    }
    free(text);
    motley_plan_destroy(plan);
}

static void a_cut_text_is_refused(void **state)
{
    (void)state;
    motley_plan *plan = some_plan(), *read = NULL;
    char *text;
    assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
    for (size_t length = strlen(text) - 1; length > 0; length--) {
        text[length] = 0;
        assert_int_equal(motley_plan_parse(text, &read, NULL), MOTLEY_E_FORMAT);
        assert_null(read);
    }
    free(text);
    motley_plan_destroy(plan);
}

/* Storage and variants are in the text; a text from before they were is of f32. */
static void storage_is_part_of_the_text(void **state)
{
    (void)state;
    static const double slow[2] = {1, 1};
    struct motley_layer_shape shape = fixture_shape(4, 1);
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 8};
    struct cluster cluster;
    motley_plan *plan, *read;
    char *text;
    shape.dtype = MOTLEY_BF16;
    make_cluster(&cluster, &shape, 2, slow);
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster.entry, NULL, &plan, NULL), 0);
    assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
    assert_int_equal(motley_plan_parse(text, &read, NULL), 0);
    assert_int_equal(motley_plan_shape(read)->dtype, MOTLEY_BF16);
    assert_string_equal(read->rank[1].variant, "tiles");
    motley_plan_destroy(read);
    for (char *at; (at = strstr(text, "\"dtype\"")) || (at = strstr(text, "\"variant\""));)
        at[1] = '_'; /* an unknown name is as good as none */
    assert_int_equal(motley_plan_parse(text, &read, NULL), 0);
    assert_int_equal(motley_plan_shape(read)->dtype, MOTLEY_F32);
    assert_string_equal(read->rank[1].variant, "");
    motley_plan_destroy(read);
    free(text);
    shape.dtype = (enum motley_dtype)3;
    assert_int_equal(motley__plan_check(&shape, &options, NULL), MOTLEY_E_INVALID);
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

/* A placement need not be in blocks. */
static void any_partition_can_be_read(void **state)
{
    (void)state;
    static const double slow[2] = {1, 1};
    const struct motley_layer_shape shape = fixture_shape(4, 1);
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 8};
    struct cluster cluster;
    motley_plan *plan, *read;
    char *text;
    make_cluster(&cluster, &shape, 2, slow);
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster.entry, NULL, &plan, NULL), 0);
    plan->stored.rank[0].expert[1] = 3;
    plan->stored.rank[1].expert[0] = 1;
    plan->stored.rank[1].expert[1] = 2;
    assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
    assert_int_equal(motley_plan_parse(text, &read, NULL), 0);
    static const int server[4] = {0, 1, 1, 0}, group_of[2] = {0, 1};
    assert_memory_equal(read->server, server, sizeof server);
    assert_memory_equal(read->group_of, group_of, sizeof group_of);
    assert_true(motley__placement_equal(&read->stored, &plan->stored));
    free(text);
    motley_plan_destroy(read);
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

/* Two groups: ranks 0, 3 and 1 share experts 1 and 2, rank 4 has the others, rank 2 nothing. */
static void groups_follow_from_what_is_stored(void **state)
{
    (void)state;
    static const int shared[] = {1, 2}, others[] = {0, 3};
    static const int slice[5][2] = {{32, 96}, {96, 128}, {0, 0}, {0, 32}, {0, 128}};
    const struct motley_layer_shape shape = {.D = 8, .F = 128, .E = 4, .K = 1};
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_HYBRID, .group = 3, .tokens = 9};
    struct motley_error error = {0};
    motley_plan *plan, *read;
    char *text;
    assert_int_equal(motley__plan_alloc(&shape, &options, 5, &plan, NULL), 0);
    plan->mode = MOTLEY_MODE_HYBRID;
    for (int r = 0; r < 5; r++) {
        struct motley__holding *holding = &plan->stored.rank[r];
        assert_int_equal(motley__holding_alloc(holding, r == 2 ? 0 : 2, NULL), 0);
        memcpy(holding->expert, r == 4 ? others : shared, sizeof(int) * (size_t)holding->experts);
        holding->begin = slice[r][0];
        holding->end = slice[r][1];
    }
    assert_int_equal(motley__plan_index(plan, NULL), 0);
    assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
    motley_plan_destroy(plan);
    assert_int_equal(motley_plan_parse(text, &read, &error), 0);
    static const int group_of[5] = {0, 0, 1, 0, 2}, first[4] = {0, 3, 4, 5}, member[5] = {3, 0, 1, 2, 4};
    static const int server[4] = {2, 0, 0, 2};
    assert_int_equal(motley_plan_mode(read), MOTLEY_MODE_HYBRID);
    assert_int_equal(read->G, 3);
    assert_memory_equal(read->group_of, group_of, sizeof group_of);
    assert_memory_equal(read->first_member, first, sizeof first);
    assert_memory_equal(read->member, member, sizeof member);
    assert_memory_equal(read->server, server, sizeof server);
    assert_true(motley__placement_equal(&read->stored, &read->computed));
    assert_true(motley_plan_rank(read, 0).share == 0.25 && motley_plan_rank(read, 4).share == 0.5);
    read->mode = MOTLEY_MODE_DATA;
    assert_int_equal(motley__plan_index(read, NULL), 0);
    assert_int_equal(read->G, 5);
    assert_int_equal(read->computed.rank[2].experts, 4);
    assert_int_equal(read->computed.rank[2].end, 128);
    read->mode = MOTLEY_MODE_HYBRID;
    read->stored.rank[0].expert[0] = 0;
    read->stored.rank[4].expert[0] = 1; /* rows of experts 0 and 1 are now missing, others twice there */
    assert_int_equal(motley__plan_index(read, &error), MOTLEY_E_INVALID);
    motley_plan_destroy(read);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_back_the_same),
        cmocka_unit_test(lies_are_found),
        cmocka_unit_test(a_cut_text_is_refused),
        cmocka_unit_test(storage_is_part_of_the_text),
        cmocka_unit_test(any_partition_can_be_read),
        cmocka_unit_test(groups_follow_from_what_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
