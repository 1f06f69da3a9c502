/* A ring of stages in local memory between the warpgroup that fills them and the two that multiply.
 *
 * Producers issue the copies of a stage and announce it LAG stages later, when the copies have arrived; they may be
 * STAGES ahead of the consumers, also across tiles.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_PIPELINE_H
#define MOTLEY_CL_NVIDIA_PIPELINE_H

#include "nvidia/async.h"

#ifndef STAGES
#define STAGES 4
#endif
#ifndef LAG
#define LAG 1 /* stages whose copies are under way; at most STAGES - 2 */
#endif
#define PRODUCERS 128
#define ITEMS (PRODUCERS + 256)
#define CONSUMER_WARPS 8

/* Where in the ring of stages a warpgroup is. */
struct ring {
    int stage;
    uint parity;    /* of the round */
};

static inline void ring_next(struct ring *ring)
{
    if (++ring->stage == STAGES) {
        ring->stage = 0;
        ring->parity ^= 1;
    }
}

/* What a producer has issued but not yet announced. */
struct announcer {
    struct ring ring;
    int waiting;
};

static inline void announce(struct announcer *a, uint full)
{
    publish();
    phase_arrive(full + 8 * a->ring.stage);
    ring_next(&a->ring);
    a->waiting--;
}

/* One item creates the barriers; a barrier of the group must follow. */
static inline void pipeline_create(uint full, uint empty)
{
    if (get_local_id(0) == 0)
        for (int s = 0; s < STAGES; s++) {
            phase_create(full + 8 * s, PRODUCERS);
            phase_create(empty + 8 * s, CONSUMER_WARPS);
        }
    publish();
}

/* A stage has been issued: announce what is LAG stages older. */
static inline void issued(struct ring *ring, struct announcer *announcer, uint full)
{
    copies_commit();
    ring_next(ring);
    if (++announcer->waiting > LAG) {
        COPIES_WAIT(LAG);
        announce(announcer, full);
    }
}

static inline void announce_rest(struct announcer *announcer, uint full)
{
    COPIES_WAIT(0);
    while (announcer->waiting > 0)
        announce(announcer, full);
}

/* A consuming warp has read a stage. */
static inline void release(int stage, uint empty)
{
    if (!(get_local_id(0) & 31))
        phase_arrive(empty + 8 * stage);
}

#endif
