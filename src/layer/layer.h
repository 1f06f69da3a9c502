/* The layer as models use it: buffers instead of tensors, weights reachable for the optimizer.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_LAYER_H
#define MOTLEY_LAYER_LAYER_H

#include <motley/layer.h>
#include "context.h"
#include "layer/expert.h"
#include "plan/plan.h"
#include "product/linear.h"

/* Buffers that live only inside one step; layers of one model share one (destroy after all of them). */
struct motley__scratch; /* opaque */
struct motley__scratch *motley__scratch_create(void);
void motley__scratch_destroy(struct motley__scratch *scratch); /* accepts NULL */

/* The weights of a gate, by its kind: returns how many, `which` written.  The first is its matrix. */
enum { MOTLEY__GATE_WEIGHTS_MOST = 4 };
int motley__gate_weights(const struct motley_layer_shape *shape, enum motley_weight which[MOTLEY__GATE_WEIGHTS_MOST]);

/* trained 0: inference, backward refused.  gate: a place for each of its weights, or NULL; borrowed for the call. */
int motley__layer_create(motley_context *context, const motley_plan *plan, int trained, struct motley__scratch *scratch,
                         const struct motley__weight_place *gate, motley_layer **layer, struct motley_error *error);

/* What the layer has of a weight, or of its gradient; NULL where there is none.  Borrowed. */
struct motley__matrix *motley__layer_matrix(const motley_layer *layer, enum motley_weight which, int gradient);

/* The experts of this rank's tokens in the last forward: [T,K] host, written. */
int motley__layer_choices(const motley_layer *layer, int32_t *indices, struct motley_error *error);

/* motley_layer_set_routing, local: the caller sees to it that all ranks give the same. */
int motley__layer_set_routing(motley_layer *layer, const struct motley_routing *routing, struct motley_error *error);

/* Pairs that this rank's experts had in the last forward. */
int motley__layer_pairs(const motley_layer *layer);

/* Begins to read them expert by expert; when the device's queue has been waited for, add_rows adds them.
 * To rows [E], of every expert: the same pairs, if this rank has the first slice of it, so that over all ranks every
 * pair counts once. */
int motley__layer_read_rows(const motley_layer *layer, struct motley_error *error);
void motley__layer_add_rows(const motley_layer *layer, double *rows);

struct motley__experts *motley__layer_experts(motley_layer *layer); /* what this rank stores of them */
/* Of the auxiliary losses; the same on all ranks. */
struct motley_losses *motley__layer_coefficients(motley_layer *layer);

/* Layers of one model that share a scratch, in the order in which their forward is called (and, the other way round,
 * their backward): in data mode each fetches the next one's weights ahead, and leaves its gradients under way to the
 * ranks that store them until the next backward.  previous, next: NULL at the ends; borrowed. */
void motley__layer_link(motley_layer *layer, motley_layer *previous, motley_layer *next);
/* The weights will be needed soon: in data mode begin to fetch them.  Collective. */
int motley__layer_prefetch(motley_layer *layer, struct motley_error *error);

/* x, y, dy, dx [T,D] device.  y += ... and dx += ... when accumulate (the residual stream).
 * Collective. */
int motley__layer_forward(motley_layer *layer, int T, const struct motley__buffer *x, const int32_t *forced,
                          int accumulate, struct motley__buffer *y, struct motley_error *error);
int motley__layer_backward(motley_layer *layer, int T, const struct motley__buffer *dy, int accumulate,
                           struct motley__buffer *dx, struct motley_error *error);

#endif
