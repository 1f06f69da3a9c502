/* Plans from made-up measurements: whose experts, whose tokens, what is refused.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/random.h"
#include "cost/cost.h"
#include "plan/plan.h"
#include "plan_cluster.h"

enum { SEED = 5150 };

/* Of a rank of R with so many whole experts and its part of the tokens, when the other ranks have the rest. */
static uint64_t whole_experts_bytes(const struct motley_layer_shape *shape, const struct motley_plan_options *options,
                                    int R, int experts)
{
    const double tokens = (double)options->tokens / R, others = (double)options->tokens - tokens;
    const double own = motley__cost_reach(shape, experts), rest = motley__cost_reach(shape, shape->E - experts);
    const struct motley__duty duty = {.experts = experts, .width = shape->F, .tokens = tokens,
                                      .pairs = (double)options->tokens * shape->K * experts / shape->E,
                                      .gathered = tokens * rest, .sent = tokens * rest, .received = others * own};
    assert_int_equal(R, 2);
    return motley__cost_bytes(shape, options, R, &duty, 1);
}

static void assert_partition(const motley_plan *plan)
{
    int next = 0;
    for (int r = 0; r < motley_plan_ranks(plan); r++) {
        struct motley_plan_rank rank = motley_plan_rank(plan, r);
        for (int i = 0; i < rank.experts; i++, next++) {
            assert_int_equal(rank.expert[i], next); /* ascending blocks by rank */
            assert_int_equal(plan->member[plan->first_member[plan->server[next]]], r);
        }
    }
    assert_int_equal(next, motley_plan_shape(plan)->E);
}

static void shares_follow_measured_speed(void **state)
{
    (void)state;
    static const double slow[2] = {1, 1 / 0.3};
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 1024, .backward = 1};
    struct cluster cluster;
    motley_plan *plan;
    make_cluster(&cluster, &shape, 2, slow);
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster.entry, NULL, &plan, NULL), 0);
    assert_partition(plan);
    struct motley_plan_rank fast = motley_plan_rank(plan, 0), weak = motley_plan_rank(plan, 1);
    assert_int_equal(fast.experts, 6); /* 6 of 1 and 2 of 3.33: the slower takes 6.67; 7 and 1 would take 7 */
    assert_int_equal(weak.experts, 2);
    assert_true(fabs(fast.share - 0.75) < 1e-12);
    const double rows = 256, seconds = 3e-5 * rows; /* of one expert, both directions */
    assert_true(fabs(fast.seconds - 6 * seconds) < 1e-9);
    assert_true(fabs(fast.gflops - 1e-9 * 2 * 3 * 64 * 128 * rows * 3 / seconds) < 1e-6);
    assert_true(fabs(fast.gflops / weak.gflops - slow[1]) < 1e-6);
    assert_int_equal(fast.bytes, whole_experts_bytes(&shape, &options, 2, 6));
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

static void even_shares_need_no_measurements(void **state)
{
    (void)state;
    static const double slow[3] = {1, 1, 10};
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 100,
                                                .shares = MOTLEY_SHARES_EVEN};
    struct cluster cluster;
    motley_plan *plan;
    make_cluster(&cluster, &shape, 3, slow);
    cluster.profile[1].entry->curves = 0;
    assert_int_equal(motley__plan_make(&shape, &options, 3, cluster.entry, NULL, &plan, NULL), 0);
    assert_partition(plan);
    assert_int_equal(motley_plan_rank(plan, 0).experts, 3);
    assert_int_equal(motley_plan_rank(plan, 1).experts, 3);
    assert_int_equal(motley_plan_rank(plan, 2).experts, 2);
    assert_true(motley_plan_rank(plan, 0).seconds > 0);
    assert_true(motley_plan_rank(plan, 1).seconds == 0 && motley_plan_rank(plan, 1).gflops == 0);
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

/* A device that could not hold one expert has no curve. */
static void a_rank_without_a_curve_gets_nothing(void **state)
{
    (void)state;
    static const double slow[3] = {1, 1, 1};
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 100};
    struct cluster cluster;
    motley_plan *plan;
    make_cluster(&cluster, &shape, 3, slow);
    cluster.profile[1].entry->curves = 0;
    assert_int_equal(motley__plan_make(&shape, &options, 3, cluster.entry, NULL, &plan, NULL), 0);
    assert_partition(plan);
    assert_int_equal(motley_plan_rank(plan, 0).experts, 4);
    assert_int_equal(motley_plan_rank(plan, 1).experts, 0);
    assert_int_equal(motley_plan_rank(plan, 2).experts, 4);
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

static void memory_bounds_shares(void **state)
{
    (void)state;
    static const double slow[2] = {1, 1};
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 64};
    struct motley_error error = {0};
    struct cluster cluster;
    motley_plan *plan;
    make_cluster(&cluster, &shape, 2, slow);
    cluster.profile[0].entry->key.memory_bytes = whole_experts_bytes(&shape, &options, 2, 2);
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster.entry, NULL, &plan, NULL), 0);
    assert_int_equal(motley_plan_rank(plan, 0).experts, 2);
    assert_int_equal(motley_plan_rank(plan, 1).experts, 6);
    motley_plan_destroy(plan);

    options.shares = MOTLEY_SHARES_EVEN;
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster.entry, NULL, &plan, &error),
                     MOTLEY_E_DEVICE_MEMORY);
    assert_non_null(strstr(error.text, "rank 0 4 experts"));

    cluster.profile[1].entry->key.memory_bytes = cluster.profile[0].entry->key.memory_bytes;
    options.shares = MOTLEY_SHARES_MEASURED;
    memset(&error, 0, sizeof error);
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster.entry, NULL, &plan, &error),
                     MOTLEY_E_DEVICE_MEMORY);
    assert_non_null(strstr(error.text, "8 experts are to be placed but the devices have memory for 4"));
    clear_cluster(&cluster);
}

static void what_is_no_layer_is_refused(void **state)
{
    (void)state;
    static const double slow[2] = {1, 1};
    const struct motley_layer_shape good = fixture_shape(8, 2);
    struct motley_layer_shape bad[8];
    static const char *const words[8] = {"D (", "F (", "E (", "K (", "K (", "no biases", "activation", "gate"};
    const struct motley_plan_options options = {.tokens = 64}, negative = {.tokens = -1};
    struct motley_error error = {0};
    struct cluster cluster;
    motley_plan *plan = NULL;
    make_cluster(&cluster, &good, 2, slow);
    for (int i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].D = 0;
    bad[1].F = -3;
    bad[2].E = 0;
    bad[3].K = 0;
    bad[4].K = 9;
    bad[5].bias = 1;
    bad[6].activation = (enum motley_activation)7;
    bad[7].gate = (enum motley_gate)-1;
    for (int i = 0; i < 8; i++) {
        memset(&error, 0, sizeof error);
        assert_int_equal(motley__plan_make(&bad[i], &options, 2, cluster.entry, NULL, &plan, &error), MOTLEY_E_INVALID);
        if (!strstr(error.text, words[i]))
            fail_msg("\"%s\" does not name %s", error.text, words[i]);
    }
    memset(&error, 0, sizeof error);
    assert_int_equal(motley__plan_make(&good, &negative, 2, cluster.entry, NULL, &plan, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "tokens"));
    assert_null(plan);
    clear_cluster(&cluster);
}

/* What every rank brings is taken as it is said, also where a plan would have chosen it; and is the plan's own. */
static void given_tokens_are_kept(void **state)
{
    (void)state;
    static const double slow[3] = {1, 4, 2};
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    struct cluster cluster;
    make_cluster(&cluster, &shape, 3, slow);
    for (enum motley_mode mode = MOTLEY_MODE_EXPERT; mode <= MOTLEY_MODE_MODEL; mode++)
        for (int all = 0; all < 3; all++) {
            int64_t tokens[3] = {0};
            const struct motley_plan_options options = {.mode = mode, .tokens = 640, .tokens_of = tokens};
            motley_plan *plan;
            tokens[all] = 600;
            tokens[(all + 1) % 3] = 40;
            assert_int_equal(motley__plan_make(&shape, &options, 3, cluster.entry, NULL, &plan, NULL), 0);
            for (int r = 0; r < 3; r++)
                assert_int_equal(motley_plan_rank(plan, r).tokens, tokens[r]);
            if (mode == MOTLEY_MODE_DATA) {
                assert_true(fabs(motley_plan_rank(plan, all).seconds - 600 * 2 * 1e-5 * slow[all]) < 1e-12);
                assert_true(motley_plan_rank(plan, (all + 2) % 3).seconds == 0);
            }
            memset(tokens, 0, sizeof tokens);
            assert_int_equal(plan->options.tokens_of[all], 600);
            motley_plan_destroy(plan);
        }
    clear_cluster(&cluster);
}

static void tokens_that_do_not_add_up_are_refused(void **state)
{
    (void)state;
    static const double slow[3] = {1, 1, 1};
    static const struct {
        int64_t tokens[3];
        const char *says;
    } cases[] = {{{300, 300, 41}, "rank 2 brings 41 tokens, expected 0 to 40"},
                 {{300, -1, 341}, "rank 1 brings -1 tokens"},
                 {{INT64_MAX, INT64_MAX, 0}, "rank 0 brings 9223372036854775807 tokens"},
                 {{300, 300, 39}, "the ranks bring 639 tokens, expected the 640"}};
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    struct cluster cluster;
    make_cluster(&cluster, &shape, 3, slow);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct motley_plan_options options = {.tokens = 640, .tokens_of = cases[i].tokens};
        struct motley_error error = {0};
        motley_plan *plan = NULL;
        assert_int_equal(motley__plan_make(&shape, &options, 3, cluster.entry, NULL, &plan, &error), MOTLEY_E_INVALID);
        if (!strstr(error.text, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", error.text, cases[i].says);
        assert_null(plan);
    }
    clear_cluster(&cluster);
}

/* Some get none. */
static void more_ranks_than_experts(void **state)
{
    (void)state;
    static const double slow[4] = {1, 1, 1, 1};
    const struct motley_layer_shape shape = fixture_shape(2, 1);
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 64};
    struct cluster cluster;
    motley_plan *plan = NULL;
    int experts = 0;
    make_cluster(&cluster, &shape, 4, slow);
    assert_int_equal(motley__plan_make(&shape, &options, 4, cluster.entry, NULL, &plan, NULL), 0);
    for (int r = 0; r < 4; r++) {
        assert_in_range(motley_plan_rank(plan, r).experts, 0, 1);
        experts += motley_plan_rank(plan, r).experts;
    }
    assert_int_equal(experts, 2);
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

static void the_same_measurements_give_the_same_plan(void **state)
{
    (void)state;
    motley_plan *a = some_plan(), *b = some_plan();
    char *x, *y;
    assert_int_equal(motley_plan_text(a, &x, NULL), 0);
    assert_int_equal(motley_plan_text(b, &y, NULL), 0);
    assert_string_equal(x, y);
    free(x);
    free(y);
    motley_plan_destroy(a);
    motley_plan_destroy(b);
}

/* The path that was faster is one of f32; two-byte weights have but one. */
static void dense_path_is_of_f32(void **state)
{
    (void)state;
    const double slow[] = {1};
    const struct motley_plan_options options = {.tokens = 64, .backward = 1};
    for (int dtype = MOTLEY_F32; dtype <= MOTLEY_F16; dtype++) {
        struct motley_layer_shape shape = fixture_shape(4, 2);
        struct cluster cluster;
        motley_plan *plan;
        shape.dtype = (enum motley_dtype)dtype;
        make_cluster(&cluster, &shape, 1, slow);
        cluster.profile[0].entry[0].dense.path = MOTLEY__DENSE_CLBLAST;
        assert_int_equal(motley__plan_make(&shape, &options, 1, cluster.entry, NULL, &plan, NULL), 0);
        assert_int_equal(plan->rank[0].dense, dtype == MOTLEY_F32 ? MOTLEY__DENSE_CLBLAST : MOTLEY__DENSE_ESMM);
        motley_plan_destroy(plan);
        clear_cluster(&cluster);
    }
}

static void the_table_names_every_rank(void **state)
{
    (void)state;
    motley_plan *plan = some_plan();
    char *text;
    size_t bytes;
    FILE *stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    motley_plan_print(plan, stream);
    fclose(stream);
    print_message("%s", text);
    for (int r = 0; r < 3; r++) {
        char host[16];
        snprintf(host, sizeof host, "host%d", r);
        assert_non_null(strstr(text, host));
    }
    assert_non_null(strstr(text, "GFLOP/s"));
    assert_non_null(strstr(text, "predicted ms"));
    assert_non_null(strstr(text, "D=64 F=128 swiglu"));
    free(text);
    motley_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_measured_speed),
        cmocka_unit_test(even_shares_need_no_measurements),
        cmocka_unit_test(a_rank_without_a_curve_gets_nothing),
        cmocka_unit_test(memory_bounds_shares),
        cmocka_unit_test(what_is_no_layer_is_refused),
        cmocka_unit_test(given_tokens_are_kept),
        cmocka_unit_test(tokens_that_do_not_add_up_are_refused),
        cmocka_unit_test(more_ranks_than_experts),
        cmocka_unit_test(the_same_measurements_give_the_same_plan),
        cmocka_unit_test(dense_path_is_of_f32),
        cmocka_unit_test(the_table_names_every_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
