/* Dividing a layer's work among groups of ranks: how many experts a group has, how wide a slice each rank of it.
 * Integers, chosen so that the slowest rank is as fast as the measured curves allow.
 *
 *   slices    inside each group, cut at multiples of a grain: they give the group's seconds for one expert
 *   experts   among groups, by these seconds
 *
 * Both are exact integer optima (allocate.h), and so are they together: a group with n experts needs n times what it
 * needs for one, whatever n is.  Where experts are known to get unequal numbers of rows, it matters which ones a group
 * has (spread.h), and hot ones may be served by several groups (replicate.h).  What ranks bring is tokens.h's, which of
 * them form a group group.h's, what moving rows adds refine.h's, and which mode is best mode.h's.  divide.c divides;
 * division.c says what follows.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_DIVIDE_H
#define MOTLEY_PLAN_DIVIDE_H

#include "plan/placement.h"
#include "plan/task.h"

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

/* Fill experts and width of a division whose mode, G, group_of (every group has a rank) and tokens are set.  A rank
 * whose profile says nothing gets nothing, unless shares are even.
 * Errors: MOTLEY_E_DEVICE_MEMORY (the devices cannot hold it in this way), MOTLEY_E_MEMORY. */
int motley__divide(const struct motley__task *task, struct motley__division *division, struct motley_error *error);

/* *fits: every device has memory for its part of such a division, whose experts and width are set.
 * Errors: MOTLEY_E_MEMORY. */
int motley__divide_fits(const struct motley__task *task, const struct motley__division *division, int *fits,
                        struct motley_error *error);

/* May hot experts of the division get replicas?  Their loads must be known, and be those of the one layer that is
 * planned for. */
int motley__divide_replicates(const struct motley__task *task, const struct motley__division *division);

/* most [G] written: experts that each group of such a division has memory for, 0 where nothing is known of its speed.
 * Errors: MOTLEY_E_MEMORY. */
int motley__divide_room(const struct motley__task *task, const struct motley__division *division, int *most,
                        struct motley_error *error);

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
