/* Which experts the groups of a division hold: those that tokens choose together, on one group.
 *
 * divide.h says how many experts each group holds.  Which ones changes neither results nor memory; it changes how many
 * copies of tokens travel and how long each group is busy.  Both have a price in predicted seconds, and place.h finds
 * what is cheapest together.  With even shares, which look at no measurement, the copies alone decide.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_COLLOCATE_H
#define MOTLEY_PLAN_COLLOCATE_H

#include "plan/divide.h"

struct motley__collocation {
    int *home;                       /* [E] group of each expert; owned.  NULL: they may stay where they are */
    double copies, copies_before;    /* ranks that a token's experts are on, mean: so, and where they were */
};

/* Where the experts of a division go by what tokens of a layer, or of MOTLEY__ALL_LAYERS, were recorded to choose
 * (task->options.coactivation).  stored: where they are; every group keeps its number of them.  In data mode, with one
 * group, or with a layer of which nothing is known, all stay and no copies are told.
 * Pure.  Errors: MOTLEY_E_INVALID (what was recorded is not of so many experts for a token), MOTLEY_E_MEMORY. */
int motley__collocate(const struct motley__task *task, const struct motley__division *division,
                      const struct motley__placement *stored, int layer, struct motley__collocation *collocation,
                      struct motley_error *error);

#endif
