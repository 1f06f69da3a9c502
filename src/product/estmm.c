/* ESTMM and ESS by the device's variant: one launch for each segment of the gradient; one for the bias.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "product/variant.h"

int motley__estmm(struct motley__device *device, const struct motley__estmm *estmm, struct motley_error *error)
{
    const struct motley__variant *variant =
        motley__variant_of_product(device, estmm->a.dtype, estmm->b.dtype, estmm->dw->per_segment);
    int status = 0;
    assert(estmm->dw->dtype == MOTLEY_F32);
    assert(estmm->dw->panel == variant->panel(device) && estmm->ragged.E == estmm->dw->E);
    assert(estmm->ragged.offsets || estmm->ragged.E <= 1);
    if (!variant->estmm)
        variant = &motley__variant_generic;
    for (int s = 0; s < estmm->dw->segments && !status; s++)
        status = variant->estmm(device, estmm, s, error);
    return status;
}

int motley__ess(struct motley__device *device, const struct motley__ess *ess, struct motley_error *error)
{
    const struct motley__variant *variant = motley__variant(device, ess->a.dtype);
    if (ess->ragged.E == 0)
        return 0;
    if (!variant->ess)
        variant = &motley__variant_generic;
    return variant->ess(device, ess, error);
}
