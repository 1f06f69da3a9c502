/* The executor on made-up lists: order, waiting, failures, silent peers, and what it says of time.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "step/step.h"
#include "tests/device.h"

/* A made-up operator: writes its letter when it begins; as communication it is done after some seconds. */
struct act {
    char letter;
    char *log;
    double lasts, begun;    /* lasts < 0: never done */
    int fails;
};

static int begin(void *self, struct motley_error *error)
{
    struct act *act = self;
    size_t n = strlen(act->log);

    act->log[n] = act->letter;
    act->log[n + 1] = 0;
    act->begun = motley__seconds();
    return act->fails ? motley__fail(error, MOTLEY_E_INVALID, "%c was told to fail", act->letter) : 0;
}

static int test(void *request, int *done, struct motley_error *error)
{
    struct act *act = request;

    (void)error;
    *done = act->lasts >= 0 && motley__seconds() - act->begun >= act->lasts;
    if (*done) {
        size_t n = strlen(act->log);

        act->log[n] = (char)(act->letter - 'A' + 'a');
        act->log[n + 1] = 0;
    }
    return 0;
}

static void missing(const void *request, char *text, int size)
{
    (void)request;
    snprintf(text, (size_t)size, "rank 3");
}

static const struct motley__ops none;

static struct motley__ops compute(struct motley__step *step, struct act *act, struct motley__ops after)
{
    return motley__step_add(step, (struct motley__op){.name = "compute", .stream = MOTLEY__COMPUTATION,
        .phase = MOTLEY__PHASE_EXPERTS, .after = after, .begin = begin, .self = act});
}

static struct motley__ops communicate(struct motley__step *step, struct act *act, struct motley__ops after)
{
    return motley__step_add(step, (struct motley__op){.name = "exchange", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_DISPATCH, .after = after, .begin = begin, .self = act, .test = test, .missing = missing,
        .request = act});
}

static int open_device(void **state)
{
    return motley__test_device((struct motley__device **)state);
}

static int close_device(void **state)
{
    motley__device_close(*state);
    return 0;
}

static void lists_run_in_order(void **state)
{
    char log[32] = "";
    struct act a = {'A', log, 0, 0, 0}, b = {'B', log, 0, 0, 0}, c = {'C', log, 0, 0, 0};
    const struct motley__executor executor = {.device = *state, .time_limit = 10};
    struct motley__step step = {0};
    struct motley__step_times times;
    struct motley_error error = {0};

    compute(&step, &a, none);
    compute(&step, &b, none);
    compute(&step, &c, none);
    assert_int_equal(motley__execute(&executor, &step, &times, &error), 0);
    assert_string_equal(log, "ABC");
    assert_true(times.step >= 0 && times.comm == 0 && times.comm_hidden == 0);
}

static void an_empty_list_is_done(void **state)
{
    const struct motley__executor executor = {.device = *state, .time_limit = 10};
    const struct motley__step step = {0};
    struct motley__step_times times;

    assert_int_equal(motley__execute(&executor, &step, &times, NULL), 0);
    assert_true(times.step == 0);
}

/* B waits for the message a; C does not and begins while it is in flight. */
static void what_does_not_wait_overlaps(void **state)
{
    char log[32] = "";
    struct act a = {'A', log, 0.05, 0, 0}, c = {'C', log, 0, 0, 0}, b = {'B', log, 0, 0, 0};
    const struct motley__executor executor = {.device = *state, .time_limit = 10};
    struct motley__step step = {0};
    struct motley__step_times times;
    struct motley__ops arrived;

    arrived = communicate(&step, &a, none);
    compute(&step, &c, none);
    compute(&step, &b, arrived);
    assert_int_equal(motley__execute(&executor, &step, &times, NULL), 0);
    assert_string_equal(log, "ACaB");
    assert_true(times.comm >= 0.05 && times.step >= times.comm);
    assert_true(times.comm_hidden >= 0 && times.comm_hidden <= times.comm);
    assert_true(times.phase[MOTLEY__PHASE_DISPATCH] >= 0.05);
}

/* Two messages in flight at the same time are one stretch of communication. */
static void overlapping_messages_count_once(void **state)
{
    char log[32] = "";
    struct act a = {'A', log, 0.08, 0, 0}, b = {'B', log, 0.04, 0, 0};
    const struct motley__executor executor = {.device = *state, .time_limit = 10};
    struct motley__step step = {0};
    struct motley__step_times times;

    communicate(&step, &a, none);
    communicate(&step, &b, none);
    assert_int_equal(motley__execute(&executor, &step, &times, NULL), 0);
    assert_string_equal(log, "ABba");
    assert_true(times.comm <= times.step + 1e-6);
    assert_true(times.phase[MOTLEY__PHASE_DISPATCH] > times.comm);
}

static void a_failure_ends_the_list(void **state)
{
    char log[32] = "";
    struct act a = {'A', log, 0, 0, 1}, b = {'B', log, 0, 0, 0};
    const struct motley__executor executor = {.device = *state, .time_limit = 10};
    struct motley__step step = {0};
    struct motley__step_times times;
    struct motley_error error = {0};

    compute(&step, &a, none);
    compute(&step, &b, none);
    assert_int_equal(motley__execute(&executor, &step, &times, &error), MOTLEY_E_INVALID);
    assert_string_equal(error.text, "A was told to fail");
    assert_string_equal(log, "A");
}

static void a_silent_peer_is_an_error_that_names_it(void **state)
{
    char log[32] = "";
    struct act a = {'A', log, -1, 0, 0};
    const struct motley__executor executor = {.device = *state, .time_limit = 0.1};
    struct motley__step step = {0};
    struct motley__step_times times;
    struct motley_error error = {0};
    double began = motley__seconds();

    communicate(&step, &a, none);
    assert_int_equal(motley__execute(&executor, &step, &times, &error), MOTLEY_E_COMM);
    assert_non_null(strstr(error.text, "rank 3"));
    assert_non_null(strstr(error.text, "--time-limit"));
    assert_true(motley__seconds() - began < 5);
}

/* Against one flag for each operator, across the words of a set. */
static void sets_hold_what_was_added(void **state)
{
    const int added[] = {0, 1, 63, 64, 127, 128, 200, MOTLEY__STEP_LIMIT - 1}, count = sizeof added / sizeof *added;
    struct motley__ops all = none;
    char has[MOTLEY__STEP_LIMIT] = {0};

    (void)state;
    for (int n = 0; n < count; n++) {
        struct motley__ops one = none;

        motley__ops_add(&one, added[n]);
        assert_false(motley__ops_within(&one, &all));
        assert_true(motley__ops_within(&all, &all) && motley__ops_within(&none, &all));
        all = motley__ops_both(all, one);
        has[added[n]] = 1;
        for (int i = 0; i < MOTLEY__STEP_LIMIT; i++)
            assert_int_equal(motley__ops_has(&all, i), has[i]);
        assert_true(motley__ops_within(&one, &all));
    }
}

/* As many operators as the set of those done has bits, each behind the one before. */
static void the_longest_list_runs(void **state)
{
    char log[MOTLEY__STEP_LIMIT + 1] = "";
    struct act a = {'A', log, 0, 0, 0};
    const struct motley__executor executor = {.device = *state, .time_limit = 10};
    struct motley__step step = {0};
    struct motley__step_times times;
    struct motley__ops before = none;

    for (int i = 0; i < MOTLEY__STEP_LIMIT; i++)
        before = compute(&step, &a, before);
    assert_int_equal(motley__execute(&executor, &step, &times, NULL), 0);
    assert_int_equal(strlen(log), MOTLEY__STEP_LIMIT);
}

/* One more is refused before the first has begun. */
static void a_longer_list_is_refused(void **state)
{
    char log[MOTLEY__STEP_LIMIT + 2] = "";
    struct act a = {'A', log, 0, 0, 0};
    const struct motley__executor executor = {.device = *state, .time_limit = 10};
    struct motley__step step = {0};
    struct motley__step_times times;
    struct motley_error error = {0};

    for (int i = 0; i <= MOTLEY__STEP_LIMIT; i++)
        compute(&step, &a, none);
    assert_int_equal(motley__execute(&executor, &step, &times, &error), MOTLEY_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "257 operators where at most 256 are possible"));
    assert_int_equal(strlen(log), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_run_in_order),
        cmocka_unit_test(an_empty_list_is_done),
        cmocka_unit_test(what_does_not_wait_overlaps),
        cmocka_unit_test(overlapping_messages_count_once),
        cmocka_unit_test(a_failure_ends_the_list),
        cmocka_unit_test(a_silent_peer_is_an_error_that_names_it),
        cmocka_unit_test(sets_hold_what_was_added),
        cmocka_unit_test(the_longest_list_runs),
        cmocka_unit_test(a_longer_list_is_refused),
    };

    return cmocka_run_group_tests(tests, open_device, close_device);
}
