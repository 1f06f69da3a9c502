/* A team of threads for the peers' own loops, so that they have all cores as their products do.
 *
 * Workers sleep between calls; little work is done by the caller alone, which is quicker than waking them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_TEAM_H
#define MOTLEY_BENCH_TEAM_H

#include "base/error.h"

struct motley__team; /* opaque */

/* threads counts the caller too; 1 makes no thread. */
int motley__team_create(int threads, struct motley__team **team, struct motley_error *error);
void motley__team_destroy(struct motley__team *team); /* accepts NULL */

/* work(self, first, last) for parts of 0 .. count-1 that leave no gap, one part a thread; returns when all are done.
 * bytes: what all of it moves; below some 100 KB the caller does it alone. */
void motley__team_run(struct motley__team *team, void (*work)(void *self, int first, int last), void *self, int count,
                      double bytes);

#endif
