/* A dense matrix, y = x W^T, as the one-expert ESMM or, in f32, through CLBlast, whichever the device does faster.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_LINEAR_H
#define MOTLEY_PRODUCT_LINEAR_H

#include "product/matrix.h"

/* CLBlast wants canonical f32, so the path is decided when a matrix is created: panel 1 with MOTLEY__DENSE_CLBLAST,
 * the family's panel with MOTLEY__DENSE_ESMM.  Anything but f32 takes the ESMM, whatever path is named: where `rows`
 * and `weights` differ (a gate) the one of mixed storage types with panel 1, and on a CPU backward and gradient
 * cl/linear.cl. */
enum motley__dense { MOTLEY__DENSE_ESMM, MOTLEY__DENSE_CLBLAST };

struct motley__linear {
    enum motley__dense path;
    enum motley_dtype rows, weights;        /* how x and dx are stored; how W, y and dy are.  dW is f32 */
    struct motley__matrix *w;               /* E = 1, [O,I]; owned */
    struct motley__matrix *dw;              /* the same shape, or NULL when never trained; owned */
};

/* Where a model keeps a weight and its gradient: as storage and gradient below. */
struct motley__weight_place {
    struct motley__buffer *storage, *gradient;
};

/* storage, gradient: NULL, or buffers (views of an arena) of motley__linear_numbers weights and floats, borrowed.
 * trained 0: no gradient is made. */
size_t motley__linear_numbers(const struct motley__device *device, enum motley__dense path, enum motley_dtype rows,
                              enum motley_dtype weights, int O, int I);
int motley__linear_create(struct motley__device *device, enum motley__dense path, enum motley_dtype rows,
                          enum motley_dtype weights, int O, int I, int trained, struct motley__buffer *storage,
                          struct motley__buffer *gradient, struct motley__linear **linear, struct motley_error *error);
void motley__linear_destroy(struct motley__linear *linear); /* accepts NULL */

/* y [T,O] = x [T,I] W^T (+ y when accumulate).  Enqueued. */
int motley__linear_forward(const struct motley__linear *linear, int T, const struct motley__buffer *x, int accumulate,
                           struct motley__buffer *y, struct motley_error *error);
/* dx [T,I] = dy [T,O] W (+ dx when accumulate).  Enqueued. */
int motley__linear_backward(const struct motley__linear *linear, int T, const struct motley__buffer *dy, int accumulate,
                            struct motley__buffer *dx, struct motley_error *error);
/* dW = dy^T x (+ dW when accumulate).  Enqueued. */
int motley__linear_gradient(const struct motley__linear *linear, int T, const struct motley__buffer *dy,
                            const struct motley__buffer *x, int accumulate, struct motley_error *error);

/* Time both paths on this device in f32 at [T,I]x[O,I]; the faster one, MOTLEY__DENSE_ESMM without CLBlast or on a tie.
 * Blocking, local; builds what it needs. */
int motley__linear_choose(struct motley__device *device, int T, int O, int I, enum motley__dense *path,
                          double *esmm_seconds, double *clblast_seconds, struct motley_error *error);

#endif
