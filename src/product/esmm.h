/* ESMM, the expert-specific matrix multiply (HEXA-MoE, arXiv 2411.01288, section 3):
 *
 *   forward      y[p,:] = act(x[row p,:] . W[e(p)]^T + b[e(p)])          x [*,I], W [E,O,I], y [P,O]
 *   swiglu       y[p,:] = silu(x W^T) * (x W3^T)                         one pass over x for both
 *   transposed   y[p,:] = g[row p,:] . W[e(p)]  (+ g3[row p,:] . W3[e(p)])   g [*,O], y [P,I]
 *
 * One ragged launch per weight segment over all local experts; both directions read the same copy of
 * the weights.  Families: variant.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_ESMM_H
#define MOTLEY_PRODUCT_ESMM_H

#include <motley/tensor.h>
#include "cl/types.h"
#include "product/matrix.h"
#include "product/rows.h"

struct motley__esmm {
    const struct motley__matrix *w;
    const struct motley__matrix *w3;        /* swiglu, or transposed with x3; else NULL */
    const struct motley__buffer *bias;      /* [E,O] or NULL */
    struct motley__ragged ragged;
    struct motley__rows x;
    const struct motley__buffer *x3;        /* transposed: where the rows for w3 are, addressed as x's own; or NULL */
    enum motley_dtype dtype;                /* how y, pre and pre3 are stored */
    int activation;                         /* MOTLEY__ACT_*; transposed: NONE */
    int accumulate;                         /* 1: y += ... (activation NONE) */
    struct motley__buffer *pre;             /* [P,O] x W^T + b kept for backward, or NULL */
    struct motley__buffer *pre3;            /* [P,O] x W3^T, swiglu, or NULL */
    struct motley__buffer *y;
};

/* Enqueued, not waited for.  Rows, weights and output of one storage type run the device's variant for it, or generic
 * where a segment has more experts than that holds; any other mixture runs generic, and its weights must have panel
 * 1. */
int motley__esmm(struct motley__device *device, const struct motley__esmm *esmm, struct motley_error *error);
int motley__esmm_transposed(struct motley__device *device, const struct motley__esmm *esmm, struct motley_error *error);

/* The panel width of the device's variant for a storage type, for motley__matrix_create. */
int motley__esmm_panel(const struct motley__device *device, enum motley_dtype dtype);

#endif
