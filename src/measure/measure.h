/* What each device really does: the real operator at the real sizes, all ranks at the same time.
 *
 * Ranks that share cores or a memory bus load each other in a step, so they must in a measurement: every point is
 * a window of time, the same on all ranks, in which each rank repeats its pass.  A window is long enough for several
 * passes of the slowest rank and for the time slices of a throttled one.
 *
 * Each point is a number of rows out of 1, 4, 16, 64, 256, 1024: the first that reaches the planned rows, and two below
 * it.  They are timed in ascending order, each foretelling what the next costs; one that would take too long is not
 * timed but drawn on from those below.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_MEASURE_H
#define MOTLEY_MEASURE_MEASURE_H

#include "context.h"
#include "profile/profile.h"

struct motley__measure {
    double rows;               /* planned rows of an expert */
    int backward;              /* 1: both directions */
    double seconds;            /* to spend on the curves, kernel builds not counted; 0: 9 */
    int anew;                  /* 1: forget what the profile has for this shape and its slice */
    int unchecked;             /* 1: curves that are there are not timed again */
};

/* Fill `entry` of this rank with what the shape needs and it does not have: the curves, and once per device the dense
 * line, what copies on the device take, and the copy line.  Curves that are there are checked first: one point is
 * timed again, by all ranks together, and where three tries all differ from it by more than 10% that rank's curves of
 * the shape and its slice are forgotten, and its dense and move lines.  A device that cannot hold one expert is left
 * without a curve.  *changed = 1 when any rank learned something.
 *
 * Collective; agreed.  Errors: those of devices, MOTLEY_E_COMM. */
int motley__measure(motley_context *context, const struct motley_layer_shape *shape, const struct motley__measure *what,
                    struct motley__profile_entry *entry, int *changed, struct motley_error *error);

/* The points for so many rows: numbers of rows written to grid [MOTLEY__GRID], ascending; returns how many.  Pure. */
enum { MOTLEY__GRID = 3 };
int motley__measure_grid(double rows, int grid[MOTLEY__GRID]);

#endif
