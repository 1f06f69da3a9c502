/* What the two lists of a step are made of.
 *
 * Each function appends operators to a list and returns those that what comes behind may have to wait for.  Lists are
 * put together in layer.c; pipeline.c has the part of a list in which rows travel.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_LISTS_H
#define MOTLEY_LAYER_LISTS_H

#include "layer/state.h"

typedef int motley__operator(void *self, struct motley_error *error);

/* A computation.  self: the layer, or one of its numbers. */
struct motley__ops motley__list_compute(struct motley__step *step, void *self, const char *name,
                                        enum motley__phase phase, struct motley__ops after, motley__operator *begin);
/* A message to and from other ranks that is waited for. */
struct motley__ops motley__list_transfer(struct motley__step *step, void *self, enum motley__phase phase,
                                         struct motley__ops after, motley__operator *begin,
                                         struct motley__transfer *transfer);
struct motley__ops motley__list_counts(struct motley__step *step, void *self, const char *name,
                                       struct motley__ops after, motley__operator *begin,
                                       struct motley__counts *counts);

/* Where this rank's tokens are among all: the noise of each follows from that. */
struct motley__ops motley__list_position(motley_layer *layer, struct motley__step *step);
/* Which choices are beyond the experts' capacity: a sum over ranks, prioritised some more, and a scan. */
struct motley__ops motley__list_capacity(motley_layer *layer, struct motley__step *step, struct motley__ops counted);
void motley__list_losses(motley_layer *layer, struct motley__step *step);

/* Where weights travel: the layer's that others store, for which only the experts wait; those of the next layer, begun
 * here; gradients of what others store, to them, and the end of those of the layer before. */
struct motley__ops motley__list_fetch(motley_layer *layer, struct motley__step *step);
void motley__list_prefetch(motley_layer *layer, struct motley__step *step, struct motley__ops after,
                           motley__operator *begin);
void motley__list_settle(motley_layer *layer, struct motley__step *step, struct motley__ops after);
struct motley__ops motley__list_settled(motley_layer *layer, struct motley__step *step);

/* Rows out, experts, rows back, in the order of these three; with the hierarchical exchange each chunk in two hops.
 *
 *   linear        encode 0, 1, ..  | dispatch 0, 1, .. | experts | own half, then of each chunk: experts, sum, combine
 *                                                                | ..., own half
 *   hierarchical  all rows to other nodes are laid out; chunk c + 1 crosses while chunk c is spread inside the node:
 *                 of each chunk: [c + 1 crosses] encode, dispatch, experts, sum, combine, [sums of c - 1 cross back]
 *
 * Sums of a chunk wait for what comes back inside the node, and so go behind the next chunk's computation; those of the
 * last chunk before own pairs of the other half, which hide them. */
struct motley__direction;
extern const struct motley__direction motley__forward_rows, motley__backward_rows;

struct motley__pipeline {
    motley_layer *layer;
    struct motley__step *step;
    const struct motley__direction *way;
    struct motley__ops sized;            /* buffers have their sizes */
    struct motley__ops encoded[MOTLEY__CHUNKS_MOST];
    struct motley__ops crossed[MOTLEY__CHUNKS_MOST]; /* rows of other nodes are here */
    struct motley__ops arrived[MOTLEY__CHUNKS_MOST], back[MOTLEY__CHUNKS_MOST];
    struct motley__ops returned, crossed_back;       /* all is back inside the node; from other nodes */
    struct motley__ops multiplied;       /* the last batch */
};

/* What can be laid out when it is known whom tokens go to; returns what lists of pairs wait for. */
struct motley__ops motley__pipeline_encode(struct motley__pipeline *pipeline, struct motley__ops after);
/* Rows leave, as far as they need not wait for others; sized: after it buffers have their sizes. */
void motley__pipeline_dispatch(struct motley__pipeline *pipeline, struct motley__ops sized);
/* Batch after batch; what is due to others goes back at once.  Writes returned, crossed_back and multiplied. */
void motley__pipeline_experts(struct motley__pipeline *pipeline, struct motley__ops fetched);

#endif
