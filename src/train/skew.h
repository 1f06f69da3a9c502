/* How a run's tokens spread over the experts, and whether its plan still suits that.
 *
 * Rows of every expert are smoothed over the steps.  By them every rank's experts' time is what was planned for it, in
 * proportion to the rows; the slowest against the best division there could be says how well the plan suits.  It is in
 * doubt when that has become worse than the plan promised by a margin, for several steps.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_SKEW_H
#define MOTLEY_TRAIN_SKEW_H

#include "plan/plan.h"

enum {
    MOTLEY__SKEW_WINDOW = 5,         /* steps that say the same in a row */
    MOTLEY__SKEW_QUIET = 20          /* steps without doubt behind a doubt; doubles each time that nothing came of it */
};

struct motley__skew {
    double *load;                    /* [E] smoothed rows of a step, all layers together; owned */
    int E, off;                      /* steps in a row that were off by the margin */
    int64_t steps, quiet, wait;      /* seen; still to be quiet; the next while */
};

/* Errors: MOTLEY_E_MEMORY. */
int motley__skew_open(int E, struct motley__skew *skew, struct motley_error *error);
void motley__skew_close(struct motley__skew *skew);

/* Seconds [R] of each rank's experts by these loads, from its planned ones, `change` [R] times as long; returns the
 * slowest.  *ideal: of the best division there could be.  Pure. */
double motley__skew_phases(const motley_plan *plan, const double *load, const double *change, double *seconds,
                           double *ideal);

/* The rows [E] of a step.  Returns 1 when the plan is in doubt; then call motley__skew_settle.  seconds [R] scratch. */
int motley__skew_observe(struct motley__skew *skew, const motley_plan *plan, const double *rows, const double *change,
                         double margin, double *seconds);

/* What was doubted has been decided: helped 1, another plan is in use. */
void motley__skew_settle(struct motley__skew *skew, int helped);

#endif
