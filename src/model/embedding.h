/* Tokens become rows, x[t] = w[token[t]], and its gradient.  cl/embedding.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_EMBEDDING_H
#define MOTLEY_MODEL_EMBEDDING_H

#include <motley/tensor.h>
#include "device/buffer.h"

/* token [T] int, w [vocabulary,D] and x [T,D] in the storage type, x written.  Enqueued. */
int motley__embedding_forward(struct motley__device *device, enum motley_dtype dtype, int T, int D,
                              const struct motley__buffer *token, const struct motley__buffer *w,
                              struct motley__buffer *x, struct motley_error *error);

/* Host: the positions sorted by token, stable: those of token v are order[offsets[v] .. offsets[v+1]-1].
 * order [T], offsets [vocabulary+1] written. */
void motley__embedding_sort(int T, int vocabulary, const int *token, int *order, int *offsets);

/* dw [vocabulary,D] f32 written: the sums of dx's rows (stored as dtype says), in ascending position.  Enqueued. */
int motley__embedding_backward(struct motley__device *device, enum motley_dtype dtype, int vocabulary, int D,
                               const struct motley__buffer *order, const struct motley__buffer *offsets,
                               const struct motley__buffer *dx, struct motley__buffer *dw, struct motley_error *error);

#endif
