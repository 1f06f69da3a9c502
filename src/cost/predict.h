/* What a step will take when its work is divided in some way: seconds by phase, bytes that move, device memory.
 *
 * Every phase begins when rows of every other rank are there, so a phase ends for all with its slowest rank and a step
 * is the sum of its phases:
 *
 *   forward    gate | dispatch | experts | combine             backward    dispatch | experts | combine | gate
 *   data       weights arrive under the gate; no rows move     gradients of weights leave after the experts
 *   replicas   weights arrive under gate and dispatch          gradients of weights leave under combine
 *
 * less what chunks hide of them (pipeline.h).
 *
 * Kernels that move rows cost bytes at the device's measured bandwidth, and a launch; what
 * crosses to host memory its copies; the gate its products at the speed
 * of dense matrices; experts their measured curves; messages what link.h says.  What was never measured costs nothing.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COST_PREDICT_H
#define MOTLEY_COST_PREDICT_H

#include "allocate/divide.h"

struct motley__phases {
    double gate, dispatch, experts, combine, weights; /* seconds; weights: of data mode and of replicas, what is hidden
                                                       * included */
    double out, back;                /* of dispatch and combine: while the device could compute */
    double inside;                   /* of both: inside a node, between the hops of the hierarchical exchange */
};

struct motley__rank_cost {
    struct motley__phases forward, backward;
    uint64_t bytes;                  /* device memory */
};

/* A way for rows to travel. */
struct motley__way {
    enum motley_exchange exchange;   /* never MOTLEY_EXCHANGE_AUTO; linear where no rows travel */
    int chunks;                      /* 1 where none do */
    double seconds;                  /* of the whole step, both directions */
};

enum { MOTLEY__WAYS = 8 };
struct motley__prediction {
    struct motley__phases forward, backward; /* each of the rank that is slowest in it */
    int ways;                        /* that are open; 0: nothing was predicted */
    struct motley__way way[MOTLEY__WAYS]; /* the first is the one to take, */
    double forward_seconds, backward_seconds; /* by which the step takes so long */
    double moved, node_moved;        /* bytes that leave ranks in a step, and of them those that leave nodes */
    uint64_t bytes;                  /* device memory of the fullest rank */
    int known;                       /* 0: of a rank with experts the profile says nothing; seconds are too few */
};

/* cost [R] written.  Errors: MOTLEY_E_MEMORY. */
int motley__predict(const struct motley__task *task, const struct motley__division *division,
                    struct motley__rank_cost *cost, struct motley__prediction *prediction, struct motley_error *error);

#endif
