/* The plan as the library sees it.  Immutable after motley_plan_create or _parse.
 *
 *   discover -> measure -> profile -> cost -> allocate -> plan
 *
 *   device/discover.c   which devices there are
 *   tune.c              settings of kernels, by contests on each device   (contest.c the rule)
 *   measure.c           the ranks time the real operator together   (trial.c one rank's part, timing.c its statistics)
 *   profile.c           what was measured, kept in a file           (profile_text.c its text, record.c among ranks)
 *   cost.c              seconds and bytes of a set of experts       pure
 *   allocate.c          the integer optimum                         pure
 *   plan.c              the value that comes of it                  (plan_make.c pure, plan_text.c JSON, plan_table.c)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_PLAN_H
#define MOTLEY_PLAN_PLAN_H

#include <motley/plan.h>
#include "plan/profile.h"

struct motley__plan_entry {
    char host[64], device[128];              /* who the rank was when the plan was made */
    char family[16], variant[16];            /* of its kernels for the shape's storage type */
    int dense;                               /* enum motley__dense: the path of its dense matrices */
    int experts;
    int *expert;                             /* [experts] ascending; owned */
    double gflops, seconds, dense_gflops;    /* measured at the planned rows; predicted expert phase; dense speed */
    uint64_t bytes;
};

struct motley_plan {
    struct motley_layer_shape shape;
    struct motley_plan_options options;
    int R;
    struct motley__plan_entry *rank;         /* [R] owned */
    int *owner;                              /* [E] rank of each expert; owned */
    int *slot;                               /* [E] place of each expert in the order by (owner, expert); owned */
    int *first_slot;                         /* [R+1] slots of rank r are first_slot[r] .. first_slot[r+1]-1; owned */
};

/* Is this a layer?  Local.  Errors: MOTLEY_E_INVALID. */
int motley__plan_check(const struct motley_layer_shape *shape, const struct motley_plan_options *options,
                       struct motley_error *error);

/* The same, and is it one for R ranks?  Errors: MOTLEY_E_INVALID, MOTLEY_E_UNSUPPORTED (fewer experts than ranks). */
int motley__plan_possible(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                          struct motley_error *error);

/* The plan of R ranks from what was measured on them.  entry [R] borrowed: the device of each rank; curves may be
 * missing, then the rank gets no expert (with even shares: no prediction).  Experts lie in ascending blocks by rank.
 *
 * Pure: the same entries give the same plan, so clusters can be planned from recorded profiles.
 * Errors: those of motley__plan_possible, MOTLEY_E_DEVICE_MEMORY, MOTLEY_E_MEMORY. */
int motley__plan_make(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                      const struct motley__profile_entry *const *entry, motley_plan **plan, struct motley_error *error);

/* A plan whose entries and owners are still to be filled; motley__plan_index makes owner, slot and first_slot from the
 * entries' experts, which must be a partition (motley__plan_parse checks that first). */
int motley__plan_alloc(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                       motley_plan **plan, struct motley_error *error);
int motley__plan_entry_alloc(struct motley__plan_entry *entry, int experts, struct motley_error *error);
void motley__plan_index(motley_plan *plan);

/* B whole sequences over the ranks by the speed of their dense matrices: share [R] written, the sum is B.  Even shares
 * when the plan has even shares, or does not know every rank's speed. */
int motley__plan_dense_shares(const motley_plan *plan, int B, int *share, struct motley_error *error);

#endif
