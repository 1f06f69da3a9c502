/* ESMM by the device's variant: one ragged launch for each weight segment.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "product/few.h"
#include "product/variant.h"

int motley__esmm_panel(const struct motley__device *device, enum motley_dtype dtype)
{
    return motley__variant(device, dtype)->panel(device);
}

static const struct motley__variant *variant_of(const struct motley__device *device, const struct motley__esmm *esmm)
{
    const struct motley__matrix *w = esmm->w;
    const struct motley__variant *variant =
        motley__variant_of_product(device, esmm->x.dtype, w->dtype, w->per_segment);
    return esmm->dtype == w->dtype ? variant : &motley__variant_generic;
}

static void check(const struct motley__device *device, const struct motley__esmm *esmm)
{
    assert(esmm->w->panel == variant_of(device, esmm)->panel(device));
    assert(esmm->ragged.E == esmm->w->E && (esmm->ragged.offsets || esmm->ragged.E == 1 || esmm->ragged.P == 0));
    assert((esmm->activation == MOTLEY__ACT_SWIGLU || esmm->x3) == (esmm->w3 != NULL));
    assert(!esmm->x3 || (esmm->activation == MOTLEY__ACT_NONE && !esmm->x.received));
    assert(!esmm->w3 || (esmm->w3->per_segment == esmm->w->per_segment && !esmm->bias));
    assert(!esmm->w3 || esmm->w3->dtype == esmm->w->dtype);
    assert(!esmm->accumulate || esmm->activation == MOTLEY__ACT_NONE);
    (void)device;
    (void)esmm;
}

int motley__esmm(struct motley__device *device, const struct motley__esmm *esmm, struct motley_error *error)
{
    const struct motley__variant *variant = variant_of(device, esmm);
    int status = 0;
    if (esmm->ragged.P == 0)
        return 0;
    check(device, esmm);
    const int few = motley__few_suits(device, esmm);
    for (int s = 0; s < esmm->w->segments && !status; s++)
        status = (few ? motley__few_esmm : variant->esmm)(device, esmm, s, error);
    return status;
}

/* One product after the other, the second added to the first. */
static int transposed_twice(struct motley__device *device, const struct motley__esmm *esmm, struct motley_error *error)
{
    struct motley__esmm one = *esmm;
    one.w3 = NULL;
    one.x3 = NULL;
    int status = motley__esmm_transposed(device, &one, error);
    one.w = esmm->w3;
    one.x.own = esmm->x3;
    one.accumulate = 1;
    return status ? status : motley__esmm_transposed(device, &one, error);
}

int motley__esmm_transposed(struct motley__device *device, const struct motley__esmm *esmm, struct motley_error *error)
{
    const struct motley__variant *variant = variant_of(device, esmm);
    int status = 0;
    if (esmm->ragged.P == 0)
        return 0;
    assert(!esmm->bias && esmm->activation == MOTLEY__ACT_NONE);
    check(device, esmm);
    if (!variant->esmm_transposed)
        variant = &motley__variant_generic;
    const int few = motley__few_suits(device, esmm);
    if (esmm->x3 && (few || !variant->transposes_two))
        return transposed_twice(device, esmm, error);
    for (int s = 0; s < esmm->w->segments && !status; s++)
        status = (few ? motley__few_esmm_transposed : variant->esmm_transposed)(device, esmm, s, error);
    return status;
}
