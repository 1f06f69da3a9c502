/* Tokens drawn so that experts get what their loads say.
 *
 * Every token chooses K different experts, expert e with the chance K * its share of all pairs, exactly; a chance
 * above 1, which no routing can have, is cut to 1 and the rest goes to the others.  The chances, in an order drawn for
 * each token, are laid end to end on a line of length K, and the token takes the experts that lie on u, u + 1, .. for
 * one random u below 1 (systematic sampling).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_DRAWN_H
#define MOTLEY_PLAN_DRAWN_H

#include <stdint.h>

#include "base/error.h"

/* experts [T,K] written.  load [E]: in any scale, none negative, some positive.  Errors: MOTLEY_E_MEMORY. */
int motley__drawn_experts(int E, int K, const double *load, uint64_t seed, uint64_t stream, int64_t T,
                          int32_t *experts, struct motley_error *error);

#endif
