/* What the links between ranks do, measured as an exchange uses them.
 *
 * Who is timed when: first the ranks of each node, then nodes two by two in rounds (link_rounds.h); how: link_probe.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_LINK_MEASURE_H
#define MOTLEY_MEASURE_LINK_MEASURE_H

#include "context.h"
#include "profile/profile.h"

/* The links of this job.  What rank 0's profile knows is timed again first, and kept unless three tries all differ
 * from it by more than 10%; the rest (with `anew` everything) is measured, and every rank's profile has it then.
 * *changed = 1 when something was measured.
 *
 * links: zero before, written; cleared by the caller, also after a failure
 *
 * Collective; agreed.  Under two seconds where links lose nothing and a round trip takes less than milliseconds.
 * Errors: MOTLEY_E_MEMORY, MOTLEY_E_COMM. */
int motley__link_measure(motley_context *context, struct motley__profile *profile, int anew,
                         struct motley__links *links, int *changed, struct motley_error *error);

/* The kinds of the job's nodes: each its own while they are few, else by the devices of their ranks.  kind [nodes]
 * written, 0..*kinds-1; the same on every rank. */
void motley__link_kinds(const motley_context *context, int nodes, int *kind, int *kinds);

#endif
