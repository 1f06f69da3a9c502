/* Which experts tokens chose together.
 *
 * Recorded in one run, it serves the next ones: a plan puts experts that tokens choose together on one rank, so that
 * fewer copies of tokens travel and results stay what they were (motley_plan_options), and a gate may be held to an
 * expert's closest collaborators (motley_layer_collaborate; C2R, arXiv 2504.01337).
 *
 *   FILE        layer,expert,with_0,...,with_E-1    one line for each expert of each layer, layers and experts from 0:
 *               tokens that chose both; symmetric, 0 for an expert with itself
 *   FILE.sets   layer,e0,...,eK-1                   experts that single tokens chose: a sample of each layer's tokens;
 *               -1 where a choice was dropped.  Needed where K is not 2: pairs alone then do not say how many ranks a
 *               token goes to.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COACTIVATION_H
#define MOTLEY_COACTIVATION_H

#include <motley/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct motley_coactivation motley_coactivation;

/* Read FILE, and FILE.sets where there is one.  Rank 0 reads.  Collective.
 * Errors: MOTLEY_E_IO, MOTLEY_E_FORMAT (with the line), MOTLEY_E_MEMORY. */
int motley_coactivation_read(motley_context *context, const char *path, motley_coactivation **coactivation,
                             struct motley_error *error);
void motley_coactivation_destroy(motley_coactivation *coactivation); /* accepts NULL; local */

int motley_coactivation_layers(const motley_coactivation *coactivation);
int motley_coactivation_experts(const motley_coactivation *coactivation);

#ifdef __cplusplus
}
#endif
#endif
