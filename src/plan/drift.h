/* Has a plan come away from what the devices now do?
 *
 * Every step tells, for each rank, the seconds its experts took and the seconds they were predicted to take for the
 * rows that they had.  Their ratio is never exactly 1: other work shares the device, and routing is not even.  What it
 * is in the first steps behind a measurement is therefore taken as normal, and the plan is in doubt when the median
 * of the last few steps has left that by a margin on some rank.  A median outlives single steps that something
 * disturbed.
 *
 * Doubt costs a measurement, and moving costs time that must come back before training ends.  Behind a doubt that came
 * soon after another there is none for a while, which doubles each time, so devices whose speed swings are not
 * followed back and forth.
 *
 * Pure: the same numbers on every rank give the same decisions on every rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_DRIFT_H
#define MOTLEY_PLAN_DRIFT_H

#include <stdint.h>

#include "base/error.h"

enum {
    MOTLEY__DRIFT_WINDOW = 5,        /* steps whose median is looked at */
    MOTLEY__DRIFT_QUIET = 10,        /* steps without doubt behind the second doubt; doubles from there */
    MOTLEY__DRIFT_CALM = 100         /* steps in which doubt was possible and absent, after which earlier ones are
                                      * forgotten */
};

struct motley__drift {
    int R;
    double margin;                   /* 0.25: ratios 1.25 times as large or as small are in order */
    double *ratio;                   /* [R][WINDOW] of the last steps, oldest overwritten first; owned */
    double *normal;                  /* [R] of the plan in use; owned */
    int64_t steps;                   /* seen under this plan */
    int64_t quiet, since;            /* steps that doubt still has to wait; steps it could have come since the last */
    int64_t wait;                    /* the next while */
};

/* Errors: MOTLEY_E_MEMORY. */
int motley__drift_create(int R, double margin, struct motley__drift **drift, struct motley_error *error);
void motley__drift_destroy(struct motley__drift *drift); /* accepts NULL */

/* One step.  observed, predicted [R] seconds; a rank with 0 in either says nothing.  Returns 1 when the plan is in
 * doubt: measure, decide, and call motley__drift_settle. */
int motley__drift_observe(struct motley__drift *drift, const double *observed, const double *predicted);

/* How much slower (above 1) or faster than normal a rank has become: the median of the last steps.  1: not known. */
double motley__drift_change(const struct motley__drift *drift, int rank);

/* What was doubted has been decided: the next steps say what is normal from now on. */
void motley__drift_settle(struct motley__drift *drift);

/* There is another plan, but from the same measurements: what is normal stays, the steps before no longer count. */
void motley__drift_forget(struct motley__drift *drift);

/* Does a new plan pay?  Seconds of a step under the old and the new one, both with what is now known; of the move; and
 * steps to come.  It must give back twice what the move costs, and at least a twentieth of each step. */
int motley__drift_pays(double old_step, double new_step, double move, int64_t steps_left);

#endif
