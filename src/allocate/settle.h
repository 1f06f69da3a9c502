/* Homes and replicas of experts together: which group stores each expert, and which parts of its rows other groups
 * serve.
 *
 * A replica takes rows from a group for which the others wait (replicate.h), and it changes how many rows travel: on a
 * group to which an expert's collaborators bring its tokens anyway it costs none.  An expert's rows are dealt out in
 * units, and tokens of a group's own ranks are served by their own group first (serve.h).  With own[g], the part of all
 * tokens that the ranks of g bring, of the tokens of others
 *
 *   q[e,g] = max(0, part[e,g] - own[g]) / (1 - own[g])      bring their pair of expert e to group g, and
 *   seconds = slowest + sum over groups, of  price[g] * sum over sets, of  weight * (1 - product of (1 - q[e,g]))
 *
 * where the slowest is the group with the most seconds of rows and of replicas' weights on their way.  Lots of
 * different experts count as drawn apart from each other.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_SETTLE_H
#define MOTLEY_ALLOCATE_SETTLE_H

#include "base/error.h"

/* Seconds of group g for so many units of the rows of expert e. */
typedef double motley__settle_seconds(const void *data, int g, int e, int units);

/* Everything borrowed. */
struct motley__settle_problem {
    int E, G, units;                 /* experts, groups; into so many units an expert's rows are dealt */
    motley__settle_seconds *seconds; /* of at most `units` units; asked once for each */
    const void *data;                /* for seconds */
    const int *room;                 /* [G] experts that fit a group, replicas included */
    const double *own;               /* [G] part of all tokens that the group's ranks bring */
    const double *price;             /* [G] seconds, when the tokens of all sets come to the group from others */
    const double *moving;            /* [G,G] seconds that a replica on one group of an expert stored on another costs
                                      * both, [owner,replica]; NULL: nothing */
    double worth;                    /* seconds that a replica must win */
    int sets, K;                     /* sets of K experts */
    const int *set;                  /* [sets,K] the experts of a set, all different; -1: none */
    const double *weight;            /* [sets] part of the tokens that choose just these */
};

struct motley__settle_cost {
    double slowest, rows;            /* seconds */
    int replicas;
    double seconds;                  /* slowest + rows + worth * replicas */
};

/* What it costs when home [E] stores and part [E,G], in units, says who serves.
 * Errors: MOTLEY_E_MEMORY. */
int motley__settle_cost(const struct motley__settle_problem *problem, const int *home, const int *part,
                        struct motley__settle_cost *cost, struct motley_error *error);

/* The same made better from where it is, by local search: parts of an expert move between groups, which makes replicas
 * and takes them away, and two experts change homes, so that each group stores as many as before.  Deterministic, of
 * bounded work.  home, part and *cost are written.  Errors: MOTLEY_E_MEMORY. */
int motley__settle(const struct motley__settle_problem *problem, int *home, int *part,
                   struct motley__settle_cost *cost, struct motley_error *error);

#endif
