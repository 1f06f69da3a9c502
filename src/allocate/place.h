/* Experts that are chosen together belong together: which group of ranks gets which expert.
 *
 * A token travels once to every group that has one of its experts, so the copies of tokens are
 *
 *   sum over sets of experts that tokens chose together, of  weight * ranks of the groups among the set's experts
 *
 * and the predicted time of a step is the slowest group's experts plus what the copies take.  Placement changes no
 * result.  (Expert collaboration: C2R, arXiv 2504.01337; one copy for a rank: Occult, arXiv 2505.13345.  Here groups
 * may be unlike, and balance counts as well as copies.)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_PLACE_H
#define MOTLEY_ALLOCATE_PLACE_H

#include "base/error.h"

/* Everything borrowed. */
struct motley__place_problem {
    int E, G;                        /* experts, groups */
    const double *seconds;           /* [G,E] of each expert's rows on each group; NULL: nothing takes time */
    const int *most;                 /* [G] experts that fit a group */
    int sets, K;                     /* sets of K experts */
    const int *set;                  /* [sets,K] the experts of a set, all different; -1: none */
    const double *weight;            /* [sets] tokens of a step that chose just these */
    const int *ranks;                /* [G] to which a group's token is copied; NULL: one each */
    double copy_seconds;             /* of one copy, as the step feels it */
};

struct motley__place_cost {
    double slowest;                  /* seconds of the group that takes longest */
    double copies;                   /* of tokens, the one that stays at home included */
    double seconds;                  /* slowest + copy_seconds * copies */
};

/* What an assignment costs.  group [E].  Errors: MOTLEY_E_MEMORY. */
int motley__place_cost(const struct motley__place_problem *place, const int *group, struct motley__place_cost *cost,
                       struct motley_error *error);

/* The best assignment, exactly where there are few experts, by local search (moves, swaps, and restarts from
 * disturbed best ones; the work is bounded) where there are many.  Deterministic.  group [E] written.
 * Errors: MOTLEY_E_DEVICE_MEMORY (the sum of most is below E), MOTLEY_E_MEMORY. */
int motley__place_best(const struct motley__place_problem *place, int *group, struct motley__place_cost *cost,
                  struct motley_error *error);

/* The two ways of it.  exact tries every assignment that could still be the best: for at most about 12 experts. */
int motley__place_exact(const struct motley__place_problem *place, int *group, struct motley_error *error);
int motley__place_search(const struct motley__place_problem *place, int *group, struct motley_error *error);

/* The sets of each expert: those of e are member[first[e]] .. member[first[e+1]-1].  first [E+2], of which the last is
 * scratch, and member [sets*K] written. */
void motley__place_list_sets(int E, int sets, int K, const int *set, int *first, int *member);

#endif
