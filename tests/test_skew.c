/* Skew in training: when rows of experts put a plan in doubt, and that a run goes on as it would have when experts get
 * replicas between two steps and lose them again.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <math.h>
#include <unistd.h>

#include "routing.h"
#include "base/file.h"
#include "plan_cluster.h"
#include "tests/device.h"
#include "train/skew.h"
#include "train/trainer.h"

enum { R = UNLIKE_RANKS, E = UNLIKE_EXPERTS, LAST = 9 };

static motley_context *context;

static void phases_follow_the_rows(void **state)
{
    static const double even[E] = {3, 3, 3, 3, 3, 3, 3, 3}, hot[E] = {1, 1, 1, 1, 10, 0, 1, 1}, same[R] = {1, 1, 1};
    static const double throttled[R] = {1, 1, 2};
    struct cluster cluster;
    double seconds[R], ideal;
    (void)state;
    motley_plan *plan = unlike_plan(&cluster);
    assert_float_equal(motley__skew_phases(plan, even, same, seconds, &ideal), 4, 1e-9);
    assert_float_equal(ideal, 4, 1e-9);
    assert_float_equal(motley__skew_phases(plan, hot, same, seconds, &ideal), 4 * (10.0 / 16) / 0.25, 1e-9);
    assert_float_equal(seconds[0], 4 * (4.0 / 16) / 0.5, 1e-9);
    assert_float_equal(ideal, 4, 1e-9);
    motley__skew_phases(plan, even, throttled, seconds, &ideal);
    assert_float_equal(seconds[2], 8, 1e-9);
    assert_float_equal(ideal, 1 / (0.125 + 0.0625 + 0.03125), 1e-9);
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

static void doubt_takes_several_steps_and_then_rests(void **state)
{
    static const double even[E] = {3, 3, 3, 3, 3, 3, 3, 3}, hot[E] = {1, 1, 1, 1, 10, 0, 1, 1}, same[R] = {1, 1, 1};
    struct motley__skew skew;
    struct cluster cluster;
    double seconds[R];
    int steps = 0;
    (void)state;
    motley_plan *plan = unlike_plan(&cluster);
    assert_int_equal(motley__skew_open(E, &skew, NULL), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(motley__skew_observe(&skew, plan, even, same, 0.25, seconds), 0);
    assert_int_equal(motley__skew_observe(&skew, plan, hot, same, 0.25, seconds), 0); /* one step alone is chance */
    for (int i = 0; i < 50; i++)
        assert_int_equal(motley__skew_observe(&skew, plan, even, same, 0.25, seconds), 0);
    while (!motley__skew_observe(&skew, plan, hot, same, 0.25, seconds))
        steps++;
    assert_in_range(steps, MOTLEY__SKEW_WINDOW - 1, 12);
    for (int rest = MOTLEY__SKEW_QUIET; rest < 100; rest *= 2) { /* nothing came of it, each time */
        motley__skew_settle(&skew, 0);
        for (steps = 0; !motley__skew_observe(&skew, plan, hot, same, 0.25, seconds);)
            steps++;
        assert_int_equal(steps, rest);
    }
    motley__skew_settle(&skew, 1);
    assert_int_equal(skew.wait, MOTLEY__SKEW_QUIET);
    motley__skew_close(&skew);
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

/* Every expert on the next rank, too, for half of its rows. */
static motley_plan *with_replicas(const motley_plan *plan)
{
    json_t *list = json_array();
    motley_plan *made = NULL;
    char *text;
    for (int e = 0; e < plan->shape.E; e++)
        for (int r = 0; r < plan->R; r++)
            if (plan->group_of[r] == (plan->server[e] + 1) % plan->G)
                json_array_append_new(list, json_pack("{s:i, s:i, s:f}", "expert", e, "rank", r, "part", 0.5));
    SUCCEED(motley_plan_text(plan, &text, &error));
    json_t *root = json_loads(text, 0, NULL);
    free(text);
    if (plan->R > 1)
        json_object_set(root, "replicas", list);
    json_decref(list);
    text = json_dumps(root, 0);
    json_decref(root);
    SUCCEED(motley_plan_parse(text, &made, &error));
    free(text);
    return made;
}

static motley_plan *again(const motley_plan *plan)
{
    motley_plan *made = NULL;
    char *text;
    SUCCEED(motley_plan_text(plan, &text, &error));
    SUCCEED(motley_plan_parse(text, &made, &error));
    free(text);
    return made;
}

static void check_run(const char *text, enum motley_dtype dtype, double near)
{
    const char *paths[1] = {text};
    const struct motley_trainer_options options = {
        .text = paths, .texts = 1, .width = 32, .layers = 2, .heads = 2, .hidden = 48, .experts = 5, .top_k = 2,
        .sequence = 48, .steps = 20, .batch = 5, .learning_rate = 0.01, .seed = 3, .held_out = 480,
        .shares = MOTLEY_SHARES_EVEN, .mode = MOTLEY_MODE_EXPERT, .dtype = (int)dtype};
    motley_trainer *plain = NULL, *changed = NULL;
    SUCCEED(motley_trainer_create(context, &options, &plain, &error));
    SUCCEED(motley_trainer_create(context, &options, &changed, &error));
    motley_plan *first = again(changed->plan);
    for (int step = 1; step <= LAST; step++) {
        struct motley_trainer_report a, b;
        if (step == 4)
            SUCCEED(motley__trainer_move(changed, with_replicas(first), &error));
        if (step == 7)
            SUCCEED(motley__trainer_move(changed, again(first), &error));
        SUCCEED(motley_trainer_step(plain, &a, &error));
        SUCCEED(motley_trainer_step(changed, &b, &error));
        assert_int_equal(changed->plan->replicas > 0, context->size > 1 && step >= 4 && step < 7);
        assert_float_equal(a.loss, b.loss, near);
        assert_float_equal(a.gradient_norm, b.gradient_norm, 20 * near * a.gradient_norm);
    }
    motley_plan_destroy(first);
    motley_trainer_destroy(changed);
    motley_trainer_destroy(plain);
}

static void replicas_come_and_go(void **state)
{
    static const char *const words[] = {"int ", "char ", "return ", "(x);\n", "while ", "{ ", "}\n", "x = y + 1;\n"};
    char path[64] = "", bytes[12000];
    size_t used = 0;
    (void)state;
    for (size_t i = 0; used + 16 < sizeof bytes; i++)
        used += (size_t)sprintf(bytes + used, "%s", words[random_int(7, 1, i, 8)]);
    if (context->rank == 0)
        snprintf(path, sizeof path, "/tmp/motley-skew-%d", (int)getpid());
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, context->comm);
    if (context->rank == 0)
        SUCCEED(motley__file_write(path, bytes, used, &error));
    MPI_Barrier(context->comm);
    check_run(path, MOTLEY_F32, 1e-5);
    check_run(path, MOTLEY_BF16, 5e-3);
    if (context->rank == 0)
        unlink(path);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_follow_the_rows), cmocka_unit_test(doubt_takes_several_steps_and_then_rests),
        cmocka_unit_test(replicas_come_and_go),
    };
    int status = cmocka_run_group_tests_name("skew", tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
