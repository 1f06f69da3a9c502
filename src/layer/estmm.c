/* ESTMM and ESS: one launch for each segment of the gradient; one for the bias.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <limits.h>

#include "layer/esmm.h"
#include "layer/estmm.h"
#include "layer/product.h"

static int launch_segment(struct motley__device *device, const struct motley__estmm *estmm, int segment,
                          struct motley_error *error)
{
    struct motley__matrix *dw = estmm->dw;
    int first = segment * dw->per_segment, left = dw->E - first;
    int experts = left < dw->per_segment ? left : dw->per_segment;
    struct motley__product_args args = motley__product_args(&estmm->ragged, &estmm->a, first, experts, dw->O, dw->I);
    struct motley__range range;
    cl_kernel kernel;

    args.own_rows_b = estmm->b.received ? estmm->b.own_rows : INT_MAX;
    args.accumulate = estmm->accumulate;
    if (motley__product_cpu(device)) {
        size_t blocks = ((size_t)dw->I + MOTLEY__CPU_BLOCK - 1) / MOTLEY__CPU_BLOCK;
        range = motley__product_range(device, &args, blocks * experts, dw->O, 1);
    } else {
        size_t side = motley__product_group(device), tile = side * MOTLEY__GENERIC_ITEM;
        range = motley__product_range(device, &args, ((size_t)dw->O + tile - 1) / tile, dw->I, 1);
        range.global[2] = experts;
        range.local[2] = 1;
    }
    int status = motley__product_kernel(device, "estmm.cl", "estmm", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(estmm->ragged.offsets),
                          MOTLEY__BUFFER(estmm->a.index), MOTLEY__BUFFER(estmm->a.own),
                          MOTLEY__BUFFER(estmm->a.received), MOTLEY__BUFFER(estmm->b.index),
                          MOTLEY__BUFFER(estmm->b.own), MOTLEY__BUFFER(estmm->b.received),
                          MOTLEY__BUFFER(dw->segment[segment]));
}

int motley__estmm(struct motley__device *device, const struct motley__estmm *estmm, struct motley_error *error)
{
    int status = 0;
    assert(estmm->dw->panel == motley__esmm_panel(device) && estmm->ragged.E == estmm->dw->E);
    assert(estmm->ragged.offsets || estmm->ragged.E <= 1);
    for (int s = 0; s < estmm->dw->segments && !status; s++)
        status = launch_segment(device, estmm, s, error);
    return status;
}

int motley__ess(struct motley__device *device, const struct motley__ess *ess, struct motley_error *error)
{
    struct motley__product_args args = motley__product_args(&ess->ragged, &ess->a, 0, ess->ragged.E, ess->O, 0);
    size_t columns = 4 * (size_t)motley__product_lanes(device), E = ess->ragged.E;
    struct motley__range range = {{((size_t)ess->O + 63) / 64 * 64, E}, {device->max_group < 64 ? 1 : 64, 1}};
    cl_kernel kernel;

    if (E == 0)
        return 0;
    if (motley__product_cpu(device))
        range = (struct motley__range){{E, ((size_t)ess->O + columns - 1) / columns}, {1, 1}};
    args.accumulate = ess->accumulate;
    int status = motley__product_kernel(device, "ess.cl", "ess", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(ess->ragged.offsets),
                          MOTLEY__BUFFER(ess->a.index), MOTLEY__BUFFER(ess->a.own), MOTLEY__BUFFER(ess->a.received),
                          MOTLEY__BUFFER(ess->scale), MOTLEY__BUFFER(ess->db));
}
