/* Which rank holds which part of the experts.
 *
 * A rank's holding is the same hidden rows of each of some experts: rows begin..end-1 of w1 (and w3, b1), columns
 * begin..end-1 of w2.  All ways to divide the work are placements:
 *
 *   expert     whole experts on single ranks
 *   model      every rank a slice of every expert
 *   hybrid:r   groups of r ranks share the hidden dimension of their experts
 *   data       every rank computes with everything; what is stored is divided in one of the ways above
 *
 * Slices are cut at multiples of a grain, the tile of the kernels; b2 belongs to the holding that begins at 0, so that
 * a sum of partial outputs has it once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_PLACEMENT_H
#define MOTLEY_PLAN_PLACEMENT_H

#include "base/error.h"

struct motley__holding {
    int experts;                     /* 0: the rank holds nothing */
    int *expert;                     /* [experts] ascending, but for replicas; owned by the placement */
    int stored;                      /* so many of them; behind them replicas of others' experts, again ascending */
    int begin, end;                  /* hidden rows of each of them */
};

/* Another group of ranks that serves an expert beside the one that stores it. */
struct motley__replica {
    int expert, rank;                /* rank: the lowest of the group's */
    double part;                     /* of the expert's rows what goes there, above 0; the rest stays with its owner */
};

/* The tokens of a rank are dealt into lots, token t into lot t % S, where experts have replicas; else all are one. */
enum { MOTLEY__LOTS = 16 };

/* Zero is empty. */
struct motley__placement {
    int R, E, F;
    struct motley__holding *rank;      /* [R] owned */
};

/* All holdings empty.  Errors: MOTLEY_E_MEMORY. */
int motley__placement_alloc(int R, int E, int F, struct motley__placement *placement, struct motley_error *error);
void motley__placement_clear(struct motley__placement *placement); /* back to zero; accepts what alloc left */

/* Room for so many experts in a rank's holding, numbers undefined; what it had is gone.  Errors: MOTLEY_E_MEMORY. */
int motley__holding_alloc(struct motley__holding *holding, int experts, struct motley_error *error);

/* Every expert on every rank. */
int motley__placement_everything(int R, int E, int F, struct motley__placement *placement, struct motley_error *error);
int motley__placement_copy(const struct motley__placement *from, struct motley__placement *to,
                           struct motley_error *error);
int motley__placement_equal(const struct motley__placement *a, const struct motley__placement *b);

/* 1 when both hold the same; holdings without experts are equal whatever their slices. */
int motley__holding_equal(const struct motley__holding *a, const struct motley__holding *b);

/* The place of an expert in a holding's list, -1 when it is not there.  O(log experts). */
int motley__holding_find(const struct motley__holding *holding, int expert);

/* Hidden rows that both holdings have of an expert that both have: [*begin, *end), empty when there are none. */
void motley__holding_overlap(const struct motley__holding *a, const struct motley__holding *b, int *begin, int *end);

/* Is every hidden row of every expert in exactly one holding?  Lists must ascend within 0..E-1 and slices lie within
 * 0..F.  The message says which is not.  Errors: MOTLEY_E_INVALID, MOTLEY_E_MEMORY. */
int motley__placement_partition(const struct motley__placement *placement, struct motley_error *error);

#endif
