/* The family "cpu": explicit vector register tiles, one work-item a group, for any one storage type; kernels in
 * cl/cpu/.
 *
 *   weights    panels of 2 LANES outputs
 *   row tile   BLOCK_ROWS rows, up to MAX_PANELS panels of outputs
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>

#include "device/program.h"
#include "device/queue.h"
#include "layer/product.h"
#include "layer/variant.h"

enum {
    BLOCK_ROWS = 144,               /* of cl/cpu/tile.h */
    BLOCK_INPUTS = 288,             /* of cl/cpu/estmm.cl */
    MAX_PANELS = 8,
    GROUPS_PER_THREAD = 12
};

static int suits(const struct motley__device *device)
{
    return device->is_cpu;
}

/* Floats of a vector. */
static int lanes(const struct motley__device *device)
{
    return device->native_float >= 16 ? 16 : device->native_float >= 8 ? 8 : 4;
}

static int panel(const struct motley__device *device)
{
    return 2 * lanes(device);
}

static void describe(const struct motley__device *device, char *text, size_t size)
{
    snprintf(text, size, "%d-wide register tiles", lanes(device));
}

static int get_kernel(struct motley__device *device, const char *source, const char *name, enum motley_dtype dtype,
                      cl_kernel *kernel, struct motley_error *error)
{
    char options[64];
    snprintf(options, sizeof options, "-DLANES=%d -DSTORAGE=%d", lanes(device), (int)dtype);
    return motley__kernel(device, source, options, name, kernel, error);
}

/* Tiles of rows (or inputs), `full` of which at most have work, by runs of panels of the columns (outputs; transposed:
 * inputs).  Panels of a run share one packing of the rows, but there must be some groups for each thread to even them
 * out.  A runtime hands its threads long stretches of groups: as many runs as are a multiple of the threads make such
 * stretches equal.  products is 2 for swiglu. */
static struct motley__range range_of(const struct motley__device *device, size_t tiles, size_t full, int columns,
                                     int products)
{
    size_t threads = (size_t)device->compute_units, width = (size_t)panel(device), most = MAX_PANELS / products;
    size_t panels = ((size_t)columns + width - 1) / width;
    size_t runs = (panels + most - 1) / most, wanted = full > 0 ? (GROUPS_PER_THREAD * threads + full - 1) / full : 1;
    if (runs < wanted)
        runs = wanted;
    if (runs > threads)
        runs = (runs + threads - 1) / threads * threads;
    return (struct motley__range){{tiles, runs < panels ? runs : panels}, {1, 1}};
}

/* About the golden part of n, and prime to it: steps of that length visit all of 0 .. n-1, neighbours far apart. */
static int stride_of(size_t n)
{
    size_t stride = n * 618 / 1000, a, b;
    do {
        a = ++stride;
        for (b = n; b > 0;) {
            size_t rest = a % b;
            a = b;
            b = rest;
        }
    } while (a > 1);
    return (int)stride;
}

/* The same over tiles of rows: no more of them have work than there are rows.  Sets args->tile_stride. */
static struct motley__range range_of_rows(const struct motley__device *device, struct motley__product_args *args,
                                          int columns, int products)
{
    size_t tiles = motley__product_tiles(args->rows, args->experts, BLOCK_ROWS);
    size_t full = tiles < (size_t)args->rows ? tiles : (size_t)args->rows;
    args->tile_stride = stride_of(tiles);
    return range_of(device, tiles, full, columns, products);
}

static int esmm(struct motley__device *device, const struct motley__esmm *e, int segment, struct motley_error *error)
{
    struct motley__product_args args = motley__esmm_args(e, segment);
    struct motley__range range = range_of_rows(device, &args, args.O, e->w3 ? 2 : 1);
    cl_kernel kernel;
    int status = get_kernel(device, "cpu/esmm.cl", "esmm", e->w->dtype, &kernel, error);
    if (status)
        return status;
    return motley__esmm_launch(device, kernel, range, &args, e, segment, error);
}

static int esmm_transposed(struct motley__device *device, const struct motley__esmm *e, int segment,
                           struct motley_error *error)
{
    struct motley__product_args args = motley__esmm_args(e, segment);
    struct motley__range range = range_of_rows(device, &args, args.I, 1);
    cl_kernel kernel;
    int status = get_kernel(device, "cpu/esmm_transposed.cl", "esmm_transposed", e->w->dtype, &kernel, error);
    if (status)
        return status;
    return motley__esmm_transposed_launch(device, kernel, range, &args, e, segment, error);
}

static int estmm(struct motley__device *device, const struct motley__estmm *e, int segment, struct motley_error *error)
{
    struct motley__product_args args = motley__estmm_args(e, segment);
    size_t blocks = ((size_t)args.I + BLOCK_INPUTS - 1) / BLOCK_INPUTS;
    size_t tiles = blocks * (size_t)args.experts;
    struct motley__range range = range_of(device, tiles, tiles, args.O, 1);
    cl_kernel kernel;
    int status = get_kernel(device, "cpu/estmm.cl", "estmm", e->a.dtype, &kernel, error);
    if (status)
        return status;
    return motley__estmm_launch(device, kernel, range, &args, e, segment, error);
}

static int ess(struct motley__device *device, const struct motley__ess *e, struct motley_error *error)
{
    size_t columns = 4 * (size_t)lanes(device);
    struct motley__range range = {{(size_t)e->ragged.E, ((size_t)e->O + columns - 1) / columns}, {1, 1}};
    cl_kernel kernel;
    int status = get_kernel(device, "cpu/ess.cl", "ess", e->a.dtype, &kernel, error);
    if (status)
        return status;
    return motley__ess_launch(device, kernel, range, e, error);
}

static int activation_backward(struct motley__device *device, const struct motley__activation_backward *a,
                               struct motley_error *error)
{
    struct motley__range range = {{(size_t)a->P}, {1}};
    cl_kernel kernel;
    int status = get_kernel(device, "cpu/activation.cl", "activation_backward", a->dtype, &kernel, error);
    if (status)
        return status;
    return motley__activation_launch(device, kernel, range, 0, a, error);
}

static int dot_bias(struct motley__device *device, const struct motley__dot_bias *d, struct motley_error *error)
{
    struct motley__range range = {{(size_t)d->ragged.P}, {1}};
    cl_kernel kernel;
    int status = get_kernel(device, "cpu/activation.cl", "dot_bias", d->dy.dtype, &kernel, error);
    if (status)
        return status;
    return motley__dot_bias_launch(device, kernel, range, 0, d, error);
}

const struct motley__variant motley__variant_cpu = {
    .family = "cpu",
    .name = "registers",
    .dtypes = MOTLEY__DTYPE_ALL,
    .suits = suits,
    .panel = panel,
    .describe = describe,
    .esmm = esmm,
    .esmm_transposed = esmm_transposed,
    .estmm = estmm,
    .ess = ess,
    .activation_backward = activation_backward,
    .dot_bias = dot_bias,
};
