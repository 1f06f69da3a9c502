/* The loss of a language model: cross-entropy of the softmax, with its gradient in place.  cl/cross_entropy.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_CROSS_ENTROPY_H
#define MOTLEY_MODEL_CROSS_ENTROPY_H

#include <motley/tensor.h>
#include "device/buffer.h"

/* target [T] int; logits [T,C] in the storage type; loss [T] f32 written, nats.  backward 1: logits become
 * scale (softmax - one-hot of the target).  Enqueued. */
int motley__cross_entropy(struct motley__device *device, enum motley_dtype dtype, int T, int C,
                          const struct motley__buffer *target, double scale, int backward,
                          struct motley__buffer *logits, struct motley__buffer *loss, struct motley_error *error);

#endif
