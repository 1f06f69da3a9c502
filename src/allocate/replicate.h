/* Replicas: groups that serve an expert beside the one that stores it, because its rows would keep that one waiting.
 *
 * As long as it pays, the slowest group's hottest expert is served by one group more, or a greater part of it by one
 * that has it already, so that both end at one time.  What a group waits for weights and gradients that replicas make
 * travel in every step of training counts as its time; in inference they travel once, which counts nothing.
 * (LLEP, arXiv 2601.17111, moves rows above a limit, with the weights, to the least loaded rank in every step; here it
 * is planned from measured curves, memory and links.)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_REPLICATE_H
#define MOTLEY_ALLOCATE_REPLICATE_H

#include "allocate/divide.h"

/* Seconds of group g for an expert that brings it such a share of all pairs. */
typedef double motley__replicate_seconds(const void *data, int g, double share);

/* The division's replicas and rest, from its owner, width and groups.  most [G]: experts a group has memory for,
 * replicas included; 0: none.  Errors: MOTLEY_E_MEMORY. */
int motley__replicate(const struct motley__task *task, struct motley__division *division,
                      motley__replicate_seconds *seconds, const void *data, const int *most,
                      struct motley_error *error);

#endif
