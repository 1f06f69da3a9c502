/* One link timed, as an exchange uses it: ranks send each other messages without blocking, both ways at once.
 *
 * Small messages give the latency, many small ones what each costs, many larger ones the bandwidth.  Those are so large
 * as MPI sends without asking: Open MPI's TCP moves what it must ask for now and then one way after the other, not both
 * at once, and which of the two is luck.  All ranks that share the link take part, so it is timed as they share it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_LINK_PROBE_H
#define MOTLEY_MEASURE_LINK_PROBE_H

#include "profile/profile.h"

/* Seconds of exchanges in which a rank has `peers` others. */
struct motley__link_times {
    int peers, messages;
    double few;                      /* one empty message to each peer */
    double many;                     /* `messages` empty ones to each */
    int pieces;
    double large, bytes;             /* `pieces` to each; `bytes` of what the bandwidth counts */
};

/* The link that such times come from; none of its numbers is negative, the bandwidth is positive.  Pure. */
struct motley__link motley__link_fit(const struct motley__link_times *times);

/* Who exchanges with whom. */
struct motley__link_group {
    MPI_Comm comm;                   /* errors return */
    int members;
    const int *member;               /* [members] ranks of comm that share the link, this one among them: on all of them
                                      * the same; borrowed */
    int peers;
    const int *peer;                 /* [peers] ranks of comm that this rank exchanges with; borrowed */
    int most_peers;                  /* of any member; the next is the same on all of them, too */
    int share;                       /* bytes that the bandwidth counts for each byte of a message */
    double limit;                    /* seconds a peer may stay silent */
};

/* Fill line->link, spread and samples.  A line with samples is checked first and kept unless three tries all differ
 * from what it foretells by more than 10%; then, and without samples, it is measured and *news = 1.
 * line: the same on all members, before and after.  All members call it, and nobody else: to make a
 * communicator of their own MPI would wait without a limit of time.
 * Errors: MOTLEY_E_MEMORY, MOTLEY_E_COMM. */
int motley__link_probe(const struct motley__link_group *group, struct motley__link_line *line, int *news,
                       struct motley_error *error);

#endif
