/* What is to be planned, and what is known for it: the layer, its options, the ranks' measurements, the links.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COST_TASK_H
#define MOTLEY_COST_TASK_H

#include "cost/cost.h"
#include "profile/link.h"

/* What is planned for, and with what.  All borrowed but `widths`. */
struct motley__task {
    struct motley_layer_shape shape;
    struct motley_plan_options options;
    int R;
    const struct motley__profile_entry *const *entry; /* [R] */
    const struct motley__links *links;               /* NULL: moving costs nothing */
    struct motley__widths *widths;   /* [R] of an expert with its share of all tokens, all directions; owned */
    struct motley__widths *forward;  /* [R] of forward alone; owned */
    struct motley__whole *whole;     /* [R] owned, and so are the next two */
    double *speed;                   /* [R] whole experts a second, 0: the profile does not say */
    int *fastest;                    /* [R] the ranks, the fastest first; of equal ones the lower number */
    int grain;                       /* slices are cut at its multiples */
    double *share;                   /* [E] of the routed pairs that each expert gets and keeps, `kept` together; owned.
                                      * NULL: all get as many */
    double kept;                     /* of the routed pairs what no capacity drops, 1 without one */
};

/* What is owned, and grain, from the rest, and back to nothing.  Errors: MOTLEY_E_MEMORY. */
int motley__task_open(struct motley__task *task, struct motley_error *error);
void motley__task_close(struct motley__task *task);

/* Seconds of rank r for so wide a slice of one expert with such a share of all pairs, backward too when asked for; 0
 * when the profile does not say. */
double motley__task_expert(const struct motley__task *task, int r, double share, int width, int backward);

/* motley__cost_reach and motley__cost_reach_of (shares as task->share has them) with a capacity.  It drops last choices
 * first, so a token has as many as are kept of all, which is a number between two, with either of these. */
double motley__task_reach(const struct motley__task *task, double experts);
double motley__task_reach_of(const struct motley__task *task, const double *share, int count);

/* Seconds of all experts on rank r with so many tokens, spread as the task says; 0 when the profile does not say. */
double motley__task_all(const struct motley__task *task, int r, double tokens, int backward);

#endif
