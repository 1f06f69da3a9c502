/* What two placements of the experts make one rank send, receive and keep: pure.
 *
 * A flow is what two ranks have in common of one projection (all w1, say): of each expert that the sender holds and the
 * receiver wants, the hidden part that both have.  It is [experts, lines, width] numbers; on the wire they lie in this
 * order, so in canonical form, or, where both ranks keep panels of the same height and the part begins and ends with
 * panels on both, a panel is a line and travels as it lies.
 *
 * Flows are cut into pieces of at most so many bytes (or one line), the unit of messages.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_EXCHANGE_FLOW_H
#define MOTLEY_EXCHANGE_FLOW_H

#include "product/slice.h"

/* A matrix that every expert has, as all ranks know it. */
struct motley__projection {
    enum motley__hidden hidden;
    enum motley_dtype dtype;
    int O, I;                           /* whole */
};

struct motley__flow {
    int from, to;                       /* ranks */
    int projection;
    int experts;
    struct motley__slice_args args;     /* lines, width; panels and places on both sides, lists of local numbers */
};

struct motley__piece {
    int flow;
    int first, count;                   /* lines of it */
    int round;                          /* its place among the pieces of these two ranks */
};

/* All flows from or to one rank.  Zero is empty. */
struct motley__flows {
    struct motley__flow *flow;          /* [flows] owned: those received (the own ones among them), then those sent */
    int flows;
    int *expert;                        /* [experts] owned: the lists */
    int experts;
    struct motley__piece *receive, *send;   /* [receives], [sends] owned, in the order of posting */
    int receives, sends;
    size_t largest;                     /* bytes of the largest piece */
};

/* projection [projections]; panel [R][projections]: of each rank's matrices; me: the rank.  apart 1: what stays on the
 * rank is no flow.  sum 0: pieces from a rank
 * that follows closely come first; all pieces of a round go before the next round.  sum 1: what an element is given
 * comes in the order of ranks.  Either order is one that cannot stall while ranks have room for one piece each way.
 * Errors: MOTLEY_E_MEMORY, MOTLEY_E_UNSUPPORTED (what an int must count passes 2^31; bytes of a flow may). */
int motley__flows_make(const struct motley__placement *from, const struct motley__placement *to,
                       const struct motley__projection *projection, int projections, const int *panel, int me, int sum,
                       int apart, size_t piece_bytes, struct motley__flows *flows, struct motley_error *error);
void motley__flows_clear(struct motley__flows *flows); /* back to zero */

#endif
