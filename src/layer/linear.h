/* A dense f32 matrix, y = x W^T, as the one-expert ESMM or through CLBlast, whichever the device does faster.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_LINEAR_H
#define MOTLEY_LAYER_LINEAR_H

#include "layer/matrix.h"

/* Rows that are not f32 take, on either path and with panel 1, the ESMM of mixed storage types; backward and gradient
 * on a CPU cl/linear.cl.
 * CLBlast wants canonical weights, so the path is decided when a matrix is created: panel 1 with
 * MOTLEY__DENSE_CLBLAST, the family's panel with MOTLEY__DENSE_ESMM. */
enum motley__dense { MOTLEY__DENSE_ESMM, MOTLEY__DENSE_CLBLAST };

struct motley__linear {
    enum motley__dense path;
    enum motley_dtype dtype;                /* how x and dx are stored; y and dy are f32 */
    struct motley__matrix *w;               /* E = 1, [O,I]; owned */
    struct motley__matrix *dw;              /* the same shape, or NULL when never trained; owned */
};

/* storage, gradient: NULL, or buffers (views of an arena) of motley__linear_bytes each, borrowed.
 * trained 0: no gradient is made. */
size_t motley__linear_bytes(const struct motley__device *device, enum motley__dense path, enum motley_dtype dtype,
                            int O, int I);
int motley__linear_create(struct motley__device *device, enum motley__dense path, enum motley_dtype dtype, int O,
                          int I, int trained, struct motley__buffer *storage, struct motley__buffer *gradient,
                          struct motley__linear **linear, struct motley_error *error);
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

/* Time both paths on this device at [T,I]x[O,I]; the faster one, MOTLEY__DENSE_ESMM without CLBlast or on a tie.
 * Blocking, local; builds what it needs. */
int motley__linear_choose(struct motley__device *device, int T, int O, int I, enum motley__dense *path,
                          double *esmm_seconds, double *clblast_seconds, struct motley_error *error);

#endif
