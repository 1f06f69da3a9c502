/* Capacity: an expert takes at most so many pairs of all ranks, first choices before second ones.
 *
 * Choices are counted globally: all first choices, tokens in order of rank and position, then all second ones, and so
 * on; what comes to an expert beyond its capacity is dropped.  Prioritised, tokens count in order of their best score
 * instead, equal ones still in order of rank and position.
 *
 * So at each expert the choices before one, `open`, are kept, those behind it dropped, and some of those at it kept:
 *
 *   1. every rank counts its pairs of each choice and expert; the sum over ranks says which choice is open
 *   2. prioritised: the score down to which tokens are kept is found bit by bit, six bits at a time: every rank counts
 *      its tokens by these bits, and the sum over ranks says in which bin the last token is that is kept.  Whatever the
 *      number of tokens that takes 5 sums of 64 numbers for each expert that drops any
 *   3. of tokens with just this score (else: of all) the first are kept: a scan over ranks says how many of them are on
 *      ranks before
 *
 * Where no expert drops anything nothing follows the first sum.  Source: Flex (arXiv 2206.03382), whose buffers have
 * K * int(f * ceil(tokens / E)) rows for an expert; here nothing has, so a capacity of 0 is none at all.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_CAPACITY_H
#define MOTLEY_LAYER_CAPACITY_H

#include <stdint.h>

#include "cl/types.h"
#include "device/buffer.h"

enum { MOTLEY__CAPACITY_BINS = 1 << MOTLEY__CAPACITY_BITS, MOTLEY__CAPACITY_DIGITS = 5 };

/* Pairs of all ranks that an expert takes; f positive or negative, not 0. */
int64_t motley__capacity_rows(double f, int64_t tokens, int E, int K);

/* One forward's arithmetic on the host.  Everything owned. */
struct motley__capacity {
    int E, K;
    double factor;                      /* f */
    int prioritised;
    int *counts;                        /* [K,E] of this rank */
    int64_t *totals;                    /* [K*E+1] of all ranks; the last: tokens */
    int dropping;                       /* experts that drop something: */
    int *expert;                        /* [dropping] which, ascending */
    int64_t *room;                      /* [E] how many of the open choice are kept, less those found above bound */
    int *limits;                        /* [3,E]: open (K: nothing is dropped), bound, ties, as cl/capacity.cl takes
                                         * them */
    int *bins;                          /* [E,64] of this rank */
    int64_t *sums;                      /* [dropping,64] of all ranks; later [dropping]: ties of the ranks before */
    int *tied;                          /* [E] this rank's pairs of the open choice at the bound */
    int shift;                          /* of the bits to look at next; negative: all are found */
    int64_t kept;                       /* this rank's pairs that are not dropped */
};
int motley__capacity_create(int E, int K, double factor, int prioritised, struct motley__capacity **capacity,
                            struct motley_error *error);
void motley__capacity_destroy(struct motley__capacity *capacity); /* accepts NULL */

/* This rank's part of a sum, and what follows from the sum over all ranks.  In this order; pack_digits and
 * digits_summed MOTLEY__CAPACITY_DIGITS times when prioritised, and from there on only while `dropping`. */
void motley__capacity_pack(struct motley__capacity *capacity, int T);       /* counts -> totals */
void motley__capacity_summed(struct motley__capacity *capacity);            /* totals -> open, room */
void motley__capacity_pack_digits(struct motley__capacity *capacity);       /* bins -> sums */
void motley__capacity_digits_summed(struct motley__capacity *capacity);     /* sums -> bound, room */
void motley__capacity_pack_ties(struct motley__capacity *capacity);         /* tied -> sums */
void motley__capacity_scanned(struct motley__capacity *capacity);           /* sums of ranks before -> ties, kept */

/* The kernels.  Pairs by expert as motley__route sorts them without a table. */
struct motley__capacity_pairs {
    int E, K, shift;
    const struct motley__buffer *order, *offsets;
    const struct motley__buffer *score;         /* [T], or NULL: not prioritised */
    const struct motley__buffer *limits;        /* [3,E] int */
    struct motley__buffer *counts;              /* [K,E] int; count: written */
    struct motley__buffer *bins;                /* [E,64] int; digits: written */
    struct motley__buffer *indices, *weights;   /* [N]; drop: -1 and 0 where dropped */
};
int motley__capacity_count(struct motley__device *device, const struct motley__capacity_pairs *pairs,
                           struct motley_error *error);
int motley__capacity_digits(struct motley__device *device, const struct motley__capacity_pairs *pairs,
                            struct motley_error *error);
int motley__capacity_drop(struct motley__device *device, const struct motley__capacity_pairs *pairs,
                          struct motley_error *error);

#endif
