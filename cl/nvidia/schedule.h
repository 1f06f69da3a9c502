/* Which tile of which expert a work-group computes.
 *
 * All experts' tiles are one list.  Where a launch has as many work-groups as the device has multiprocessors
 * (wgmma), group g takes tiles g, g + groups, ... where all tiles cost the same (ESMM), and else tile g and then draws
 * tickets (ESTMM); where it has one for each tile (mma), group g takes tile g.
 * An expert's row tiles are numbered as in ragged.h, from its offset alone, so surplus numbers without rows exist;
 * the offsets are copied to local memory once.  Within an expert tiles follow each other in bands of BAND row
 * tiles, column by column, so that what runs at one time shares rows and weights in the L2 cache.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_SCHEDULE_H
#define MOTLEY_CL_NVIDIA_SCHEDULE_H

#include "types.h"

#define MAX_EXPERTS 4096 /* of one launch; MOTLEY__NVIDIA_EXPERTS of src/product/nvidia.h */
#define BAND 16
#define NO_TILE (-1)

struct tile {
    int expert;         /* of the launch, from 0 */
    int first, rows;    /* pairs; no rows: nothing to do */
    int column;         /* number of the column tile */
};

/* The experts' first pairs, [experts + 1]; a barrier must follow.  Without offsets one expert has all rows. */
static inline void offsets_copy(struct motley__product_args args, __global const int *offsets, __local int *copy)
{
    for (int e = get_local_id(0); e <= args.experts; e += get_local_size(0))
        copy[e] = offsets ? offsets[args.first + e] : e * args.rows;
}

static inline int tiles_before(__local const int *offsets, int expert, int height)
{
    return (offsets[expert] - offsets[0]) / height + expert;
}

static inline struct tile tile_find(struct motley__product_args args, __local const int *offsets, int number,
                                    int height, int columns)
{
    struct tile tile = {0, 0, 0, 0};
    int low = 0, high = args.experts;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (tiles_before(offsets, middle, height) * columns <= number)
            low = middle;
        else
            high = middle;
    }
    int rows = offsets[low + 1] - offsets[low], tiles = (rows + height - 1) / height;
    int here = number - tiles_before(offsets, low, height) * columns;
    tile.expert = low;
    if (here < tiles * columns) {
        int band = here / (BAND * columns) * BAND, in_band = here % (BAND * columns);
        int bands = min(BAND, tiles - band), row = band + in_band % bands;
        tile.column = in_band / bands;
        tile.first = offsets[low] + row * height;
        tile.rows = min(height, offsets[low + 1] - tile.first);
    }
    return tile;
}

/* order[n]: the expert with the n-th most rows, ties to the lower number.  A barrier must follow. */
static inline void experts_sort(int experts, __local const int *offsets, __local ushort *order)
{
    for (int e = get_local_id(0); e < experts; e += get_local_size(0)) {
        int rows = offsets[e + 1] - offsets[e], before = 0;
        for (int other = 0; other < experts; other++) {
            int its = offsets[other + 1] - offsets[other];
            before += its > rows || (its == rows && other < e);
        }
        order[before] = (ushort)e;
    }
}

/* How many experts have rows; they come first in the order. */
static inline int experts_busy(int experts, __local const int *offsets, __local const ushort *order)
{
    int low = 0, high = experts;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (offsets[order[middle] + 1] > offsets[order[middle]])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The number of the next tile for this work-group, one item's.  Every group draws until it gets a number that no tile
 * has; who draws the last of those numbers leaves the counter at zero for the next launch. */
static inline int ticket_draw(volatile __global int *tickets, int tiles)
{
    const int groups = get_num_groups(0), ticket = atomic_inc(tickets);
    if (ticket == max(tiles - groups, 0) + groups - 1)
        *tickets = 0;
    return groups + ticket;
}

/* Item 0's ticket for all 128 producers.  `slot` is another one each time: who is late still reads the last. */
static inline int ticket_share(int ticket, __local int *slot)
{
    if (get_local_id(0) == 0)
        *(volatile __local int *)slot = ticket;
    asm volatile("bar.sync 1, 128;" ::: "memory");
    return *(volatile __local int *)slot;
}

#endif
