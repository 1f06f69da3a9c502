/* What moving bytes between ranks costs: pure functions of what the links were measured to do.
 *
 *   node a                      node b
 *   rank 0 --inside a-- rank 1  rank 2 --inside b-- rank 3
 *        \            /              \            /
 *         link of a ==== between a and b ==== link of b
 *
 * Ranks of one node exchange through memory, each at the bandwidth of "inside"; what leaves a node goes over the
 * node's one link, full duplex, which all its ranks share.  In an exchange every rank posts all its messages at once,
 * so that links serve all of them a little at a time: what goes over a link ends when the link has moved everything.
 *
 *   seconds = latency + messages * message + bytes / bandwidth         (LogGP: L, o + g, 1/G)
 *
 * Nodes of one kind have the same links, so a cluster of thousands of nodes is a few numbers.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PROFILE_LINK_H
#define MOTLEY_PROFILE_LINK_H

#include "base/error.h"

/* Zero is a link that costs nothing, and so is one that was never measured. */
struct motley__link {
    double latency;                  /* seconds until the first message of an exchange is there */
    double message;                  /* seconds of every message of a rank beyond its bytes, one in and one out */
    double bandwidth;                /* bytes per second each way; inside a node: of each rank while all exchange,
                                      * between nodes: of the whole node.  0: without end */
};

/* Who sits where, and the links between.  Zero is empty. */
struct motley__links {
    int R, nodes, kinds;
    int *node;                       /* [R] of each rank, 0..nodes-1; owned, and so are the next three */
    int *kind;                       /* [nodes] 0..kinds-1 */
    struct motley__link *inside;     /* [kinds] */
    struct motley__link *between;    /* [kinds, kinds] symmetric; [k,k] between two nodes of kind k */
};

/* All zero: one node has every rank, nothing costs anything.  Errors: MOTLEY_E_MEMORY. */
int motley__links_alloc(int R, int nodes, int kinds, struct motley__links *links, struct motley_error *error);
void motley__links_clear(struct motley__links *links); /* back to empty; accepts NULL */

/* What an exchange comes to. */
struct motley__traffic {
    double seconds;                  /* of the slowest rank */
    double bytes, node_bytes;        /* that leave a rank; of them those that leave a node */
};

/* An exchange in which rank r sends give[r] * take[q] bytes to every other rank q, in `messages` messages (none where
 * there are no bytes).  All modes move their rows and weights like this: tokens of r to q in proportion to what q
 * serves, slices that r stores to everyone.  The way back is the exchange with give and take exchanged.
 *
 * A rank waits for all that it sends and receives, so for the slowest of the links that have some of it.  Copies
 * between devices and their pinned host memory are not in this: they are a rate of the rank's device.
 *
 * give, take  [R] none negative, borrowed
 * seconds     [R] of each rank, written; NULL: not wanted
 *
 * O(R + nodes * kinds).  Errors: MOTLEY_E_MEMORY. */
int motley__link_exchange(const struct motley__links *links, const double *give, const double *take, int messages,
                          double *seconds, struct motley__traffic *traffic, struct motley_error *error);

#endif
