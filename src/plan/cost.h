/* What a set of experts costs a rank: predicted seconds, and bytes.  Pure functions of measurements.
 *
 * A measured curve has noise, and noise only ever adds; what a curve says at some rows is therefore bounded by what it
 * says at more rows.  Between points time is linear in the rows, which is exact for "overhead + rows * time".
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_COST_H
#define MOTLEY_PLAN_COST_H

#include "plan/profile.h"

/* Seconds of one expert with `rows` rows: 0 without rows, never falling as rows grow; below the first point its
 * seconds, beyond the last the slope of the last two (of the only one: in proportion).  A curve has at least one point. */
double motley__cost_curve(const struct motley__curve *curve, double rows);

/* Seconds of one expert in a step of the shape on the device of `entry`, backward too when asked for.
 * 0 when the profile does not say. */
double motley__cost_expert(const struct motley__profile_entry *entry, const struct motley_layer_shape *shape, double rows,
                           int backward);

/* Rows of an expert when `tokens` tokens spread evenly. */
double motley__cost_rows(const struct motley_layer_shape *shape, int64_t tokens);

/* Device bytes of one rank: the weights of `experts` experts (trained: with gradients), what a step with `rows` routed
 * rows on these experts holds, and what routing `tokens` tokens of its own holds.
 *
 *   weights   motley__experts_bytes
 *   rows      received and returned 2D; h (and trained: pre, u; swiglu also pre3) F each; index, weight, where: 3
 *   tokens    gate's p E; per choice: sent and returned rows 2D; index, weight, order, place: 4
 *
 * each number 4 bytes.  x and y of the layer are the caller's and not counted. */
uint64_t motley__cost_bytes(const struct motley_layer_shape *shape, int experts, int panel, int64_t tokens, int64_t rows,
                            int trained);

/* The most experts, at most E, for which motley__cost_bytes stays within memory_bytes when each has `rows` rows. */
int motley__cost_most_experts(const struct motley_layer_shape *shape, int panel, int64_t tokens, double rows, int trained,
                              uint64_t memory_bytes);

#endif
