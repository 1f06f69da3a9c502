/* Who brings how many tokens: as good as trying every way, whole sequences, and nothing from ranks of unknown speed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "allocate/tokens.h"
#include "base/random.h"
#include "plan_cluster.h"

enum { SEED = 808, SEQUENCE = 48 };

static int draw(uint64_t stream, uint64_t index, int range)
{
    return (int)(motley__random_bits(SEED, stream, index) % (uint64_t)range);
}

/* What make_cluster gives a rank: its dense product, and the experts' curves. */
static double seconds_of(const struct motley__task *task, int r, double slow, int64_t tokens, int data)
{
    const double D = task->shape.D, flops = (task->options.backward ? 24 : 8) * D * D;
    const double dense = flops / (6.0 * 256 * 512 * 512) * 0.01 * slow;
    const double experts = data && tokens ? motley__cost_all(&task->whole[r], &task->shape, (double)tokens, 1,
                                                             task->options.backward) : 0;
    return (double)tokens * dense + experts;
}

/* The best time of the slowest of the ranks from r on with so many sequences, over all ways. */
static double search(const struct motley__task *task, const double *slow, int r, int sequences, int data)
{
    double best = INFINITY;
    if (r == task->R)
        return sequences ? INFINITY : 0;
    for (int n = 0; n <= sequences; n++)
        best = fmin(best, fmax(seconds_of(task, r, slow[r], (int64_t)n * SEQUENCE, data),
                               search(task, slow, r + 1, sequences - n, data)));
    return best;
}

static void sequences_as_good_as_trying_everything(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 60; trial++) {
        const struct motley_layer_shape shape = fixture_shape(2 + draw(1, trial, 6), 2);
        const int R = 1 + draw(2, trial, MOST_RANKS), B = draw(3, trial, 12), data = draw(4, trial, 2);
        double slow[MOST_RANKS], slowest = 0;
        struct cluster cluster;
        int64_t tokens[MOST_RANKS], sum = 0;
        for (int r = 0; r < R; r++)
            slow[r] = 1 + 0.5 * draw(5, trial * MOST_RANKS + (uint64_t)r, 8);
        make_cluster(&cluster, &shape, R, slow);
        struct motley__task task = {.shape = shape, .R = R, .entry = cluster.entry,
                                    .options = {.tokens = B * SEQUENCE, .sequence = SEQUENCE, .backward = 1}};
        assert_int_equal(motley__task_open(&task, NULL), 0);
        assert_int_equal(motley__tokens(&task, data ? MOTLEY_MODE_DATA : MOTLEY_MODE_EXPERT, tokens, NULL), 0);
        for (int r = 0; r < R; r++) {
            assert_int_equal(tokens[r] % SEQUENCE, 0);
            slowest = fmax(slowest, seconds_of(&task, r, slow[r], tokens[r], data));
            sum += tokens[r];
        }
        assert_int_equal(sum, B * SEQUENCE);
        assert_true(fabs(slowest - search(&task, slow, 0, B, data)) <= 1e-9 * slowest);
        motley__task_close(&task);
        clear_cluster(&cluster);
    }
}

static void assert_tokens(struct motley__task *task, enum motley_mode mode, const int64_t *expected)
{
    int64_t tokens[MOST_RANKS];
    assert_int_equal(motley__tokens(task, mode, tokens, NULL), 0);
    for (int r = 0; r < task->R; r++)
        assert_int_equal(tokens[r], expected[r]);
}

static void what_is_not_known_brings_nothing(void **state)
{
    (void)state;
    static const double slow[3] = {1, 1, 1};
    static const int64_t given[3] = {7, 0, 41};
    const struct motley_layer_shape shape = fixture_shape(4, 2);
    struct cluster cluster;
    make_cluster(&cluster, &shape, 3, slow);
    struct motley__task task = {.shape = shape, .options = {.tokens = 48, .sequence = 8}, .R = 3,
                                .entry = cluster.entry};
    assert_int_equal(motley__task_open(&task, NULL), 0);
    assert_tokens(&task, MOTLEY_MODE_EXPERT, (const int64_t[]){16, 16, 16});
    cluster.profile[1].entry->dense.seconds = 0;
    assert_tokens(&task, MOTLEY_MODE_EXPERT, (const int64_t[]){24, 0, 24});
    assert_tokens(&task, MOTLEY_MODE_DATA, (const int64_t[]){24, 0, 24});
    task.options.sequence = 0;
    assert_tokens(&task, MOTLEY_MODE_DATA, (const int64_t[]){16, 16, 16}); /* nothing dense is asked for */
    task.whole[0] = (struct motley__whole){NULL, NULL};
    assert_tokens(&task, MOTLEY_MODE_DATA, (const int64_t[]){0, 24, 24});
    assert_tokens(&task, MOTLEY_MODE_EXPERT, (const int64_t[]){16, 16, 16});
    task.options.shares = MOTLEY_SHARES_EVEN;
    assert_tokens(&task, MOTLEY_MODE_DATA, (const int64_t[]){16, 16, 16});
    task.options.tokens = 56;
    task.options.sequence = 8;
    assert_tokens(&task, MOTLEY_MODE_DATA, (const int64_t[]){24, 16, 16});
    task.options.tokens = 48;
    task.options.tokens_of = given;
    assert_tokens(&task, MOTLEY_MODE_DATA, given);
    task.options.tokens_of = NULL;
    task.options.shares = MOTLEY_SHARES_MEASURED;
    for (int r = 0; r < 3; r++)
        cluster.profile[r].entry->dense.seconds = 0;
    assert_tokens(&task, MOTLEY_MODE_EXPERT, (const int64_t[]){16, 16, 16});
    motley__task_close(&task);
    clear_cluster(&cluster);
}

static void sequences_are_whole(void **state)
{
    (void)state;
    static const double slow[2] = {1, 2};
    const struct motley_layer_shape shape = fixture_shape(4, 2);
    const struct motley_plan_options options = {.tokens = 50, .sequence = 8}, negative = {.tokens = 48, .sequence = -8};
    struct motley_error error = {0};
    struct cluster cluster;
    motley_plan *plan = NULL;
    make_cluster(&cluster, &shape, 2, slow);
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster.entry, NULL, &plan, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "tokens per step is 50, expected whole sequences of 8"));
    assert_int_equal(motley__plan_make(&shape, &negative, 2, cluster.entry, NULL, &plan, NULL), MOTLEY_E_INVALID);
    assert_null(plan);
    clear_cluster(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_as_good_as_trying_everything),
        cmocka_unit_test(what_is_not_known_brings_nothing),
        cmocka_unit_test(sequences_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
