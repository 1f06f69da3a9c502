/* AdamW over a list of parameters: every rank updates what it holds.
 *
 * The moments have the layout of the weights they belong to, experts and padding included, and so has the f32 master of
 * a weight that is stored otherwise: the optimizer updates the master and rounds it into the weight.  Small updates,
 * which the rounding of a two-byte weight would swallow, add up in it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_ADAMW_H
#define MOTLEY_TRAIN_ADAMW_H

#include "model/parameter.h"

struct motley__adamw {
    struct motley__device *device;              /* borrowed */
    const struct motley__parameter *parameter;  /* [count] borrowed */
    int count;
    struct motley__matrix **m, **v;             /* [count] first and second moment; owned, NULL of what is
                                                   counted (parameter.h) */
    struct motley__matrix **master;             /* [count] owned, or the weight itself where that is f32 */
    double beta1, beta2, epsilon, decay;
};

/* Moments are zero, masters what the weights are.  beta1 0.9, beta2 0.95, epsilon 1e-8, decay 0.1 unless changed in the
 * struct.  Local. */
int motley__adamw_create(struct motley__device *device, const struct motley__parameter *parameters, int count,
                         struct motley__adamw **adamw, struct motley_error *error);
void motley__adamw_destroy(struct motley__adamw *adamw); /* accepts NULL */

/* State of parameter i anew, in the layout that its weight has now: zero moments.  before: the old first and second
 * moment and master (NULL where the weight is its own), owned by the caller from now on. */
int motley__adamw_renew(struct motley__adamw *adamw, int i, struct motley__matrix *before[3],
                        struct motley_error *error);

/* Step 1, 2, ... (bias correction) with gradients multiplied by `scale`.  Enqueued. */
int motley__adamw_step(struct motley__adamw *adamw, int64_t step, double learning_rate, double scale,
                       struct motley_error *error);

/* Weights from their masters, after these were set.  Enqueued. */
int motley__adamw_round(struct motley__adamw *adamw, struct motley_error *error);

/* Device bytes of moments and masters. */
uint64_t motley__adamw_bytes(const struct motley__parameter *parameters, int count);

#endif
