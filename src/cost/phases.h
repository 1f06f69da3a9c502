/* What each phase of a step takes each rank: the terms that a prediction adds up (predict.h).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COST_PHASES_H
#define MOTLEY_COST_PHASES_H

#include "cost/predict.h"

/* One prediction under way. */
struct motley__predicting {
    const struct motley__task *task;
    const struct motley__division *division;
    struct motley__rank_cost *cost;
    struct motley__duty *duty;       /* [R] owned, and so are the next three */
    double *give, *take;             /* [R] of an exchange */
    double *seconds, *wire;          /* [R] what it takes, and the part in which the rank can compute */
    enum motley_exchange exchange;   /* how rows travel in this prediction */
    struct motley__prediction total;
    struct motley_error *error;
};

/* Each adds to cost, and what moves to total.  Errors: MOTLEY_E_MEMORY. */

/* Rows out and rows back in one direction of the step. */
int motley__phases_rows(struct motley__predicting *w, int backward);
/* The same through gateways, all directions; w->duty becomes that of their ranks. */
int motley__phases_hops(struct motley__predicting *w);
/* Weights of the whole layer to every rank, or their gradients back to who stores them. */
int motley__phases_weights(struct motley__predicting *w, int backward);
/* One rank alone: nothing moves but in its memory. */
void motley__phases_alone(struct motley__predicting *w);
/* The gate and the experts of rank r, and its memory. */
void motley__phases_compute(struct motley__predicting *w, int r);
/* What replicas make travel, for those who have them and for their owners. */
void motley__phases_replicas(struct motley__predicting *w);

#endif
