/* Which experts the groups of a division hold: those that tokens choose together, on one group.
 *
 * divide.h says how many experts each group holds.  Which ones changes neither results nor memory; it changes how many
 * copies of tokens travel and how long each group is busy.  Both have a price in predicted seconds, and place.h finds
 * what is cheapest together.  With even shares, which look at no measurement, the copies alone decide.  An expert's
 * rows are those of its load, where loads are known, else those that were recorded.  Where hot experts may have
 * replicas (divide.h), these are found with the homes (settle.h), whatever replicas the division had.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_COLLOCATE_H
#define MOTLEY_ALLOCATE_COLLOCATE_H

#include "cost/predict.h"

/* All owned. */
struct motley__collocation {
    int *home;                       /* [E] group of each expert */
    int replicas;
    struct motley__replica *replica; /* [replicas] by expert, then by rank */
    double *rest;                    /* [E] part of its rows that its home serves; NULL: all, there are no replicas */
    double *reach;                   /* [G] of the tokens of other groups those that come to it then; NULL: nothing is
                                      * known */
    double *own_reach;               /* [G] of its own ranks' tokens those that need it, too; NULL: as many */
    double *node_reach;              /* [nodes] of the tokens of other nodes those that go to any of its ranks; NULL
                                      * with one node, too */
    double copies, copies_before;    /* ranks that a token's experts are on, mean: so, and in ascending blocks; or 0 */
};

/* Where the experts of a division go by what tokens of a layer, or of MOTLEY__ALL_LAYERS, were recorded to choose
 * (task->options.coactivation); every group keeps its number of them.  In data mode, with one group, or with a layer
 * of which nothing is known, all stay.
 * Pure.  Errors: MOTLEY_E_INVALID (what was recorded is not of so many experts for a token), MOTLEY_E_MEMORY. */
int motley__collocate(const struct motley__task *task, const struct motley__division *division, int layer,
                      struct motley__collocation *collocation, struct motley_error *error);
void motley__collocation_clear(struct motley__collocation *collocation); /* back to zero */

/* The same done to a division by the layer that the options name, or all, and predicted anew: cost [R] and *prediction
 * are what motley__predict says of it, before and after. */
int motley__collocate_division(const struct motley__task *task, struct motley__division *division,
                               struct motley__rank_cost *cost, struct motley__prediction *prediction,
                               struct motley_error *error);

#endif
