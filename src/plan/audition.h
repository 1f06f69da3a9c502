/* Modes that are predicted nearly alike are tried: a layer of each, some steps in turns, and the fastest is taken.
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

/* *plan, which `auto` chose by prediction, becomes the one that was fastest among those predicted within a tenth of it
 * and within memory.  *changed = 1 when modes were timed.  A plan that was not auto's, or has no rival, stays.
 * Collective; agreed.  Errors: those of planning and of layers, but for memory: then the prediction stands. */
int motley__audition(const struct motley__audition *audition, motley_plan **plan, int *changed,
                     struct motley_error *error);

/* The rivals: numbers of alternatives, the chosen one first, then the others in order of prediction; divisions that are
 * the same as one before are left out.  Returns how many, at most MOTLEY__RIVALS.  Pure. */
enum { MOTLEY__RIVALS = 4 };
int motley__audition_rivals(const motley_plan *plan, int rival[MOTLEY__RIVALS]);

#endif
