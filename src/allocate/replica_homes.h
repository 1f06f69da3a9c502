/* Replicas of hot experts among those that tokens choose together: settle.h for a division.
 *
 * Two starts are made better, and the better end is taken: the homes that are best without replicas, and what the
 * division has by loads alone.  What comes to each group then is counted lot by lot, as the layer will deal them out.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_REPLICA_HOMES_H
#define MOTLEY_ALLOCATE_REPLICA_HOMES_H

#include "allocate/collocate.h"
#include "coactivation/coactivation.h"

/* Everything borrowed. */
struct motley__replica_homes {
    const struct motley__task *task;
    const struct motley__division *division; /* which may have replicas (motley__divide_replicates) */
    const struct motley__choices *choices;
    const int *ranks;                /* [G] with a slice of the group's experts */
    const uint8_t *has;              /* [G,nodes] which nodes have one of them; NULL: there is one node */
    int nodes;
    double row_seconds;              /* of a row to another rank, as the step feels it, when all tokens send one */
};

/* found: the best homes without replicas and what reaches them, written anew where replicas make that better and the
 * devices have memory for them.  Errors: MOTLEY_E_MEMORY. */
int motley__replica_homes(const struct motley__replica_homes *homes, struct motley__collocation *found,
                          struct motley_error *error);

#endif
