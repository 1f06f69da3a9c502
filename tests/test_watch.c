/* What a watched run weighs: phases as they have become, the best division there could be, the longest move.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "plan_cluster.h"
#include "train/watch.h"

enum { R = UNLIKE_RANKS };

static int near_to(double a, double b)
{
    return fabs(a - b) <= 1e-12 * fabs(b);
}

static void a_slow_rank_makes_room_for_a_better_plan(void **state)
{
    (void)state;
    const double same[R] = {1, 1, 1}, throttled[R] = {1, 4, 1};
    struct cluster cluster;
    double seconds[R];
    motley_plan *plan = unlike_plan(&cluster);
    assert_true(near_to(motley__watch_phases(plan, same, seconds), 4));
    assert_true(near_to(motley__watch_ideal(plan, seconds), 4));
    assert_true(near_to(motley__watch_phases(plan, throttled, seconds), 16));
    /* shares a second: 1/2 in 4, 1/4 in 16, 1/4 in 4 */
    assert_true(near_to(motley__watch_ideal(plan, seconds), 1 / (0.125 + 0.25 / 16 + 0.0625)));
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

static void ranks_without_experts_have_no_say(void **state)
{
    (void)state;
    const double change[R] = {2, 1, 1};
    struct cluster cluster;
    double seconds[R];
    motley_plan *plan = unlike_plan(&cluster);
    plan->rank[2].forward = plan->rank[2].backward = (struct motley__phases){0};
    assert_true(near_to(motley__watch_phases(plan, change, seconds), 8));
    assert_true(seconds[2] == 0);
    assert_true(near_to(motley__watch_ideal(plan, seconds), 1 / (0.5 / 8 + 0.25 / 4)));
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

/* Weights to everyone are what data mode has to move in a layer. */
static void no_move_takes_longer_than_everything_to_everyone(void **state)
{
    (void)state;
    struct cluster cluster;
    motley_plan *plan = unlike_plan(&cluster);
    int found = 0;
    for (int i = 0; i < plan->alternatives; i++)
        if (plan->alternative[i].mode == MOTLEY_MODE_DATA) {
            assert_true(plan->alternative[i].fits);
            plan->alternative[i].predicted.forward.weights = 0.5;
            found = 1;
        }
    assert_true(found);
    assert_true(near_to(motley__watch_move(plan, 3, 2), 3 * 0.5 * 3));
    plan->shape.dtype = MOTLEY_BF16; /* three f32 numbers are six times a weight */
    assert_true(near_to(motley__watch_move(plan, 3, 3), 3 * 0.5 * 7));
    plan->alternatives = 0;
    assert_true(motley__watch_move(plan, 3, 2) == 0);
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_rank_makes_room_for_a_better_plan),
        cmocka_unit_test(ranks_without_experts_have_no_say),
        cmocka_unit_test(no_move_takes_longer_than_everything_to_everyone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
