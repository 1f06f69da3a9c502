/* What the launchers of all families share.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_PRODUCT_H
#define MOTLEY_LAYER_PRODUCT_H

#include "cl/types.h"
#include "layer/activation.h"
#include "layer/esmm.h"
#include "layer/estmm.h"

/* The argument structs of one launch, for the experts of one segment; an own_rows without a limit where nothing is
 * received. */
struct motley__product_args motley__esmm_args(const struct motley__esmm *esmm, int segment);
struct motley__product_args motley__estmm_args(const struct motley__estmm *estmm, int segment);
struct motley__product_args motley__ess_args(const struct motley__ess *ess);
struct motley__product_args motley__dot_bias_args(const struct motley__dot_bias *dot);

/* An upper bound of the tiles of `height` rows that cover P rows of that many experts (cl/ragged.h). */
size_t motley__product_tiles(int P, int experts, int height);

#endif
