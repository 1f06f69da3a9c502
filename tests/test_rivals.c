/* Who is tried: candidates whose predictions are near, unlike each other, and left open by the options.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan/rivals.h"
#include "plan_cluster.h"

static const double SLOW[MOST_RANKS] = {1, 2, 1, 3};

static motley_plan *plan_in_mode(const struct cluster *cluster, int R, enum motley_mode mode)
{
    const struct motley_layer_shape shape = fixture_shape(7, 2);
    const struct motley_plan_options options = {.tokens = 37, .backward = 1, .mode = mode};
    motley_plan *plan;
    assert_int_equal(motley__plan_make(&shape, &options, R, cluster->entry, NULL, &plan, NULL), 0);
    return plan;
}

static void near_and_unlike(int R)
{
    struct cluster cluster;
    const struct motley_layer_shape shape = fixture_shape(7, 2);
    make_cluster(&cluster, &shape, R, SLOW);
    motley_plan *plan = plan_in_mode(&cluster, R, MOTLEY_MODE_AUTO);
    struct motley__candidate rival[MOTLEY__RIVALS];
    if (R == 1) { /* there is but one way */
        assert_int_equal(motley__rivals(plan, rival), 0);
    } else {
        make_alike(plan, 1);
        const int count = motley__rivals(plan, rival);
        assert_in_range(count, 2, MOTLEY__RIVAL_MODES);
        assert_int_equal(rival[0].alternative, plan->chosen);
        const int other = rival[1].alternative;
        plan->alternative[other].predicted.way[0].seconds *= 1.11;
        assert_int_equal(motley__rivals(plan, rival), count == 2 ? 0 : count - 1);
        plan->alternative[other].predicted = plan->alternative[plan->chosen].predicted; /* the same division */
        assert_int_equal(motley__rivals(plan, rival), count == 2 ? 0 : count - 1);
        make_alike(plan, 1);
        plan->alternative[other].fits = 0;
        assert_int_equal(motley__rivals(plan, rival), count == 2 ? 0 : count - 1);
        plan->options.mode = MOTLEY_MODE_EXPERT; /* asked for: nobody is to choose */
        assert_int_equal(motley__rivals(plan, rival), 0);
    }
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

/* Modes come first, each with its best way; then ways that are near, of any of them; in a mode that was asked for its
 * own ways alone. */
static void ways_too(int R)
{
    struct cluster cluster;
    const struct motley_layer_shape shape = fixture_shape(7, 2);
    struct motley__candidate rival[MOTLEY__RIVALS];
    make_cluster(&cluster, &shape, R, SLOW);
    motley_plan *plan = plan_in_mode(&cluster, R, MOTLEY_MODE_AUTO);
    make_alike(plan, 4);
    const int count = motley__rivals(plan, rival);
    int modes = 0, best;
    assert_int_equal(count, R == 1 ? 4 : MOTLEY__RIVALS);
    for (int i = 0; i < count; i++) {
        assert_true(rival[i].way > 0 || modes == i);
        modes += rival[i].way == 0;
        for (int j = 0; j < i; j++)
            assert_true(rival[j].alternative != rival[i].alternative || rival[j].way != rival[i].way);
    }
    assert_in_range(modes, R == 1 ? 1 : 2, MOTLEY__RIVAL_MODES);
    motley_plan_destroy(plan);

    plan = plan_in_mode(&cluster, R, MOTLEY_MODE_EXPERT);
    make_alike(plan, 4);
    best = plan->chosen;
    plan->alternative[best].predicted.way[2].seconds *= 1.11; /* four chunks are too far off */
    assert_int_equal(motley__rivals(plan, rival), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rival[i].alternative, best);
        assert_int_equal(rival[i].way, i < 2 ? i : 3);
    }
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
}

static void rivals_are_near_and_unlike(void **state)
{
    (void)state;
    for (int R = 1; R <= MOST_RANKS; R++)
        near_and_unlike(R);
}

static void ways_are_rivals_too(void **state)
{
    (void)state;
    for (int R = 1; R <= MOST_RANKS; R++)
        ways_too(R);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rivals_are_near_and_unlike),
        cmocka_unit_test(ways_are_rivals_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
