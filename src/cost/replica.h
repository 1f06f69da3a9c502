/* What replicas of experts make travel in every step of training: weights to them, gradients back.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COST_REPLICA_H
#define MOTLEY_COST_REPLICA_H

#include "cost/division.h"

/* What a replica, on the group whose lowest rank is `rank`, of an expert that group `owner` stores makes travel in a
 * step: seconds of its weights there and of its gradients back, for those who send and for those who receive, and the
 * bytes of both.  All 0 where nothing is trained. */
struct motley__replica_moves {
    double there, back, bytes;
    int nodes;                       /* 1: from one node to another */
};
struct motley__replica_moves motley__replica_moves(const struct motley__task *task,
                                                   const struct motley__division *division, int owner, int rank);

#endif
