/* How many chunks a step's rows travel in: pure.
 *
 * The rows of chunk c are there when the link has carried c + 1 chunks out.  Experts compute one half of the rank's own
 * pairs, then chunk after chunk, then the other half (layer/chunks.h); what a chunk gives goes back when the link is
 * free, which it is when all chunks are out:
 *
 *   link      | out 0 | out 1 | ... | back 0 | back 1 | ...
 *   experts   | own | chunk 0 | chunk 1 | ...         | own |
 *
 * With the hierarchical exchange the link is that between nodes, and what a chunk takes inside its node, out and back,
 * goes with its experts: the device waits for it.
 *
 * In backward gradients of weights follow each chunk, for which no rank waits.  Batches of fewer rows cost more for
 * each row, as the measured curves say, and every chunk costs launches and messages: with little to hide one chunk is
 * best.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COST_PIPELINE_H
#define MOTLEY_COST_PIPELINE_H

#include "allocate/divide.h"
#include "cost/predict.h"

/* Seconds of one direction of a step on one rank. */
struct motley__pipeline {
    double out, back;               /* of all rows on their way */
    double own, chunk;              /* of the experts: for half of the own pairs, for one chunk's */
    double own_after, chunk_after;  /* of the gradients that follow them */
    double each;                    /* what each chunk costs besides */
};

/* From the first row's departure to the last one's return and the end of the experts.  With one chunk own is 0 and
 * chunk is everything. */
double motley__pipeline_seconds(const struct motley__pipeline *pipeline, int chunks);

/* A number of chunks, and what it hides: seconds by which a direction is shorter than its dispatch, experts and combine
 * after one another.  The gradients of weights hide part of backward's way back with one chunk, too. */
struct motley__chunked {
    int chunks;
    double forward, backward;
};

/* 1, 2, 4 and 8 chunks (as many as the options ask for) for a division with these costs [R], by its slowest rank: the
 * fastest first, more than one only where that saves something worth having; then the others, ascending.  1 alone where
 * so little is on its way that no number could be worth it.  list written; returns how many. */
enum { MOTLEY__CHUNKINGS = 4 };
int motley__pipeline_list(const struct motley__task *task, const struct motley__division *division,
                          const struct motley__rank_cost *cost, struct motley__chunked list[MOTLEY__CHUNKINGS]);

#endif
