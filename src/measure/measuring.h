/* A measurement under way: what its parts share, and how all ranks do one thing at the same time.
 *
 *   measure.c          curves of experts
 *   measure_device.c   what else a device does: dense products, copies
 *   measuring.c        meeting, agreeing, and a window of time that is the same on all ranks
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_MEASURING_H
#define MOTLEY_MEASURE_MEASURING_H

#include "base/progress.h"
#include "measure/measure.h"
#include "measure/trial.h"

/* Experts on trial. */
struct motley__pool {
    int E;                                      /* 0: none fits */
    struct motley__trial *trial;                /* owned; NULL when E is 0 */
};

/* One call of motley__measure. */
struct motley__measuring {
    motley_context *context;                    /* borrowed, and so are the next three */
    const struct motley_layer_shape *shape;
    const struct motley__measure *what;
    struct motley__profile_entry *entry;
    int grid[MOTLEY__GRID], count;              /* the points */
    uint64_t room;                              /* bytes for the trial */
    struct motley__pool many, few;              /* for many rows, and for few if that is another */
    struct motley__progress progress;
    int done;                                   /* points of the progress */
    struct motley_error *error;
};

/* All ranks are here. */
int motley__measuring_meet(struct motley__measuring *w);

/* The first failure of any rank, else every rank's largest value. */
int motley__measuring_agree(struct motley__measuring *w, int failed, double *value);

/* The bits that any rank has set. */
int motley__measuring_agree_bits(struct motley__measuring *w, int *bits);

/* Repeat the pass for a window, all ranks from the same moment on; the point gets what came of it.  A pass takes about
 * own_seconds here and slowest_seconds on the slowest rank.  trial NULL: the others work.  Not agreed. */
int motley__measuring_window(struct motley__measuring *w, struct motley__trial *trial, int backward, double own_seconds,
                             double slowest_seconds, struct motley__point *point);

/* Samples that a window has at least, when the slowest rank's pass takes so long. */
int motley__measuring_fewest(double pass_seconds);

/* The dense line: missing here; measured, by all ranks.  Agreed. */
int motley__measure_misses_dense(const struct motley__measuring *w);
int motley__measure_dense(struct motley__measuring *w);

/* The move line.  Agreed. */
int motley__measure_move(struct motley__measuring *w);

/* The copy line, where memory is not the host's and the line is missing on any rank.  *changed set to 1 then.
 * Agreed. */
int motley__measure_copies(struct motley__measuring *w, int *changed);

#endif
