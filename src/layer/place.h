/* What arrived becomes pairs for the local experts, without moving a row.
 *
 * Pairs are numbered own ones first, n = t*K + k < N, then received ones, N + q: by chunk (chunks.h), by source rank,
 * and of each source in the order in which it lists them.  arrive takes the lists apart; a route of `expert` (route.h)
 * sorts all pairs by batch and local expert; place finds the row and the weight of each sorted one.  On one rank there
 * is only place.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_PLACE_H
#define MOTLEY_LAYER_PLACE_H

#include "device/buffer.h"
#include "layer/chunks.h"

struct motley__arrive {
    int N, K, E, M, sources;               /* own pairs, received rows, ranks */
    struct motley__chunks chunks;          /* of own tokens, and of guests among them */
    const struct motley__buffer *indices;  /* [N] int */
    const struct motley__buffer *source;   /* [2 (chunks sources + 1)] int: rows before each source's of each chunk,
                                            * then pairs */
    const struct motley__buffer *list;     /* as the sources' motley__encode_pairs wrote it, NULL when M is 0 */
    struct motley__buffer *expert;         /* [N + received pairs] int, written: batch * E + expert, or -1 */
    /* NULL when M is 0 */
    struct motley__buffer *begin;          /* [M+1] int, written: the received pairs of row j are begin[j] .. */
    struct motley__buffer *row;            /* [received pairs] int, written: the row of each */
    struct motley__buffer *received;       /* [received pairs] written: the weight of each */
};
int motley__arrive(struct motley__device *device, const struct motley__arrive *arrive, struct motley_error *error);

struct motley__place {
    int P, N, K, own_rows;
    const struct motley__buffer *order;    /* [P] pair at each sorted position */
    const struct motley__buffer *weights;  /* [N] of own pairs */
    const struct motley__buffer *row;      /* of received pairs, NULL when there are none */
    const struct motley__buffer *received;
    struct motley__buffer *index;          /* [P] int, written: rows as in rows.h, received row j is own_rows + j */
    struct motley__buffer *weight;         /* [P] written */
};
int motley__place(struct motley__device *device, const struct motley__place *place, struct motley_error *error);

#endif
