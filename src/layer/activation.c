/* The activation's backward, one work-group a row.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "layer/activation.h"
#include "layer/product.h"

/* Items of a row's group: one on the family cpu, else a power of two. */
static size_t row_items(const struct motley__device *device)
{
    size_t items = 256;
    while (items > device->max_group)
        items /= 2;
    return motley__product_cpu(device) ? 1 : items;
}

int motley__activation_backward(struct motley__device *device, const struct motley__activation_backward *a,
                                struct motley_error *error)
{
    struct motley__activation_args args = {.P = a->P, .F = a->F, .activation = a->activation};
    size_t items = row_items(device);
    struct motley__range range = {{(size_t)a->P * items}, {items}};
    cl_kernel kernel;

    assert((a->activation == MOTLEY__ACT_SWIGLU) == (a->pre3 != NULL));
    if (a->P == 0)
        return 0;
    int status = motley__product_kernel(device, "activation.cl", "activation_backward", &kernel, error);
    if (status)
        return status;
    if (motley__product_cpu(device))
        return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(a->weight),
                              MOTLEY__BUFFER(a->pre), MOTLEY__BUFFER(a->pre3), MOTLEY__BUFFER(a->u),
                              MOTLEY__BUFFER(a->h), MOTLEY__BUFFER(a->dw));
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(a->weight),
                          MOTLEY__BUFFER(a->pre), MOTLEY__BUFFER(a->pre3), MOTLEY__BUFFER(a->u), MOTLEY__BUFFER(a->h),
                          MOTLEY__BUFFER(a->dw), MOTLEY__LOCAL(items * sizeof(float)));
}

int motley__dot_bias(struct motley__device *device, const struct motley__ragged *ragged, const struct motley__rows *dy,
                     int D, const struct motley__buffer *b2, struct motley__buffer *dw, struct motley_error *error)
{
    struct motley__product_args args = motley__product_args(ragged, dy, 0, ragged->E, D, 0);
    size_t items = row_items(device);
    struct motley__range range = {{(size_t)ragged->P * items}, {items}};
    cl_kernel kernel;

    if (ragged->P == 0)
        return 0;
    int status = motley__product_kernel(device, "activation.cl", "dot_bias", &kernel, error);
    if (status)
        return status;
    if (motley__product_cpu(device))
        return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(ragged->offsets),
                              MOTLEY__BUFFER(dy->index), MOTLEY__BUFFER(dy->own), MOTLEY__BUFFER(dy->received),
                              MOTLEY__BUFFER(b2), MOTLEY__BUFFER(dw));
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(ragged->offsets),
                          MOTLEY__BUFFER(dy->index), MOTLEY__BUFFER(dy->own), MOTLEY__BUFFER(dy->received),
                          MOTLEY__BUFFER(b2), MOTLEY__BUFFER(dw), MOTLEY__LOCAL(items * sizeof(float)));
}
