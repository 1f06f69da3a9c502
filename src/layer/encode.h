/* Laying out what leaves for other ranks.
 *
 * Ranks form groups: the ranks of a group hold slices of the same experts.  A token goes once to every rank of each
 * group that serves one of its experts, with the list of its pairs (expert, weight) there.  A group's rows are the same
 * for all its ranks, so they lie in the send buffer once:
 *
 *   pairs  sorted by slot          | slot 0 | slot 1 | ...    route of the slots
 *   heads  sorted by slot          | slot 0 | slot 1 | ...    route of the heads; send row j is of token order[j] / K
 *   list   of 2-byte units         | slot 0 | slot 1 | ...    2 for each row, 3 for each pair: cl/encode.cl
 *
 * A slot is a group, or with chunks a chunk's part of it (chunks.h).  A head is a token's first pair for a group; in
 * the plain form, for comparison, every pair is one.  Groups that are not sent to (the own one, unless other ranks are
 * in it) have the highest numbers and nothing in the send buffer.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_ENCODE_H
#define MOTLEY_LAYER_ENCODE_H

#include <motley/tensor.h>
#include "device/buffer.h"
#include "layer/chunks.h"

/* slots[n] = slot of pair n, -1 when it was dropped; heads[n] = slots[n] when the group is below `sent` and the pair is
 * its token's first for it (or `every` is set); else -1. */
struct motley__heads {
    int N, K, groups, sent, every;
    struct motley__chunks chunks;
    const struct motley__buffer *indices;      /* [N] int; -1: a dropped choice */
    const struct motley__buffer *server;       /* [E] int: group that serves each expert */
    struct motley__buffer *slots, *heads;      /* [N] int, written */
};
int motley__heads(struct motley__device *device, const struct motley__heads *heads, struct motley_error *error);

/* choices[n] = E (1 + t % lots) + indices[n], t = n / K: pairs by the lot of their token; -1 stays. */
struct motley__choices {
    int N, K, E, lots;
    const struct motley__buffer *indices;      /* [N] int */
    struct motley__buffer *choices;            /* [N] int, written */
};
int motley__choices(struct motley__device *device, const struct motley__choices *choices, struct motley_error *error);

/* send[j,:] = row of token order[j] / K   first <= j < first + rows */
struct motley__encode {
    enum motley_dtype dtype;                   /* of x and rest */
    enum motley_dtype wire;                    /* of send */
    int D, K, first, rows;
    const struct motley__buffer *x;            /* [T,D] */
    const struct motley__buffer *rest;         /* rows of tokens T and on; NULL: all are in x */
    int T;                                     /* with rest */
    const struct motley__buffer *order;        /* [first + rows] pairs */
    struct motley__buffer *send;               /* [first + rows,D] written from row `first` on */
};
int motley__encode(struct motley__device *device, const struct motley__encode *encode, struct motley_error *error);

/* x[j,:] = arrived[j,:]   first <= j < first + rows: what travelled, as experts want it */
struct motley__widen {
    enum motley_dtype dtype, wire;             /* of x; of arrived */
    int D, first, rows;
    const struct motley__buffer *arrived;      /* [first + rows,D] */
    struct motley__buffer *x;                  /* [first + rows,D] written from row `first` on */
};
int motley__widen(struct motley__device *device, const struct motley__widen *widen, struct motley_error *error);

/* Bytes of a unit of the list, and units of so many rows with so many pairs. */
enum { MOTLEY__LIST_UNIT = 2 };
static inline int64_t motley__list_units(int rows, int pairs)
{
    return 2 * (int64_t)rows + 3 * (int64_t)pairs;
}

/* The list of the pairs that are sent, those at sorted positions below `pairs`.  An expert's number takes 2 bytes. */
struct motley__encode_pairs {
    int pairs;
    const struct motley__buffer *indices, *weights;    /* [N] */
    const struct motley__buffer *name;                 /* the number that goes for each index; NULL: itself */
    const struct motley__buffer *slots;                /* [N] int */
    const struct motley__buffer *order, *pair_offsets; /* route of the slots */
    const struct motley__buffer *row, *row_offsets;    /* `where` and `offsets` of the route of the heads */
    struct motley__buffer *list;                       /* written */
};
int motley__encode_pairs(struct motley__device *device, const struct motley__encode_pairs *encode,
                         struct motley_error *error);

#endif
