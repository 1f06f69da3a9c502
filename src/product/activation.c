/* The activation's backward, and the bias's part of the gate's gradient, by the device's variant.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "product/variant.h"

int motley__activation_backward(struct motley__device *device, const struct motley__activation_backward *a,
                                struct motley_error *error)
{
    const struct motley__variant *variant = motley__variant(device, a->dtype);

    assert((a->activation == MOTLEY__ACT_SWIGLU) == (a->pre3 != NULL));
    if (a->P == 0)
        return 0;
    if (!variant->activation_backward)
        variant = &motley__variant_generic;
    return variant->activation_backward(device, a, error);
}

int motley__dot_bias(struct motley__device *device, const struct motley__dot_bias *dot, struct motley_error *error)
{
    const struct motley__variant *variant = motley__variant(device, dot->dy.dtype);

    if (dot->ragged.P == 0)
        return 0;
    if (!variant->dot_bias)
        variant = &motley__variant_generic;
    return variant->dot_bias(device, dot, error);
}
