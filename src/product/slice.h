/* Slices of experts' matrices: what a rank holds of an expert when its hidden dimension is divided, and how such a
 * part goes from one layout to another.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_SLICE_H
#define MOTLEY_PRODUCT_SLICE_H

#include "cl/types.h"
#include "plan/placement.h"
#include "product/matrix.h"

/* Which dimension of a matrix [O,I] is the hidden one: rows of w1, w3; columns of w2 and of b1 [1,F]; none of b2, which
 * belongs to the blocks that begin at 0. */
enum motley__hidden { MOTLEY__HIDDEN_NONE, MOTLEY__HIDDEN_ROWS, MOTLEY__HIDDEN_COLUMNS };

/* What a block [begin,end) has of a matrix whose whole shape is [O,I]. */
struct motley__part_shape {
    int row, column, O, I;
};
struct motley__part_shape motley__part_of(enum motley__hidden hidden, int begin, int end, int O, int I);

/* A part of the canonical host matrix [O,I], and back into its place there. */
void motley__part_cut(const struct motley__part_shape *part, int I, const float *whole, float *cut);
void motley__part_paste(const struct motley__part_shape *part, int I, const float *cut, float *whole);

/* One side of a move: a matrix, or contiguous numbers (a wire) of which line args.first of the launch is the first. */
struct motley__slice_end {
    const struct motley__matrix *matrix;    /* NULL: buffer holds the lines */
    struct motley__buffer *buffer;
};

/* Lines [first, first+count) of the slices from one side to the other, on the transfer queue.  args: the shape, the
 * sides' lists, panels, rows and columns; first, numbers and start are the launcher's.  With add the numbers, f32, are
 * added.  expert: the lists, device; NULL where there are none.
 *
 * Whoever calls says that what is read is complete and that nobody reads what is written. */
int motley__slice_move(struct motley__device *device, enum motley_dtype dtype, int add,
                       const struct motley__slice_args *args, const struct motley__buffer *expert,
                       const int *host_expert, struct motley__slice_end from, struct motley__slice_end to,
                       struct motley_error *error);

#endif
