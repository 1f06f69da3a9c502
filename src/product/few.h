/* Products of few rows on GPUs: the weights of the experts that have rows are streamed once, and everything else is
 * small beside them.  For every variant whose matrices are canonical; kernels in cl/few.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_FEW_H
#define MOTLEY_PRODUCT_FEW_H

#include "product/esmm.h"

/* 1: no more pairs than device->few_pairs, all of one storage type, canonical weights. */
int motley__few_suits(const struct motley__device *device, const struct motley__esmm *esmm);

/* The launchers of variant.h; esmm_transposed takes no x3. */
int motley__few_esmm(struct motley__device *device, const struct motley__esmm *esmm, int segment,
                     struct motley_error *error);
int motley__few_esmm_transposed(struct motley__device *device, const struct motley__esmm *esmm, int segment,
                                struct motley_error *error);

#endif
