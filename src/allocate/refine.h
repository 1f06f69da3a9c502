/* Experts moved between groups as long as the predicted step gets shorter.
 *
 * A division (divide.h) makes the slowest rank's experts as fast as can be, as if rows moved in no time.  Over slow
 * links the step may be shorter when a fast rank serves less: fewer rows then go one way while the other way is idle.
 * From that division, the move of experts from one group to another that shortens the prediction most is made, until
 * none does; many at a time at first, then single ones; where their loads are known always one, chosen by its load, and
 * replicas that do not shorten the step are given up.  Slices and tokens stay.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_REFINE_H
#define MOTLEY_ALLOCATE_REFINE_H

#include "cost/predict.h"

/* division: from motley__mode_divide, and cost [R] and prediction what motley__predict says of it; all three changed
 * together.  Nothing is done where shares are even or there are many ranks.  Errors: MOTLEY_E_MEMORY. */
int motley__refine(const struct motley__task *task, struct motley__division *division, struct motley__rank_cost *cost,
                   struct motley__prediction *prediction, struct motley_error *error);

/* Its part where experts are told apart by their loads (refine_loaded.c). */
int motley__refine_loaded(const struct motley__task *task, struct motley__division *division,
                          struct motley__rank_cost *cost, struct motley__prediction *prediction,
                          struct motley_error *error);

#endif
