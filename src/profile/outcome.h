/* What candidates that were predicted nearly alike, a mode and a way for its rows, really took: Flex's dictionary of
 * the best way (arXiv 2206.03382, section 3.3), kept in the profile by shape, direction, number of tokens and ranks.
 *
 *   outcome ranks=00c0ffee00c0ffee of=2 direction=backward D=512 F=1024 E=8 K=2 activation=swiglu bias=0 dtype=f32
 *   tokens=1024 mode=model group=0 exchange=linear pipeline=2 seconds=0.0157 samples=5               (one line)
 *
 * A line without exchange and pipeline is from before they were tried: of the way that was predicted best.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PROFILE_OUTCOME_H
#define MOTLEY_PROFILE_OUTCOME_H

#include <stdint.h>
#include <stdio.h>

#include <motley/plan.h>
#include "base/error.h"

/* A value without pointers. */
struct motley__outcome {
    uint64_t ranks;                  /* hash of who they are */
    int R, backward, D, F, E, K, activation, bias, dtype;
    int tokens;                      /* the power of two at or below the tokens of a step; 0: none */
    int mode, group;                 /* enum motley_mode; ranks of a group in hybrid */
    int exchange, pipeline;          /* enum motley_exchange; chunks of a step.  Both 0: the way predicted best */
    double seconds;                  /* of a step, median */
    int samples;
};

/* The key of a layer: everything but the candidate and what was measured. */
struct motley__outcome motley__outcome_key(uint64_t ranks, int R, const struct motley_layer_shape *shape,
                                           const struct motley_plan_options *options);

/* 1: of the same key and candidate. */
int motley__outcome_same(const struct motley__outcome *a, const struct motley__outcome *b);

/* The rest of an "outcome" line, with a blank before it and without its end; read: 1 when the line holds what it
 * must. */
void motley__outcome_write(FILE *stream, const struct motley__outcome *outcome);
int motley__outcome_read(const char *line, struct motley__outcome *outcome);

#endif
