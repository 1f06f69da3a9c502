/* Products of few rows on GPUs; the contract is few.h, the kernels cl/few.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>

#include "device/program.h"
#include "product/few.h"
#include "product/product.h"

enum { ITEMS = 128, STRIPS = 4, STRIP = 4, ACROSS = 8 }; /* of cl/few.cl */

int motley__few_suits(const struct motley__device *device, const struct motley__esmm *e)
{
    return e->ragged.P <= device->few_pairs[e->dtype] && device->max_group >= ITEMS && e->w->panel == 1 &&
           e->x.dtype == e->w->dtype && e->dtype == e->w->dtype;
}

/* Rows of an expert that share one reading of its weights.  Only the device knows how many it has; twice the average
 * covers most, and rows that a chunk lacks cost arithmetic only. */
static int chunk_of(const struct motley__product_args *args)
{
    return 2 * args->rows <= args->experts ? 2 : args->rows <= 2 * args->experts ? 4 : 8;
}

static int get_kernel(struct motley__device *device, const char *name, enum motley_dtype dtype,
                      const struct motley__product_args *args, int *vector, cl_kernel *kernel,
                      struct motley_error *error)
{
    char options[48];
    *vector = args->I % 8 == 0 && dtype != MOTLEY_F32 ? 8 : args->I % 4 == 0 ? 4 : 1;
    snprintf(options, sizeof options, "-DV=%d -DSTORAGE=%d -DCHUNK=%d", *vector, (int)dtype, chunk_of(args));
    return motley__kernel(device, "few.cl", options, name, kernel, error);
}

static struct motley__range range(int blocks, int P)
{
    return (struct motley__range){{(size_t)blocks * ITEMS, (size_t)P}, {ITEMS, 1}};
}

int motley__few_esmm(struct motley__device *device, const struct motley__esmm *e, int segment,
                     struct motley_error *error)
{
    const struct motley__product_args args = motley__esmm_args(e, segment);
    const int outputs = STRIPS * (e->w3 ? STRIP / 2 : STRIP);
    int vector;
    cl_kernel kernel;
    int status = get_kernel(device, "esmm_few", e->dtype, &args, &vector, &kernel, error);
    if (status)
        return status;
    return motley__esmm_launch(device, kernel, range((args.O + outputs - 1) / outputs, args.rows), &args, e, segment,
                               error);
}

int motley__few_esmm_transposed(struct motley__device *device, const struct motley__esmm *e, int segment,
                                struct motley_error *error)
{
    const struct motley__product_args args = motley__esmm_args(e, segment);
    int vector;
    cl_kernel kernel;
    int status = get_kernel(device, "esmm_few_transposed", e->dtype, &args, &vector, &kernel, error);
    if (status)
        return status;
    const int across = ACROSS * vector;
    return motley__esmm_transposed_launch(device, kernel, range((args.I + across - 1) / across, args.rows), &args, e,
                                          segment, error);
}
