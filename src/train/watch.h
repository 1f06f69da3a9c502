/* Watching a run: has its plan come away from what the devices now do, and would another pay?
 *
 * The seconds of every rank's experts in every step are held against what the plan foretells for the rows they had
 * (plan/drift.h).  When that is off for several steps, the ranks first ask whether the best division there could be
 * would pay for looking closer; only then are the devices measured again, and only when the plan that comes of it
 * pays, too, experts move to it (motley__trainer_move), between two steps.  A line says what was found and done.
 *
 * Where tokens come to spread over the experts otherwise than planned (skew.h), another plan is made from what was
 * measured already, for the rows as they are; it must pay likewise.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_WATCH_H
#define MOTLEY_TRAIN_WATCH_H

#include "plan/plan.h"

struct motley_trainer;
struct motley__watch; /* opaque */

/* Begin to watch; not where shares are even, the plan is to be kept or one rank is alone.  Errors: MOTLEY_E_MEMORY. */
int motley__watch_open(struct motley_trainer *trainer, struct motley_error *error);

void motley__watch_close(struct motley__watch *watch); /* accepts NULL */

/* Behind a step that took so many seconds on this rank.  Collective.  Errors: those of planning and moving. */
int motley__trainer_watch(struct motley_trainer *trainer, double step_seconds, struct motley_error *error);

/* Seconds of the experts' phase of each rank [R] written, as planned but `change` [R] times as long; returns the
 * slowest.  Pure. */
double motley__watch_phases(const motley_plan *plan, const double *change, double *seconds);

/* The same phase if the work could be divided without remainder, each rank as fast as it is.  Pure. */
double motley__watch_ideal(const motley_plan *plan, const double *seconds);

/* Seconds in which all experts of `layers` layers, with `numbers` further numbers kept beside each weight, would
 * travel to everyone: no move takes longer.  0: not known.  Pure. */
double motley__watch_move(const motley_plan *plan, int layers, int numbers);

#endif
