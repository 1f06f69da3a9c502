/* A ring of stages in local memory between the warpgroup that fills them and the two that multiply.
 *
 * Producers issue the copies of a stage and go on to the next: the copies' arrival announces it.  They may be STAGES
 * ahead of the consumers, also across tiles.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_PIPELINE_H
#define MOTLEY_CL_NVIDIA_PIPELINE_H

#include "nvidia/async.h"

#ifndef STAGES
#define STAGES 4
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

/* This producer's copies of a stage are all under way: the stage is announced when they arrive, and nobody waits. */
static inline void issued(struct ring *ring, uint full)
{
    phase_arrive_copied(full + 8 * ring->stage);
    ring_next(ring);
}

/* The same where parts of it were written, not copied. */
static inline void written(struct ring *ring, uint full)
{
    copies_wait_all();
    publish();
    phase_arrive(full + 8 * ring->stage);
    ring_next(ring);
}

/* The stage at hand has arrived, and the tensor cores may read it. */
static inline void stage_wait(struct ring ring, uint full)
{
    phase_wait(full + 8 * ring.stage, ring.parity);
    publish();
}

/* A consuming warp has read a stage. */
static inline void release(int stage, uint empty)
{
    if (!(get_local_id(0) & 31))
        phase_arrive(empty + 8 * stage);
}

#endif
