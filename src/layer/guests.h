/* Tokens of other nodes take their place behind the own ones.
 *
 * A row that came from another node, a guest, is one more token for the exchange inside this one (gateway.h): token
 * T + j, with as many of K choices as its list names; the others are dropped ones.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_GUESTS_H
#define MOTLEY_LAYER_GUESTS_H

#include "device/buffer.h"

struct motley__guests {
    int N, K, M, sections;                         /* own pairs, guests */
    int first;                                     /* what guests' experts are counted from (peers.h) */
    const struct motley__buffer *own_indices, *own_weights; /* [N] */
    const struct motley__buffer *source;           /* [2 (sections + 1)] int: rows before each section's, of a source
                                                    * and chunk; then pairs */
    const struct motley__buffer *list;             /* as the sources' motley__encode_pairs wrote it; NULL when M is 0 */
    struct motley__buffer *indices, *weights;      /* [N + M K] written */
    struct motley__buffer *at;                     /* [guests' pairs] int, written: the place of each in `indices` */
};
int motley__guests(struct motley__device *device, const struct motley__guests *guests, struct motley_error *error);

/* Of pairs that stay on the rank, sorted by slot (encode.h), those that are own tokens': own[c] for each chunk. */
struct motley__staying {
    int N;                                         /* own pairs */
    int chunks, first, step;                       /* of chunk c in slot first + c step */
    const struct motley__buffer *order, *offsets;  /* route of the slots */
    struct motley__buffer *own;                    /* [chunks] int, written */
};
int motley__staying(struct motley__device *device, const struct motley__staying *staying, struct motley_error *error);

#endif
