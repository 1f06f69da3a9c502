/* From experts' outputs back to tokens.
 *
 *   combine   returned[j,:] = sum over the pairs of received row j of s o[p,:]             on the experts' rank
 *   decode    y[t,:] = sum of s o[p,:] over the pairs of own experts, then of all rows that came back   on the token's
 *
 * where s = weight[p] or 1.  k ascends, and the ranks of a group are summed in their order in the group, so y does not
 * depend on arrival.  Sums are in f32 and rounded once.  Forward weighs (the routing weights), backward does not.
 * decode_scalars finds dweights [T,K] the same way from one number a pair.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_DECODE_H
#define MOTLEY_LAYER_DECODE_H

#include <motley/tensor.h>
#include "device/buffer.h"
#include "layer/chunks.h"

struct motley__combine {
    enum motley_dtype dtype;                   /* of o */
    enum motley_dtype wire;                    /* of returned */
    int row, rows, D;                          /* received rows row .. row + rows - 1 */
    int first;                                 /* received pairs are numbered from `first` on */
    const struct motley__buffer *o;            /* [P,D] */
    const struct motley__buffer *begin;        /* [row+rows+1] int: the pairs of each row, less `first` (place.h) */
    const struct motley__buffer *where;        /* int: sorted position of each pair */
    const struct motley__buffer *weight;       /* [P], or NULL: not weighted */
    struct motley__buffer *returned;           /* [row+rows,D] written from `row` on */
};
int motley__combine(struct motley__device *device, const struct motley__combine *combine, struct motley_error *error);

/* What came back.  A stream is what one rank gave back; those of group g are table[g] .. table[g+1]-1, in the order in
 * which they are summed.  Of stream s, send row j of chunk c came back as row table[groups+1 + c streams + s] + j, and
 * the scalar of the pair at position i by slot as number table[groups+1 + (chunks + c) streams + s] + i. */
struct motley__returned {
    int groups, streams;
    struct motley__chunks chunks;
    const struct motley__buffer *indices;      /* [N] int */
    const struct motley__buffer *server;       /* [E] int */
    const struct motley__buffer *row;          /* [N] int: send row of a head, -1 of others */
    const struct motley__buffer *pair;         /* [N] int: position of each pair sorted by slot; for scalars */
    const struct motley__buffer *table;        /* [groups+1 + 2 chunks streams] int */
    const struct motley__buffer *rows;         /* [.,D] */
    enum motley_dtype wire;                    /* of rows */
    const struct motley__buffer *scalars;
};

struct motley__decode {
    enum motley_dtype dtype, out;              /* of o; of y */
    int first, T, K, D;                        /* tokens first .. first + T - 1 */
    int row;                                   /* the first one's of y */
    const struct motley__buffer *where;        /* sorted position of each pair, -1: not of an own expert; NULL: none is,
                                                * and scalars that came back are added to those that are there */
    const struct motley__buffer *o;            /* [P,D] own experts' outputs */
    const struct motley__buffer *weight;       /* [P], or NULL: not weighted */
    struct motley__returned returned;          /* zero: nothing came back */
    int accumulate;                            /* 1: y += ... */
    struct motley__buffer *y;                  /* [row+T,D] written from `row` on */
};
int motley__decode(struct motley__device *device, const struct motley__decode *decode, struct motley_error *error);

/* returned[q] = s[where[first + q]], pair <= q < pair + pairs;
 * out[t,k] = s[p] of an own expert plus the scalars that came back, of the same tokens. */
int motley__combine_scalars(struct motley__device *device, int pair, int pairs, int first,
                            const struct motley__buffer *s, const struct motley__buffer *where,
                            struct motley__buffer *returned, struct motley_error *error);
int motley__decode_scalars(struct motley__device *device, const struct motley__decode *decode,
                           const struct motley__buffer *s, struct motley__buffer *out, struct motley_error *error);

#endif
