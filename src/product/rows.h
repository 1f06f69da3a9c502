/* How kernels address rows: sorted by expert, found by index, in two places.
 *
 * A rank's experts work on P routed pairs (row, expert) sorted by local expert.  offsets[e] ..
 * offsets[e+1]-1 are the pairs of expert e.  A pair's row is either one of this rank's own tokens or one
 * that was received; neither is copied:
 *
 * They may also work on a part of such a list, pairs first .. first+P-1: offsets then begin with `first`.
 *
 *   i = index ? index[p] : p;    row = i < own_rows ? own + i*width : received + (i - own_rows)*width
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_ROWS_H
#define MOTLEY_PRODUCT_ROWS_H

#include <motley/tensor.h>
#include "device/buffer.h"

struct motley__ragged {
    int E;                                  /* local experts */
    int P;                                  /* pairs */
    const struct motley__buffer *offsets;   /* [E+1] int, device; NULL: E is 1 and the expert has all P */
    int first;                              /* the first of the pairs, as offsets begin; 0 without offsets */
};

struct motley__rows {
    const struct motley__buffer *own;       /* [own_rows, width] */
    const struct motley__buffer *received;  /* [*, width]; NULL when nothing can be received */
    int own_rows;                           /* P or more when everything is in `own` */
    const struct motley__buffer *index;     /* [P] int, device; NULL: pair p reads row p */
    enum motley_dtype dtype;                /* how the rows are stored, in both places */
};

#endif
