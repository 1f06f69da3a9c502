/* Candidates, each a mode and a way for its rows to travel (predict.h), that are predicted nearly alike are tried: a
 * layer of each, some steps in turns, and the fastest is taken.
 *
 * What they took is kept in the profile (outcome.h), so the same question is asked once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_AUDITION_H
#define MOTLEY_PLAN_AUDITION_H

#include "context.h"
#include "plan/plan.h"

struct motley__audition {
    motley_context *context;         /* borrowed, as are the next three */
    const struct motley__profile_entry *const *entry; /* [R] */
    const struct motley__links *links;
    struct motley__profile *profile; /* rank 0 asks it; all get what was found */
    int again;                       /* 1: what the profile has is of other times */
};

/* *plan, which was chosen by prediction, becomes the one that was fastest among those predicted within a tenth of it
 * and within memory, of what its options leave open.  *changed = 1 when any were timed.  A plan without rivals stays.
 * Collective; agreed.  Errors: those of planning and of layers, but for memory: then the prediction stands. */
int motley__audition(const struct motley__audition *audition, motley_plan **plan, int *changed,
                     struct motley_error *error);

#endif
