/* RMSNorm, y = x / sqrt(mean(x^2) + eps) * w, and its gradient.  cl/norm.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_NORM_H
#define MOTLEY_MODEL_NORM_H

#include <motley/tensor.h>
#include "device/buffer.h"

/* x, y [T,D] in the storage type, w [D] f32; r [T] f32 written: 1 / sqrt(mean + eps), what backward needs.
 * Enqueued. */
int motley__norm_forward(struct motley__device *device, enum motley_dtype dtype, int T, int D, double eps,
                         const struct motley__buffer *x, const struct motley__buffer *w, struct motley__buffer *y,
                         struct motley__buffer *r, struct motley_error *error);

/* dx [T,D] stored as x and dy (+= when accumulate) and, unless dw is NULL, dw [D] f32 written.
 * scratch: motley__norm_scratch_bytes.  T = 0 zeroes dw.  Enqueued. */
size_t motley__norm_scratch_bytes(int T, int D);
int motley__norm_backward(struct motley__device *device, enum motley_dtype dtype, int T, int D,
                          const struct motley__buffer *x, const struct motley__buffer *w,
                          const struct motley__buffer *r, const struct motley__buffer *dy, int accumulate,
                          struct motley__buffer *dx, struct motley__buffer *scratch, struct motley__buffer *dw,
                          struct motley_error *error);

#endif
