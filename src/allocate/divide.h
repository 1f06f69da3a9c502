/* Dividing a layer's work among groups of ranks: how many experts a group has, how wide a slice each rank of it.
 * Integers, chosen so that the slowest rank is as fast as the measured curves allow.
 *
 *   slices    inside each group, cut at multiples of a grain: they give the group's seconds for one expert
 *   experts   among groups, by these seconds
 *
 * Both are exact integer optima (allocate.h), and so are they together: a group with n experts needs n times what it
 * needs for one, whatever n is.  Where experts are known to get unequal numbers of rows, it matters which ones a group
 * has (spread.h), and hot ones may be served by several groups (replicate.h).  What ranks bring is tokens.h's, which of
 * them form a group group.h's, what moving rows adds refine.h's, and which mode is best mode.h's; what
 * follows from a division is cost/division.h's.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_DIVIDE_H
#define MOTLEY_ALLOCATE_DIVIDE_H

#include "cost/division.h"

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

#endif
