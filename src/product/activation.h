/* The backward of an expert's activation, with the two things that are free beside it.
 *
 * For each pair p, with u = dy W2 (unweighted), h the activation's output, w the routing weight:
 *
 *   dw[p]  = <u[p,:], h[p,:]>                            the gate's gradient (bias: + <dy, b2>, see motley__dot_bias)
 *   relu, gelu, silu:  u[p,:] <- w u A'(pre)             which is dh1
 *   swiglu:            u[p,:] <- w u pre3 silu'(pre),    pre3[p,:] <- w u silu(pre)
 *   h[p,:] <- w h                                        so that dW2 = ESTMM(dy, h)
 *
 * All [P,F] in place; h is recomputed from pre (and pre3) and written to `h`.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_ACTIVATION_H
#define MOTLEY_PRODUCT_ACTIVATION_H

#include "cl/types.h"
#include "product/rows.h"

struct motley__activation_backward {
    int P, F, activation;                   /* MOTLEY__ACT_* */
    int first;                              /* pairs first .. first + P - 1 of the arrays */
    enum motley_dtype dtype;                /* how pre, pre3, u and h are stored */
    const struct motley__buffer *weight;    /* [P] */
    const struct motley__buffer *pre;       /* [P,F] */
    struct motley__buffer *pre3;            /* [P,F] swiglu: read, then overwritten by its gradient */
    struct motley__buffer *u;               /* [P,F] read, overwritten by dh1 */
    struct motley__buffer *h;               /* [P,F] written: w h */
    struct motley__buffer *dw;              /* [P] written */
};
int motley__activation_backward(struct motley__device *device, const struct motley__activation_backward *a,
                                struct motley_error *error);

/* dw[p] += <dy[row p,:], b2[e(p),:]>:  the part of the gate's gradient that the bias of W2 carries. */
struct motley__dot_bias {
    struct motley__ragged ragged;
    struct motley__rows dy;                 /* width D */
    int D;
    const struct motley__buffer *b2;        /* [E,D] */
    struct motley__buffer *dw;              /* [P] added to */
};
int motley__dot_bias(struct motley__device *device, const struct motley__dot_bias *dot, struct motley_error *error);

#endif
