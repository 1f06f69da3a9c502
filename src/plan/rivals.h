/* Whom to try: the candidates, each a mode and a way for its rows to travel (predict.h), whose predictions are so near
 * that only a trial can tell which is fastest.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_RIVALS_H
#define MOTLEY_PLAN_RIVALS_H

#include "plan/plan.h"

extern const double motley__rivals_near; /* predicted within so much of the fastest */

/* Numbers of an alternative of a plan, and of a way of it. */
struct motley__candidate {
    int alternative, way;
};

/* Of what the plan's options leave open: the plan's own way first, then other modes' best ways (of MOTLEY__RIVAL_MODES
 * modes in all), then other ways of these modes, each in order of prediction; divisions that are the same as one before
 * are left out.  Returns how many, at most MOTLEY__RIVALS, 0 where there is but one.  Pure. */
enum { MOTLEY__RIVAL_MODES = 4, MOTLEY__RIVALS = 6 };
int motley__rivals(const motley_plan *plan, struct motley__candidate rival[MOTLEY__RIVALS]);

#endif
