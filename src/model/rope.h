/* Rotary positions in the half-rotation convention: the pairs (i, i + d/2) of every head of d floats turn by
 * position * theta^(-2i/d).  cl/rope.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_ROPE_H
#define MOTLEY_MODEL_ROPE_H

#include <motley/tensor.h>
#include "device/buffer.h"

/* The table [positions, d] f32: cosines of a position's d/2 angles, then their sines.  *table owned by the caller. */
int motley__rope_table(struct motley__device *device, int positions, int d, double theta, struct motley__buffer **table,
                       struct motley_error *error);

/* Turn x [T, heads, d] (storage type) in place, row t by position past + t % S; back 1: the inverse, its gradient.
 * Enqueued. */
int motley__rope(struct motley__device *device, enum motley_dtype dtype, const struct motley__buffer *table, int T,
                 int S, int past, int heads, int d, int back, struct motley__buffer *x, struct motley_error *error);

#endif
