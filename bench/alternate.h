/* Rivals under one clock: each in turn, in every round in the other order, from cold caches; medians.
 *
 * A device that is the host itself (a CPU) is timed by the host's clock, from before the first launch until the queue
 * has drained: what a caller waits.  Elsewhere the device's own clock is read at markers before and behind, which
 * leaves out how long the host takes to notice; gaps in which the device waits for the host count.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_ALTERNATE_H
#define MOTLEY_BENCH_ALTERNATE_H

#include "device/queue.h"

/* One rival. */
struct motley__side {
    void *self;
    int (*prepare)(void *self, struct motley_error *error);  /* before each run, not timed; may be NULL */
    int (*run)(void *self, struct motley_error *error);
    struct motley__device *device;      /* run enqueues there; NULL: run is over when it returns */
};

struct motley__rounds {
    double seconds;                     /* to spend on all of the sides */
    double slow;                        /* after so many, three rounds are enough */
    int least, most;                    /* rounds; at most MOTLEY__ROUNDS */
};
enum { MOTLEY__ROUNDS = 101, MOTLEY__SIDES = 4 };  /* at most */

/* Whether so many rounds, which took so long, will do. */
int motley__rounds_enough(const struct motley__rounds *rounds, int done, double spent);

/* One run. */
int motley__side_time(const struct motley__side *side, double *seconds, struct motley_error *error);

/* Medians of `count` sides, and of the flush that is called, and timed, before every run.  All must have run before:
 * nothing is warmed up here. */
int motley__alternate(const struct motley__side *sides, int count, const struct motley__side *flush,
                      const struct motley__rounds *rounds, double *seconds, double *flush_seconds,
                      struct motley_error *error);

#endif
