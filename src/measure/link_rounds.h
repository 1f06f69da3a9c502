/* Which nodes measure their links with each other, and when: pairs of nodes in rounds, no node twice in one.
 *
 * Few nodes all meet.  Of many, a few pairs of each pair of kinds stand for the others: nodes of a kind have the
 * same devices for as many ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_LINK_ROUNDS_H
#define MOTLEY_MEASURE_LINK_ROUNDS_H

#include "base/error.h"

enum { MOTLEY__MEETINGS = 3 };       /* pairs of nodes for each pair of kinds, at most */

struct motley__meeting {
    int node[2];                     /* ascending */
    int round;
};

/* kind [nodes] borrowed, 0..kinds-1.  *meeting [*count] owned by the caller, by pair of kinds; *rounds 0: nobody meets.
 * Of two kinds that both have nodes, or of a kind with two nodes, at least one pair meets.
 * Errors: MOTLEY_E_MEMORY. */
int motley__link_rounds(int nodes, const int *kind, int kinds, struct motley__meeting **meeting, int *count,
                        int *rounds, struct motley_error *error);

#endif
