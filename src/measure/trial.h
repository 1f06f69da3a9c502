/* The operator under the clock, on this rank alone: its weights and rows with random numbers, and timed passes over
 * them.
 *
 * Values matter: denormal numbers are slow, and zeros draw less power than a real step does.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_TRIAL_H
#define MOTLEY_MEASURE_TRIAL_H

#include "layer/expert.h"
#include "product/linear.h"
#include "product/tuning.h"

struct motley__trial; /* opaque */
enum {
    MOTLEY__TRIAL_EXPERTS = 64,      /* at most */
    MOTLEY__SKEWED_EXPERTS = 4       /* of trials that have skewed rows */
};

/* E experts of the shape (forward; backward too when trained); rows are set later. */
int motley__trial_experts(struct motley__device *device, const struct motley_layer_shape *shape, int E, int trained,
                          struct motley__trial **trial, struct motley_error *error);
/* What that takes on the device with so many rows for each expert. */
uint64_t motley__trial_bytes(const struct motley_layer_shape *shape, int E, int rows, int panel, int trained);
/* One dense product [T,I] x [O,I]^T with its backward and its gradient, 6 T O I operations. */
int motley__trial_dense(struct motley__device *device, enum motley__dense path, int T, int O, int I,
                        struct motley__trial **trial, struct motley_error *error);
/* A copy of so many bytes on the device. */
int motley__trial_copy(struct motley__device *device, size_t bytes, struct motley__trial **trial,
                       struct motley_error *error);
void motley__trial_destroy(struct motley__trial *trial); /* accepts NULL */

/* Experts: this many rows for each from now on.  Also runs one forward, so that kernels are built. */
int motley__trial_rows(struct motley__trial *trial, int rows, struct motley_error *error);

/* The same for rows as they fall in a step: of MOTLEY__SKEWED_EXPERTS half, half, all and twice the rows; another
 * number of experts has them evenly.  rows is 1 or even. */
int motley__trial_skewed_rows(struct motley__trial *trial, int rows, struct motley_error *error);

/* Seconds of one pass (experts: divided by E), the mean of `repeats` that are enqueued behind one another.  backward:
 * that direction alone; ignored by a dense trial and a copy. */
int motley__trial_pass(struct motley__trial *trial, int backward, int repeats, double *seconds,
                       struct motley_error *error);

/* Of experts that are trained and have rows: the seconds of one product as a step launches it, the mean of `repeats`,
 * all experts together; PRODUCT_SWIGLU only where the activation is swiglu. */
int motley__trial_product(struct motley__trial *trial, enum motley__product product, int repeats, double *seconds,
                          struct motley_error *error);
/* Run it once more; a hash of what that wrote into outputs that were zero. */
int motley__trial_result(struct motley__trial *trial, enum motley__product product, uint64_t *hash,
                         struct motley_error *error);

#endif
