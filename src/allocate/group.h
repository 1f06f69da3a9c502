/* Which ranks form a group: so that the slowest group is as fast as can be.
 *
 * The ranks of a group share the hidden dimension of its experts, so a group is about as fast as its ranks together.
 * With few ranks every way to form groups is tried with its slices and experts.  With many, the ranks are dealt out
 * from the fastest to the slowest, each to the group that has the least speed so far; ranks that follow one another,
 * often neighbours on a node, form groups where that is no slower.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_GROUP_H
#define MOTLEY_ALLOCATE_GROUP_H

#include "allocate/divide.h"

enum { MOTLEY__GROUP_EXACT = 8 };    /* ranks up to which every way is tried: at most 105 ways */

/* R ranks in G groups, sizes as even as can be: the division's G, group_of, experts and width.
 * Errors: those of motley__divide. */
int motley__group(const struct motley__task *task, int G, struct motley__division *division,
                  struct motley_error *error);

#endif
