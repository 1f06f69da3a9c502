/* Predictions of one mode, and seconds worked out by hand beside them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PLAN_PREDICT_H
#define MOTLEY_TESTS_PLAN_PREDICT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "allocate/mode.h"

static inline void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-9 * fabs(expected)))
        fail_msg("found %.12g, expected %.12g", found, expected);
}

/* The task as it is divided in this mode.  cost [R] written. */
static inline struct motley__prediction predict(const struct motley__task *task, enum motley_mode mode, int group,
                                                struct motley__rank_cost *cost)
{
    struct motley__division division;
    struct motley__prediction prediction;
    assert_int_equal(motley__mode_divide(task, mode, group, &division, NULL), 0);
    assert_int_equal(motley__predict(task, &division, cost, &prediction, NULL), 0);
    motley__division_clear(&division);
    return prediction;
}

#endif
