/* Counting which experts tokens choose together while a run goes on, and a sample of their sets.
 *
 * A token is known by its number in the run.  Numbers and a seed give every token a place in a lottery, and the sets of
 * the MOTLEY__SETS tokens of a layer that come first in it are kept: the same ones however tokens are divided among
 * ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COACTIVATION_TALLY_H
#define MOTLEY_COACTIVATION_TALLY_H

#include "coactivation/coactivation.h"

struct motley__tally; /* opaque */

/* Errors: MOTLEY_E_MEMORY. */
int motley__tally_create(int layers, int E, int K, struct motley__tally **tally, struct motley_error *error);
void motley__tally_destroy(struct motley__tally *tally); /* accepts NULL */

/* T tokens of a layer: indices [T,K], -1 where a choice was dropped; the first of them has number `first` in the run,
 * the others follow.  An expert that a token has twice counts once.  O(T K K). */
void motley__tally_add(struct motley__tally *tally, int layer, uint64_t first, int T, const int32_t *indices);

/* Everything that all ranks counted; *coactivation on rank 0 owned by the caller, NULL on the others.  Collective.
 * Errors: MOTLEY_E_MEMORY, MOTLEY_E_COMM. */
int motley__tally_sum(const struct motley__tally *tally, MPI_Comm comm, double time_limit,
                      motley_coactivation **coactivation, struct motley_error *error);

#endif
