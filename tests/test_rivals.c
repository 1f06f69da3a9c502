/* Who is tried: candidates whose predictions are near, unlike each other, and left open by the options; and lines that
 * say what trials took.
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

/* How many are read of this line with another part. */
static int outcomes_of(const char *good, const char *part, const char *with)
{
    struct motley__profile profile = {0};
    char line[512];
    const char *at = strstr(good, part);
    snprintf(line, sizeof line, "%.*s%s%s", (int)(at - good), good, with, at + strlen(part));
    assert_int_equal(motley__profile_parse(line, "text", NULL, &profile, NULL), 0);
    const int outcomes = profile.outcomes;
    motley__profile_clear(&profile);
    return outcomes;
}

static void bad_outcomes_are_dropped(void **state)
{
    (void)state;
    static const char good[] = "outcome ranks=00c0ffee00c0ffee of=2 direction=backward D=8 F=16 E=4 K=2 "
                               "activation=swiglu bias=0 dtype=f32 tokens=1024 mode=model group=0 exchange=linear "
                               "pipeline=2 seconds=0.5 samples=5\n";
    static const struct {
        const char *part, *with;
    } truths[] = {{"", ""}, {"exchange=linear pipeline=2 ", ""}}, lies[] = {
        {"exchange=linear", ""}, {"pipeline=2", ""}, {"pipeline=2", "pipeline=0"}, {"=linear", "=auto"},
        {"=linear", "=none"}, {"mode=model", "mode=auto"}, {"mode=model", "mode=none"}, {"seconds=0.5", "seconds=0"},
        {"seconds=0.5", "seconds=nan"}, {"of=2", "of=0"}, {"D=8", "D=-8"}, {"samples=5", "samples=0"},
        {"K=2", "L=2"}, {"bias=0", "bias=2"}, {"ranks=00", "ranks=xx"},
    };
    for (size_t i = 0; i < sizeof truths / sizeof *truths; i++)
        assert_int_equal(outcomes_of(good, truths[i].part, truths[i].with), 1);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        assert_int_equal(outcomes_of(good, lies[i].part, lies[i].with), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rivals_are_near_and_unlike),
        cmocka_unit_test(ways_are_rivals_too),
        cmocka_unit_test(bad_outcomes_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
