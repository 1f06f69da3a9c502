/* The hierarchical exchange (2DH): a token crosses to another node once, however many ranks there serve it.
 *
 * Each rank sends its tokens to one rank of another node, its gateway there; a node's ranks share out the ranks of
 * another one by turns.  A guest, a row that came so, is one more token for the exchange inside the node, which is the
 * linear one among the node's ranks (peers.h):
 *
 *   rank of node a                gateway on node b             ranks of node b
 *   token, once   --------------> guest, token T + j   -------> its experts there
 *   adds one row  <-------------- sum over node b      <------- one row of each rank
 *
 * With it go its pairs; the gateway gives their slots as for own tokens, and knows by the plan which group serves each.
 * In backward dy goes the same way, and back come dx, one row, and a number for each pair.
 *
 *   forward    route far | counts, pairs | guests | route, counts, pairs | rows between nodes | rows inside the node
 *              ... rows back inside the node | sums for guests | rows back between nodes, own sums under them | added
 *
 * Rows between nodes wait for the counts inside the node: guests and what other ranks of the node send lie in one
 * buffer, guests first, and its size must be known.  A node's sum is rounded once before it crosses, and is added last.
 *
 * In chunks (chunks.h) tokens are cut by number at their source, for both hops: what crosses as chunk c is spread
 * inside the node with its own tokens of chunk c, while chunk c + 1 crosses.  Pairs of all chunks cross before the
 * first row: from there on every buffer has its size.
 *
 * Where ranks of one group sit on several nodes a token goes to all nodes that such groups join, once to each: slices
 * of one expert need it on all of them.  Where experts have replicas its source says which one serves each pair
 * (peers.h).  Sources: Tutel (arXiv 2206.03382); one row for each node: GRACE-MoE (arXiv 2509.25041).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_GATEWAY_H
#define MOTLEY_LAYER_GATEWAY_H

#include "exchange/exchange.h"
#include "layer/layer.h"
#include "layer/peers.h"

struct motley__gateway {
    struct motley__peers *peers;     /* between nodes; owned, as all of these */
    struct motley__buffer *server;   /* [choices] int: set of nodes that serves each (peers.h) */
    struct motley__buffer *name;     /* [choices] int: what they are called there; NULL without replicas */
    struct motley__counts *counts;
    struct motley__transfer *lists[MOTLEY__CHUNKS_MOST], *dispatch[MOTLEY__CHUNKS_MOST], /* [chunks] each */
                            *combine[MOTLEY__CHUNKS_MOST], *dispatch_back[MOTLEY__CHUNKS_MOST],
                            *combine_back[MOTLEY__CHUNKS_MOST];
};

/* The rank of a node that a source's tokens go to.  node_of [R]. */
int motley__gateway_of(const int *node_of, int R, int source, int node);

/* Whom a rank's tokens go to on other nodes, and whose come here: groups are sets of nodes.  node_of [R].
 * Errors: MOTLEY_E_MEMORY. */
int motley__gateway_peers(const motley_plan *plan, int rank, const int *node_of, struct motley__peers **peers,
                          struct motley_error *error);

/* Errors: MOTLEY_E_MEMORY, MOTLEY_E_COMM. */
int motley__gateway_create(motley_layer *layer, struct motley__gateway **gateway, struct motley_error *error);
void motley__gateway_destroy(struct motley__gateway *gateway); /* accepts NULL */

/* crossing.c: the operators' bodies; self is the layer's number, or the layer. */
int motley__forward_route_far(void *self, struct motley_error *error);      /* sort own pairs by set of nodes */
int motley__forward_list_far(void *self, struct motley_error *error);       /* what of them crosses */
int motley__forward_count_far(void *self, struct motley_error *error);
int motley__forward_lists_far(void *self, struct motley_error *error);
int motley__forward_lists_far_test(void *self, int *done, struct motley_error *error);
void motley__forward_lists_far_missing(const void *self, char *text, int size);
int motley__forward_guests(void *self, struct motley_error *error);         /* guests become tokens */
int motley__forward_encode_far(void *self, struct motley_error *error);     /* rows that cross */
int motley__forward_dispatch_far(void *self, struct motley_error *error);   /* chunk */
int motley__forward_widen_far(void *self, struct motley_error *error);      /* chunk: guests, narrow on their way */
int motley__forward_decode_guests(void *self, struct motley_error *error);  /* chunk: the node's sums */
int motley__forward_combine_far(void *self, struct motley_error *error);    /* chunk */
int motley__forward_decode_far(void *self, struct motley_error *error);     /* those of other nodes are added */

int motley__backward_encode_far(void *self, struct motley_error *error);    /* dy */
int motley__backward_dispatch_far(void *self, struct motley_error *error);  /* chunk */
int motley__backward_widen_far(void *self, struct motley_error *error);
int motley__backward_decode_guests(void *self, struct motley_error *error); /* chunk: dx, and their pairs' numbers */
int motley__backward_combine_far(void *self, struct motley_error *error);   /* chunk */
int motley__backward_decode_far(void *self, struct motley_error *error);

#endif
