/* What rows cost with the hierarchical exchange (layer/gateway.h): first once to each other node, then on inside it.
 *
 *   between nodes   rank r -> one rank of node n    tokens of r * reach of n               rows
 *   inside a node   rank r -> rank q                (tokens of r + foreign of r) * reach of q
 *
 * where foreign are the tokens of other nodes, as many for each rank of a node: of them come, as guests, those that
 * need the node, and all that a rank of it is given by guests would come to it directly, too.  The two follow each
 * other.
 *
 * Pure functions, for tokens that choose by chance, by the loads that the task knows, or as the division says that they
 * choose together.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COST_HIERARCHY_H
#define MOTLEY_COST_HIERARCHY_H

#include "allocate/divide.h"

struct motley__hierarchy {
    const struct motley__links *links;   /* borrowed */
    const struct motley__duty *duty;     /* [R] borrowed */
    struct motley__link *nothing;        /* [kinds,kinds] links that cost nothing; owned, and so is all below */
    int *head, *ranks;                   /* [nodes] first rank of each, and how many it has */
    double *reach, *part;                /* [nodes] of all tokens those that need the node; of all pairs its experts' */
    double *node_tokens, *node_reach;    /* [nodes] sums over its ranks: tokens, own and foreign; what they serve */
    double all_reach;
    double *tokens;                      /* [R] own and foreign */
    double *give, *take, *seconds;       /* [R] of an exchange */
};

/* Rows of one rank. */
struct motley__hops {
    double crossing, guests;             /* to other nodes, and from them */
    double sent, received;               /* inside its node */
};

/* duty [R]: of the division.  Errors: MOTLEY_E_MEMORY. */
int motley__hierarchy_open(const struct motley__task *task, const struct motley__division *division,
                           const struct motley__duty *duty, struct motley__hierarchy *hierarchy,
                           struct motley_error *error);
void motley__hierarchy_close(struct motley__hierarchy *hierarchy);

struct motley__hops motley__hierarchy_hops(const struct motley__hierarchy *hierarchy, int rank);

/* Both exchanges of rows of so many bytes, and of so many with each of a row's K pairs; back: the way back.  seconds
 * [R] written, and in hierarchy->seconds [R] those of them that are inside the nodes; traffic's seconds are the slowest
 * rank's.  Errors: MOTLEY_E_MEMORY. */
int motley__hierarchy_exchange(const struct motley__hierarchy *hierarchy, double row, double pairs, int back,
                               int messages, double *seconds, struct motley__traffic *traffic,
                               struct motley_error *error);

#endif
