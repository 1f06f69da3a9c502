/* Weights before the experts; the contract is scale.h, the kernels cl/scale.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdio.h>

#include "cl/types.h"
#include "device/program.h"
#include "device/queue.h"
#include "layer/scale.h"

enum { GROUP_ITEMS = 64 };                  /* of a GPU's group */

/* One group for each pair. */
static int prepare(struct motley__device *device, const struct motley__scale *scale, const char *name,
                   struct motley__scale_args *args, cl_kernel *kernel, struct motley__range *range,
                   struct motley_error *error)
{
    const size_t items = device->info.is_gpu ? GROUP_ITEMS : 1;
    char options[48];

    assert(scale->P > 0 && scale->D > 0 && scale->first >= 0);
    *args = (struct motley__scale_args){.first = scale->first, .D = scale->D, .own_rows = scale->x.own_rows};
    *range = (struct motley__range){{(size_t)scale->P * items}, {items}};
    snprintf(options, sizeof options, "-DW=%zu -DSTORAGE=%d", items, scale->x.dtype);
    return motley__kernel(device, "scale.cl", options, name, kernel, error);
}

int motley__scale(struct motley__device *device, const struct motley__scale *scale, struct motley__buffer *scaled,
                  struct motley__buffer *ones, struct motley_error *error)
{
    struct motley__scale_args args;
    struct motley__range range;
    cl_kernel kernel;

    if (!scale->P)
        return 0;
    int status = prepare(device, scale, "scale_rows", &args, &kernel, &range, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(scale->x.index),
                          MOTLEY__BUFFER(scale->x.own), MOTLEY__BUFFER(scale->x.received),
                          MOTLEY__BUFFER(scale->weight), MOTLEY__BUFFER(scaled), MOTLEY__BUFFER(ones));
}

int motley__scale_backward(struct motley__device *device, const struct motley__scale *scale, struct motley__buffer *dx,
                           struct motley__buffer *dw, struct motley_error *error)
{
    struct motley__scale_args args;
    struct motley__range range;
    cl_kernel kernel;

    if (!scale->P)
        return 0;
    int status = prepare(device, scale, "scale_rows_backward", &args, &kernel, &range, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(scale->x.index),
                          MOTLEY__BUFFER(scale->x.own), MOTLEY__BUFFER(scale->x.received),
                          MOTLEY__BUFFER(scale->weight), MOTLEY__BUFFER(dx), MOTLEY__BUFFER(dw),
                          MOTLEY__LOCAL(GROUP_ITEMS * sizeof(cl_float)));
}
