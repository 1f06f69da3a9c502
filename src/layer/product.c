/* What the launchers of all families share.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>

#include "layer/product.h"

static int own_rows(const struct motley__rows *rows)
{
    return rows->received ? rows->own_rows : INT_MAX;
}

struct motley__product_args motley__esmm_args(const struct motley__esmm *esmm, int segment)
{
    return (struct motley__product_args){
        .first = segment * esmm->w->per_segment,
        .experts = motley__matrix_experts(esmm->w, segment),
        .rows = esmm->ragged.P,
        .O = esmm->w->O,
        .I = esmm->w->I,
        .own_rows = own_rows(&esmm->x),
        .activation = esmm->activation,
        .accumulate = esmm->accumulate,
    };
}

struct motley__product_args motley__estmm_args(const struct motley__estmm *estmm, int segment)
{
    return (struct motley__product_args){
        .first = segment * estmm->dw->per_segment,
        .experts = motley__matrix_experts(estmm->dw, segment),
        .rows = estmm->ragged.P,
        .O = estmm->dw->O,
        .I = estmm->dw->I,
        .own_rows = own_rows(&estmm->a),
        .own_rows_b = own_rows(&estmm->b),
        .activation = MOTLEY__ACT_NONE,
        .accumulate = estmm->accumulate,
    };
}

struct motley__product_args motley__ess_args(const struct motley__ess *ess)
{
    return (struct motley__product_args){
        .experts = ess->ragged.E,
        .rows = ess->ragged.P,
        .O = ess->O,
        .own_rows = own_rows(&ess->a),
        .activation = MOTLEY__ACT_NONE,
        .accumulate = ess->accumulate,
    };
}

struct motley__product_args motley__dot_bias_args(const struct motley__dot_bias *dot)
{
    return (struct motley__product_args){
        .experts = dot->ragged.E,
        .rows = dot->ragged.P,
        .O = dot->D,
        .own_rows = own_rows(&dot->dy),
        .activation = MOTLEY__ACT_NONE,
    };
}

size_t motley__product_tiles(int P, int experts, int height)
{
    return (size_t)P / (size_t)height + (size_t)experts;
}
