/* The re-index: routed pairs sorted by expert, without moving a row.
 *
 * Pair n = t*K + k.  Experts are numbered by slot: their place in the plan's order (by owning rank, then
 * expert), so that pairs sorted by slot are also sorted by destination rank.  The sort is stable:
 * pairs of an expert stay in token order, so results repeat bit for bit.
 *
 *   order   [N]    order[i] = pair at sorted position i
 *   where   [N]    where[order[i]] = i
 *   offsets [E+1]  pairs of slot s are at positions offsets[s] .. offsets[s+1]-1
 *
 * A pair whose index is not an expert (-1, a dropped choice) is left out: offsets[E] is then less than N, and its
 * `where` is -1, which decode skips.
 *
 * Counting sort: chunk histograms, exclusive scan, stable placement.  cl/route.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_ROUTE_H
#define MOTLEY_LAYER_ROUTE_H

#include "device/buffer.h"

struct motley__route {
    int T, K, E;
    const struct motley__buffer *indices;   /* [T,K] int */
    const struct motley__buffer *slot;      /* [E] int: slot of each expert */
    struct motley__buffer *histogram;       /* scratch, motley__route_scratch_bytes */
    struct motley__buffer *order, *where;   /* [N] int, written */
    struct motley__buffer *offsets;         /* [E+1] int, written (also when T is 0) */
};
size_t motley__route_scratch_bytes(int T, int K, int E);
int motley__route(struct motley__device *device, const struct motley__route *route, struct motley_error *error);

#endif
