/* How much of a device a layer can take, however its tokens choose their experts.
 *
 * A plan counts on choices that are even in the mean.  Where a rank must not run out of memory in the middle of a step,
 * because the others would wait for its rows, the worst is counted: every token goes to every group that it can, and
 * all that come to a rank choose its experts.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_ROOM_H
#define MOTLEY_PLAN_ROOM_H

#include "plan/plan.h"

struct motley__room {
    uint64_t bytes;                  /* of one layer without an optimizer, and of the caller's x and y */
    uint64_t largest;                /* of one buffer of rows */
};

/* Of a rank that brings the tokens which the plan expects; node_of [R], panel: of its family.  Pure. */
struct motley__room motley__room_of_layer(const motley_plan *plan, int rank, const int *node_of, int panel);

#endif
