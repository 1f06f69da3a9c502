/* ESTMM and ESS, the weight and bias gradients (HEXA-MoE, arXiv 2411.01288, section 3):
 *
 *   estmm   dW[e] = sum over p with e(p)=e of a[row p,:]^T b[row p,:]     a [*,O], b [*,I], dW [E,O,I] panels
 *   ess     db[e] = sum over p with e(p)=e of s[p] a[row p,:]             a [*,O], db [E,O]; s NULL: ones
 *
 * Sums and gradients are f32.  Rows of two storage types run generic, and dW must then have panel 1.
 * An expert without rows gets zeros.  Sums run over rows in ascending p.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_ESTMM_H
#define MOTLEY_PRODUCT_ESTMM_H

#include "product/matrix.h"
#include "product/rows.h"

struct motley__estmm {
    struct motley__ragged ragged;
    struct motley__rows a;                  /* width O */
    struct motley__rows b;                  /* width I */
    int accumulate;                         /* 1: dW += ... */
    struct motley__matrix *dw;
};
int motley__estmm(struct motley__device *device, const struct motley__estmm *estmm, struct motley_error *error);

struct motley__ess {
    struct motley__ragged ragged;
    struct motley__rows a;                  /* width O */
    const struct motley__buffer *scale;     /* [P] or NULL */
    int O;
    int accumulate;
    struct motley__buffer *db;              /* [E,O] */
};
int motley__ess(struct motley__device *device, const struct motley__ess *ess, struct motley_error *error);

#endif
