/* Whom this rank's tokens go to, whose come here, and where both lie in the buffers of a step.
 *
 * Groups of ranks are numbered so that the own one is the last: others are always sent to, it only when other ranks
 * that take rows are in it.  Rows of the groups that are sent to lie in the send buffer by group; each rank of a group
 * gets the same ones.  What a rank gives back is a stream: streams are numbered by group, and in a group by the ranks'
 * slices; they lie in the buffer of returned rows by rank.  With chunks (chunks.h) all this comes once for each chunk,
 * one behind the other.
 *
 * Where experts have replicas, which group serves a pair depends on the lot of its token (plan.h), too.  A pair of
 * expert e in lot s is then choice (1 + s) E + e; what other ranks send is for this one whatever its lot, and stays
 * choice e.  Without replicas experts are the choices.
 *
 * Between nodes a pair names who serves it, for its lot is known at its source alone: expert e is number e where its
 * owner does, E + i where replica i of the plan does.  A guest's pair of such a number is choice
 * (1 + lots) E + number.
 *
 * Between nodes (gateway.h) a group is a set of them, its members their gateways, and the own node is the last group.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_PEERS_H
#define MOTLEY_LAYER_PEERS_H

#include "exchange/exchange.h"
#include "layer/chunks.h"
#include "plan/plan.h"

/* What lies by rank in a chunk's part of a buffer of the exchange. */
enum motley__span_of {
    MOTLEY__SENT_ROWS, MOTLEY__SENT_LIST,                         /* by group; list in units (encode.h) */
    MOTLEY__ARRIVED_ROWS, MOTLEY__ARRIVED_LIST, MOTLEY__ARRIVED_PAIRS,
    MOTLEY__PLACED_ROWS,                                          /* arrived ones, behind the guests */
    MOTLEY__BACK_ROWS, MOTLEY__BACK_PAIRS,
    MOTLEY__SPANS
};

struct motley__peers {
    int R, me;
    int G, sent;                /* groups; of them sent to: numbers 0 .. sent-1 */
    int *group;                 /* [R] of each rank, for one that is in none the last; owned, as all arrays */
    int *to, *from;             /* [R] 1: other ranks that take this one's rows; whose rows come here */
    int E, lots;                /* lots 1: no replicas */
    int named;                  /* choices of guests */
    int *server;                /* [choices] group that serves each; -1: none of these */
    int *name;                  /* [choices] their numbers on the wire: experts, between nodes as above */
    int streams, *stream;       /* [streams] rank of each */
    int chunks;

    /* Of the step under way. */
    int guests;                             /* rows of other nodes before those that arrive (gateway.h) */
    int *row_offsets, *pair_offsets;        /* [chunks G + 1] rows and pairs of slots before each, as routed */
    struct motley__spans *span[MOTLEY__SPANS];  /* [chunks] each */
    int *table;                 /* [G+1 + 2 chunks streams] of struct motley__returned */
    int *source;                /* [2 (chunks R + 1)] of struct motley__arrive */
};

/* Numbers in a table of G groups and so many streams, and in `source` of R ranks. */
static inline size_t motley__peers_table(int G, int streams, int chunks)
{
    return (size_t)G + 1 + 2 * (size_t)streams * (size_t)chunks;
}

static inline size_t motley__peers_source(int R, int chunks)
{
    return 2 * ((size_t)R * (size_t)chunks + 1);
}

/* Pairs of a chunk that stay on the rank, if it has experts. */
int motley__peers_staying(const struct motley__peers *peers, int chunk);

/* Rows that are sent, or their pairs, of the chunks before this one; those of all when it is `chunks`. */
static inline int motley__peers_before(const struct motley__peers *peers, const int *offsets, int chunk)
{
    return offsets[chunk * peers->sent];
}

static inline int motley__peers_choices(const struct motley__peers *peers)
{
    return peers->lots > 1 ? (1 + peers->lots) * peers->E + peers->named : peers->E;
}

/* The plan's groups.  node_of [R] borrowed: of every group only the members on the rank's own node; NULL: all members.
 * Errors: MOTLEY_E_MEMORY, MOTLEY_E_UNSUPPORTED (more experts than their numbers on the wire can tell apart). */
int motley__peers_create(const motley_plan *plan, int rank, const int *node_of, struct motley__peers **peers,
                         struct motley_error *error);
void motley__peers_destroy(struct motley__peers *peers); /* accepts NULL */

/* Peers of so many ranks, groups, experts, lots and chunks whose arrays are still to be filled: group, to, from,
 * server, name, and, by motley__peers_add in the order of groups and then of the sums, the streams.
 * Errors: MOTLEY_E_MEMORY. */
struct motley__peers_sizes {
    int R, me, G, E, lots, chunks, named;
    int streams;                /* at most */
};
int motley__peers_alloc(const struct motley__peers_sizes *sizes, struct motley__peers **peers,
                        struct motley_error *error);
void motley__peers_add(struct motley__peers *peers, int group, int rank);
void motley__peers_close(struct motley__peers *peers); /* all are added */

/* row_offsets and pair_offsets are known: what is sent, and mine [R,chunks], the counts for each rank.
 * Errors: MOTLEY_E_UNSUPPORTED (a message would pass 2^31 units). */
int motley__peers_sent(struct motley__peers *peers, struct motley__count *mine, struct motley_error *error);

/* theirs [R,chunks] is known: what arrives and comes back, and the two tables.  Errors: as above. */
int motley__peers_arrived(struct motley__peers *peers, const struct motley__count *theirs, struct motley_error *error);

#endif
