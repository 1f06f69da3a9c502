/* Which rows of which expert a work-group computes, found from the offsets alone.
 *
 * Expert e of a launch owns the tile numbers from (offsets[e] - offsets[first]) / height + (e - first) up to the
 * next expert's.  These starts rise by at least one per expert, and an expert of n rows gets at least
 * ceil(n / height) numbers, so a binary search finds the expert and no prefix sum of tile counts is needed.  A launch
 * has P / height + experts tiles; the surplus ones have no rows.
 *
 *     height 4:   expert 0: 5 rows   expert 1: none   expert 2: 3 rows
 *     tiles       0  1               2                3  4
 *     rows        3  2               0                3  0
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_RAGGED_H
#define MOTLEY_CL_RAGGED_H

#include "types.h"

struct ragged_tile {
    int expert;     /* local expert */
    int first;      /* first pair */
    int rows;       /* 0: nothing to do */
};

static inline int ragged_start(struct motley__product_args args, __global const int *offsets, int expert, int height)
{
    return (offsets[expert] - offsets[args.first]) / height + (expert - args.first);
}

/* The expert whose tile numbers include `tile`. */
static inline int ragged_expert(struct motley__product_args args, __global const int *offsets, int tile, int height)
{
    int low = args.first, high = args.first + args.experts;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (ragged_start(args, offsets, middle, height) <= tile)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Tile number `tile`.  An expert's rows are shared evenly among its tiles, in multiples of `grain`; height is
 * itself a multiple of grain. */
static inline struct ragged_tile ragged_tile(struct motley__product_args args, __global const int *offsets, int tile,
                                             int height, int grain)
{
    struct ragged_tile found = {args.first, 0, 0};
    int begin = 0, end = args.rows, number = tile;
    if (offsets) {
        found.expert = ragged_expert(args, offsets, tile, height);
        begin = offsets[found.expert];
        end = offsets[found.expert + 1];
        number = tile - ragged_start(args, offsets, found.expert, height);
    }
    int tiles = (end - begin + height - 1) / height;
    if (number < tiles) {
        int share = ((end - begin + tiles - 1) / tiles + grain - 1) / grain * grain;
        found.first = begin + number * share;
        found.rows = min(share, end - found.first);
    }
    return found;
}

/* The expert of pair p. */
static inline int ragged_expert_of(struct motley__product_args args, __global const int *offsets, int p)
{
    int low = 0, high = args.experts;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (offsets[middle] <= p)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* First pair and number of pairs of one expert. */
static inline struct ragged_tile ragged_rows(struct motley__product_args args, __global const int *offsets, int expert)
{
    struct ragged_tile found = {expert, 0, args.rows};
    if (offsets) {
        found.first = offsets[expert];
        found.rows = offsets[expert + 1] - found.first;
    }
    return found;
}

/* Where pair p's row is. */
static inline int ragged_at(int p, __global const int *index)
{
    return index ? index[p] : p;
}

/* The row of pair p, one of this rank's own or one that was received: a pointer of the type of both. */
#define ragged_row(p, index, own, received, own_rows, width)                                                    \
    (ragged_at(p, index) < (own_rows) ? (own) + (size_t)ragged_at(p, index) * (width)                           \
                                      : (received) + (size_t)(ragged_at(p, index) - (own_rows)) * (width))

#endif
