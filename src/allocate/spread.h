/* Experts that take unequal times, shared out among unlike groups so that the slowest group is as fast as can be.
 *
 * The heaviest first, each to the group that would then be done first (longest processing time first); then experts of
 * the slowest group move, or change places with others, while that makes it faster; then a bounded search through
 * assignments that could be better still, which with few experts is all of them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_SPREAD_H
#define MOTLEY_ALLOCATE_SPREAD_H

#include "base/error.h"

/* seconds [G,E] of each expert on each group, none negative; most [G] experts that a group may have; owner [E] written:
 * the group of each.  Deterministic; of groups done at one time the one with fewer experts gets the next, then the
 * lower.
 * Errors: MOTLEY_E_DEVICE_MEMORY (the sum of most is below E), MOTLEY_E_MEMORY. */
int motley__spread(int E, int G, const double *seconds, const int *most, int *owner, struct motley_error *error);

#endif
