/* The experts of one rank: their weights, and their forward and backward over rows sorted by expert.
 *
 *   forward    h = act(x W1^T + b1)  [P,F];  o = h W2^T + b2  [P,D]
 *   backward   u = dy W2;  (dw, dh1, w h) = activation backward;  dx = dh1 W1 (+ dh3 W3)  [P,D]
 *   gradients  dW2 = ESTMM(dy, w h);  db2 = ESS(w dy);  dW1 = ESTMM(dh1, x);  db1 = ESS(dh1)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_EXPERT_H
#define MOTLEY_LAYER_EXPERT_H

#include <motley/plan.h>
#include "product/matrix.h"
#include "product/rows.h"

struct motley__experts {
    struct motley__device *device;                 /* borrowed */
    struct motley_layer_shape shape;               /* F: of the slice */
    int E;                                         /* local experts, 0 included */
    struct motley__matrix *w1, *w2, *w3;           /* [F,D], [D,F], [F,D] (swiglu, else NULL); owned */
    struct motley__matrix *b1, *b2;                /* E matrices [1,F], [1,D], panel 1 (bias, else NULL; b2 on
                                                    * the slice that begins at 0); owned */
    struct motley__matrix *dw1, *dw2, *dw3, *db1, *db2;  /* gradients; NULL when not trained; owned */
};

/* Rows of a step, stored as shape.dtype (weight and dw are f32).  Everything borrowed. */
struct motley__expert_step {
    struct motley__ragged ragged;
    struct motley__rows x;                         /* width D */
    struct motley__buffer *pre, *pre3;             /* [P,F]; NULL in inference (pre3 only for swiglu) */
    struct motley__buffer *h;                      /* [P,F] */
    struct motley__buffer *o;                      /* [P,D] forward: unweighted outputs; backward: dx of each pair */
    /* backward only */
    struct motley__rows dy;                        /* width D, the same index as x */
    const struct motley__buffer *weight;           /* [P] */
    struct motley__buffer *u;                      /* [P,F] scratch */
    struct motley__buffer *dw;                     /* [P] written: gradient of the routing weight */
    int accumulate;                                /* gradients: 1: += */
};

/* begin: where the slice of the hidden dimension begins that shape->F is the width of. */
int motley__experts_create(struct motley__device *device, const struct motley_layer_shape *shape, int E, int begin,
                           int trained, struct motley__experts **experts, struct motley_error *error);

/* The first E of them as experts of their own, weights and gradients in the same buffers; destroy them before the
 * others.  Errors: MOTLEY_E_MEMORY. */
int motley__experts_view(const struct motley__experts *experts, int E, struct motley__experts **view,
                         struct motley_error *error);
void motley__experts_destroy(struct motley__experts *experts); /* accepts NULL */

/* Enqueued.  P = 0 is fine; gradients are then still zeroed (unless accumulate).  backward gives what other ranks wait
 * for, gradients comes behind it and reads what it left in u, h and pre3. */
int motley__experts_forward(const struct motley__experts *experts, const struct motley__expert_step *step,
                            struct motley_error *error);
int motley__experts_backward(const struct motley__experts *experts, const struct motley__expert_step *step,
                             struct motley_error *error);
int motley__experts_gradients(const struct motley__experts *experts, const struct motley__expert_step *step,
                              struct motley_error *error);

/* Device bytes of the weights, of so many copies of them in f32 (gradients, moments), and so many of the matrices alone
 * (masters: biases are f32 already). */
uint64_t motley__experts_bytes(const struct motley_layer_shape *shape, int E, int begin, int panel, int copies,
                               int masters);

/* Floating-point operations of P rows, forward or backward. */
double motley__experts_flops(const struct motley_layer_shape *shape, double P, int backward);

#endif
