/* A division of a layer's work among groups of ranks, and what follows from it for every rank: what it has to do, the
 * seconds of its experts, what it stores.  It is made by src/allocate.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COST_DIVISION_H
#define MOTLEY_COST_DIVISION_H

#include "cost/task.h"
#include "plan/placement.h"

/* Zero is empty. */
struct motley__division {
    enum motley_mode mode;           /* not MOTLEY_MODE_AUTO */
    int group;                       /* in hybrid: the ranks of a group that were asked for */
    int R, G;
    int *group_of;                   /* [R] owned, and so are the next three */
    int *experts;                    /* [G]: groups have them in ascending blocks, unless loads or what is chosen
                                      * together are known: */
    int *owner;                      /* [E] the group that has each expert; owned, NULL: blocks */
    double *rest;                    /* [E] of its rows what the owner serves, 1 without replicas; owned, NULL where all
                                      * experts get as many */
    double *reach;                   /* [G] of all tokens those that need the group, where it is known what they choose
                                      * together (collocate.h); owned, NULL: they choose by chance */
    double *own_reach;               /* [G] likewise of the tokens of its own ranks, where replicas make them more
                                      * than those of others; owned, NULL: as reach */
    double *node_reach;              /* [nodes] of all tokens those that need a group with a rank on the node; likewise,
                                      * and NULL with one node */
    double copies, copies_before;    /* ranks that a token's experts are on, mean, by that: so, and in blocks; or 0 */
    int replicas;                    /* by other groups; owned */
    struct motley__replica *replica;
    int *width;                      /* [R] of the rank's slice, 0: it holds nothing; slices ascend with the rank's
                                      * number.  data: of what it stores */
    int64_t *tokens;                 /* [R] that it brings to a step */
};

/* One group.  Errors: MOTLEY_E_MEMORY. */
int motley__division_alloc(int R, struct motley__division *division, struct motley_error *error);
void motley__division_clear(struct motley__division *division); /* back to empty */

/* An expert's rows of which a group serves this part, whose own tokens, a part of all, bring as many as they can: the
 * part of what others, or with own its own tokens, have for the expert. */
double motley__division_part(double part, double own_tokens, int own);

/* What each rank has to do: duty [R] written.  Errors: MOTLEY_E_MEMORY. */
int motley__division_duties(const struct motley__task *task, const struct motley__division *division,
                            struct motley__duty *duty, struct motley_error *error);

/* Seconds of the experts of a rank, of the options' directions or of forward alone; 0 when the profile does not say. */
double motley__division_seconds(const struct motley__task *task, const struct motley__division *division, int rank,
                                int forward);

/* The group of every expert [E], written: as the division has it; with blocks in ascending blocks of as many. */
void motley__division_owners(const struct motley__division *division, int E, int blocks, int *owner);

/* What is stored where.  stored: alloc'ed, written.  Errors: MOTLEY_E_MEMORY. */
int motley__division_placement(const struct motley__division *division, struct motley__placement *stored,
                               struct motley_error *error);

#endif
