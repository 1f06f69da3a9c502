/* Who brings how many tokens to a step.
 *
 *   given       what each rank is said to bring, or
 *   sequences   whole ones, by the speed of dense matrices; in data mode of the experts, too
 *   data mode   by the speed of all experts together
 *   else        as even as can be
 *
 * Each is an exact integer optimum (allocate.h).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_TOKENS_H
#define MOTLEY_ALLOCATE_TOKENS_H

#include "cost/task.h"

/* tokens [R] written, their sum is the step's.  A rank of unknown speed brings none where speed decides, unless no
 * rank's is known: then as even as can be.  Errors: MOTLEY_E_MEMORY. */
int motley__tokens(const struct motley__task *task, enum motley_mode mode, int64_t *tokens,
                   struct motley_error *error);

#endif
