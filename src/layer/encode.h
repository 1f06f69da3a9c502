/* Laying out rows for the exchange, and finding them again on arrival.
 *
 * Sender.  Sorted positions [own_begin, own_end) are pairs for this rank's own experts: they stay where
 * they are.  The others are gathered into the send buffer in sorted order, without a gap:
 *
 *   positions   | to rank 0 | to rank 1 | own | to rank 3 |
 *   send rows   | to rank 0 | to rank 1 | to rank 3 |           send row j = position j, or j + own when j >= own_begin
 *
 * Receiver.  Rows arrive by source rank, and from each source by expert: counts[s][e] rows of local expert e
 * from source s (s == own rank: its own pairs).  They are placed in pairs sorted by local expert, then source:
 *
 *   offsets [E_local+1], base[s][e] = first pair of that segment
 *   index[p]   row of pair p as in rows.h: own token t, or own_rows + received row
 *   weight[p]  its routing weight
 *   pair_own[i - own_begin]  pair of sorted position i;   pair_received[j]  pair of received row j
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_ENCODE_H
#define MOTLEY_LAYER_ENCODE_H

#include "cl/types.h"
#include <motley/tensor.h>
#include "device/buffer.h"

/* send[j,:] = x[order[i]/K,:] for the send rows j; rows = N - (own_end - own_begin).  weights, send_weights may
 * be NULL (backward sends no weights): send_weights[j] = weights[order[i]]. */
struct motley__encode {
    enum motley_dtype dtype;                   /* of x and send */
    int D, K, rows, own_begin, own_end;
    const struct motley__buffer *x;            /* [T,D] */
    const struct motley__buffer *weights;      /* [T,K] or NULL */
    const struct motley__buffer *order;        /* [N] */
    struct motley__buffer *send;               /* [rows,D] written */
    struct motley__buffer *send_weights;       /* [rows] written, or NULL */
};
int motley__encode(struct motley__device *device, const struct motley__encode *encode, struct motley_error *error);

/* A struct motley__segment (cl/types.h) is one run of equal source and expert: `count` pairs from `pair` on;
 * `from` is the first received row, or for own pairs the first sorted position.  Segments are sorted by `pair`
 * and leave no gap; empty ones are allowed.  No segments: pair p is sorted position p for all own_pairs pairs, as on
 * one rank. */
struct motley__place {
    int K, segments, own_rows, own_begin, own_pairs;
    const struct motley__buffer *segment;          /* [segments] struct motley__segment */
    const struct motley__buffer *order;            /* [N] */
    const struct motley__buffer *weights;          /* [T,K] */
    const struct motley__buffer *received_weights; /* [M], NULL when M is 0 */
    struct motley__buffer *index;                  /* [P] int, written */
    struct motley__buffer *weight;                 /* [P] written */
    struct motley__buffer *pair_own;               /* [own_end-own_begin] int, written */
    struct motley__buffer *pair_received;          /* [M] int, written, NULL when M is 0 */
};
int motley__place(struct motley__device *device, const struct motley__place *place, struct motley_error *error);

#endif
