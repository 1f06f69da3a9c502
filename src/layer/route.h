/* The re-index: routed pairs sorted by slot, without moving a row.
 *
 * A slot is what a table makes of a pair's index: the local number of its expert, or the group of ranks that serves it.
 * The sort is stable: pairs of a slot stay in token order, so results repeat bit for bit.
 *
 *   order   [N]        order[i] = pair at sorted position i
 *   where   [N]        where[order[i]] = i
 *   offsets [slots+1]  pairs of slot s are at positions offsets[s] .. offsets[s+1]-1
 *
 * A pair whose index is outside 0..E-1 (-1, a dropped choice) or has slot -1 (not here) is left out: offsets[slots] is
 * then less than N, and its `where` is -1.
 *
 * Counting sort: chunk histograms, exclusive scan, stable placement.  cl/route.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_ROUTE_H
#define MOTLEY_LAYER_ROUTE_H

#include "device/buffer.h"

struct motley__route {
    int N, E, slots;                        /* slots at least 1 */
    const struct motley__buffer *indices;   /* [N] int */
    const struct motley__buffer *slot;      /* [E] int: slot of each index; NULL: an index is its own slot */
    struct motley__buffer *histogram;       /* scratch, motley__route_scratch_bytes */
    struct motley__buffer *order, *where;   /* [N] int, written */
    struct motley__buffer *offsets;         /* [slots+1] int, written (also when N is 0) */
};
size_t motley__route_scratch_bytes(int N, int slots);
int motley__route(struct motley__device *device, const struct motley__route *route, struct motley_error *error);

#endif
