/* Who serves a pair, where experts have replicas.
 *
 * A source's tokens are dealt into lots, token t into lot t % S, so that every lot is like every other; a lot's
 * pairs of one expert go to one group.  Lots are given out so that a group that has the expert keeps as much of what
 * its own ranks bring as its part allows: these rows do not travel.  The rest goes to whoever has most room left.
 * Rows follow the parts as far as lots allow: to half a lot of a rank's tokens.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_SERVE_H
#define MOTLEY_ALLOCATE_SERVE_H

#include "plan/placement.h"

/* Everything borrowed. */
struct motley__serving {
    int R, E;
    const int *group_of;             /* [R] */
    const int *owner;                /* [E] group that stores each expert */
    const double *tokens;            /* [R] that each rank is expected to bring, in any scale */
    int replicas;
    const struct motley__replica *replica; /* [replicas] by expert */
};

/* The group that serves each expert to the tokens of each lot of a rank: server [MOTLEY__LOTS,E] written.
 * Errors: MOTLEY_E_MEMORY. */
int motley__serve(const struct motley__serving *serving, int rank, int *server, struct motley_error *error);

#endif
