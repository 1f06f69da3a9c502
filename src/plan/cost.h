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
 * seconds, beyond the last the slope of the last two (of the only one: in proportion).  A curve has at least one
 * point. */
double motley__cost_curve(const struct motley__curve *curve, double rows);

/* Seconds of one expert in a step of the shape on the device of `entry`, backward too when asked for.
 * 0 when the profile does not say. */
double motley__cost_expert(const struct motley__profile_entry *entry, const struct motley_layer_shape *shape,
                           double rows, int backward);

/* Rows of an expert when `tokens` tokens spread evenly. */
double motley__cost_rows(const struct motley_layer_shape *shape, int64_t tokens);

/* Device bytes of one rank of R that owns `experts` experts, in a step of options->tokens tokens that spread evenly
 * over ranks and experts: motley__layer_memory_bytes (the layer's closed formula) of the rows it then has.  panel: of
 * its family.  x and y of the layer are the caller's and not counted. */
uint64_t motley__cost_bytes(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                            int experts, int panel);

/* The most experts, at most E, for which motley__cost_bytes stays within memory_bytes. */
int motley__cost_most_experts(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                              int panel, uint64_t memory_bytes);

#endif
