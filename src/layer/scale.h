/* Weights before the experts: what an expert is given is weight x, and what it returns counts as it is.
 *
 * So the products run on scaled rows [P,D], one for each pair: the one place where rows are copied.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_SCALE_H
#define MOTLEY_LAYER_SCALE_H

#include "product/rows.h"

struct motley__scale {
    int first, P, D;                        /* pairs first .. first + P - 1 */
    struct motley__rows x;                  /* width D */
    const struct motley__buffer *weight;    /* by pair */
};

/* scaled[p,:] = weight[p] x[row p,:], stored as x is; ones[p] = 1, the weight of what the expert returns. */
int motley__scale(struct motley__device *device, const struct motley__scale *scale, struct motley__buffer *scaled,
                  struct motley__buffer *ones, struct motley_error *error);
/* dx [.,D] by pair, the gradient of the scaled rows, becomes that of the rows; dw [.] by pair written. */
int motley__scale_backward(struct motley__device *device, const struct motley__scale *scale, struct motley__buffer *dx,
                           struct motley__buffer *dw, struct motley_error *error);

#endif
