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
#include "product/product.h"
#include "product/variant.h"

#define FORWARD (MOTLEY__PRODUCT_BIT(MOTLEY__PRODUCT_ESMM) | MOTLEY__PRODUCT_BIT(MOTLEY__PRODUCT_SWIGLU))
#define TRANSPOSED MOTLEY__PRODUCT_BIT(MOTLEY__PRODUCT_TRANSPOSED)
#define SOME_OR_MANY (MOTLEY__ROWS_BIT(MOTLEY__ROWS_SOME) | MOTLEY__ROWS_BIT(MOTLEY__ROWS_MANY))
#define FEW_OR_SOME (MOTLEY__ROWS_BIT(MOTLEY__ROWS_FEW) | MOTLEY__ROWS_BIT(MOTLEY__ROWS_SOME))

/* Work-groups for each thread at least, panels of one at most; the others are macros of cl/cpu/ (tile.h, few.h,
 * estmm.cl), where they are explained.  Not there because they change the order of sums: the contraction block of
 * ESTMM; when transposed the rows up to which dot products are taken, and the rows of a tile, as the last may have so
 * few. */
enum { GROUPS, PANELS, BLOCK_ROWS, DEPTH, AHEAD, FEW_DOTS, FEW_AWAY, BLOCK_INPUTS, AHEAD_BY_ROWS = 1 };
static const struct motley__tunable TUNABLES[] = {
    [GROUPS] = {"groups", MOTLEY__PRODUCTS_ALL, MOTLEY__ROWS_ALL, {12, 3, 6, 24, 48}, NULL},
    [PANELS] = {"panels", MOTLEY__PRODUCTS_ALL, SOME_OR_MANY, {16, 32, 8, 4}, NULL},
    [BLOCK_ROWS] = {"block_rows", FORWARD, MOTLEY__ROWS_BIT(MOTLEY__ROWS_MANY), {144, 48, 96, 192}, NULL},
    [DEPTH] = {"depth", FORWARD | TRANSPOSED, SOME_OR_MANY, {256, 128, 384}, NULL},
    [AHEAD] = {"ahead", FORWARD, MOTLEY__ROWS_BIT(MOTLEY__ROWS_FEW), {AHEAD_BY_ROWS, 2048, 4096, 16384}, NULL},
    [FEW_DOTS] = {"few_dots", TRANSPOSED, FEW_OR_SOME, {384, 256, 768}, NULL},
    [FEW_AWAY] = {"few_away", TRANSPOSED, MOTLEY__ROWS_BIT(MOTLEY__ROWS_FEW), {16, 8, 32}, NULL},
    [BLOCK_INPUTS] = {"block_inputs", MOTLEY__PRODUCT_BIT(MOTLEY__PRODUCT_ESTMM), MOTLEY__ROWS_ALL, {288, 144, 576},
                      NULL},
};

enum { ESS_STRIP = 2048, ESS_GROUPS = 8 };      /* of cl/cpu/ess.cl; work-groups of a thread at least */

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

/* One launch's class of shapes and storage type: what its tunables depend on. */
struct launch {
    const struct motley__device *device;
    enum motley_dtype dtype;
    struct motley__shape_class shape;
};

static int tuned(const struct launch *launch, int tunable)
{
    return motley__tuned(launch->device, &motley__variant_cpu, launch->dtype, launch->shape, tunable);
}

/* `more`: further options. */
static int get_kernel(struct motley__device *device, const char *source, const char *name, enum motley_dtype dtype,
                      const char *more, cl_kernel *kernel, struct motley_error *error)
{
    char options[160];
    snprintf(options, sizeof options, "-DLANES=%d -DSTORAGE=%d%s", lanes(device), (int)dtype, more);
    return motley__kernel(device, source, options, name, kernel, error);
}

/* Tiles of rows (or inputs), `full` of which at most have work, by runs of panels of the columns (outputs; transposed:
 * inputs).  Panels of a run share one packing of the rows, but there must be some groups for each thread to even them
 * out.  A runtime hands its threads long stretches of groups: as many runs as are a multiple of the threads make such
 * stretches equal. */
static struct motley__range range_of(const struct launch *launch, size_t tiles, size_t full, int columns)
{
    size_t threads = (size_t)launch->device->compute_units, width = (size_t)panel(launch->device);
    size_t most = (size_t)tuned(launch, PANELS) / (launch->shape.product == MOTLEY__PRODUCT_SWIGLU ? 2 : 1);
    size_t panels = ((size_t)columns + width - 1) / width, groups = (size_t)tuned(launch, GROUPS) * threads;
    size_t runs = (panels + most - 1) / most, wanted = full > 0 ? (groups + full - 1) / full : 1;
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
static struct motley__range range_of_rows(const struct launch *launch, struct motley__product_args *args, int columns)
{
    size_t tiles = motley__product_tiles(args->rows, args->experts, tuned(launch, BLOCK_ROWS));
    size_t full = tiles < (size_t)args->rows ? tiles : (size_t)args->rows;
    args->tile_stride = stride_of(tiles);
    return range_of(launch, tiles, full, columns);
}

static int esmm(struct motley__device *device, const struct motley__esmm *e, int segment, struct motley_error *error)
{
    struct motley__product_args args = motley__esmm_args(e, segment);
    const struct launch launch = {device, e->w->dtype, motley__shape_class_of(
        e->w3 ? MOTLEY__PRODUCT_SWIGLU : MOTLEY__PRODUCT_ESMM, &args)};
    struct motley__range range = range_of_rows(&launch, &args, args.O);
    const int ahead = tuned(&launch, AHEAD);
    char options[80], bytes[24] = "";
    cl_kernel kernel;
    if (ahead != AHEAD_BY_ROWS)
        snprintf(bytes, sizeof bytes, " -DAHEAD=%d", ahead);
    snprintf(options, sizeof options, " -DBLOCK_ROWS=%d -DDEPTH=%d%s", tuned(&launch, BLOCK_ROWS),
             tuned(&launch, DEPTH), bytes);
    int status = get_kernel(device, "cpu/esmm.cl", "esmm", e->w->dtype, options, &kernel, error);
    if (status)
        return status;
    return motley__esmm_launch(device, kernel, range, &args, e, segment, error);
}

static int esmm_transposed(struct motley__device *device, const struct motley__esmm *e, int segment,
                           struct motley_error *error)
{
    struct motley__product_args args = motley__esmm_args(e, segment);
    const struct launch launch = {device, e->w->dtype, motley__shape_class_of(MOTLEY__PRODUCT_TRANSPOSED, &args)};
    struct motley__range range = range_of_rows(&launch, &args, args.I);
    char options[80];
    cl_kernel kernel;
    snprintf(options, sizeof options, " -DBLOCK_ROWS=%d -DDEPTH=%d -DFEW_DOTS=%d -DFEW_AWAY=%d",
             tuned(&launch, BLOCK_ROWS), tuned(&launch, DEPTH), tuned(&launch, FEW_DOTS), tuned(&launch, FEW_AWAY));
    int status = get_kernel(device, "cpu/esmm_transposed.cl", "esmm_transposed", e->w->dtype, options, &kernel, error);
    if (status)
        return status;
    return motley__esmm_transposed_launch(device, kernel, range, &args, e, segment, error);
}

static int estmm(struct motley__device *device, const struct motley__estmm *e, int segment, struct motley_error *error)
{
    struct motley__product_args args = motley__estmm_args(e, segment);
    const struct launch launch = {device, e->a.dtype, motley__shape_class_of(MOTLEY__PRODUCT_ESTMM, &args)};
    const size_t inputs = (size_t)tuned(&launch, BLOCK_INPUTS);
    const size_t tiles = ((size_t)args.I + inputs - 1) / inputs * (size_t)args.experts;
    char options[48];
    cl_kernel kernel;
    snprintf(options, sizeof options, " -DBLOCK_INPUTS=%zu", inputs);
    int status = get_kernel(device, "cpu/estmm.cl", "estmm", e->a.dtype, options, &kernel, error);
    if (status)
        return status;
    return motley__estmm_launch(device, kernel, range_of(&launch, tiles, tiles, args.O), &args, e, segment, error);
}

static int ess(struct motley__device *device, const struct motley__ess *e, struct motley_error *error)
{
    size_t experts = (size_t)e->ragged.E, columns = (size_t)e->O, strips = (columns + ESS_STRIP - 1) / ESS_STRIP;
    size_t wanted = (ESS_GROUPS * (size_t)device->compute_units + experts - 1) / experts;
    struct motley__range range = {{experts, strips > wanted ? strips : wanted}, {1, 1}};
    cl_kernel kernel;
    int status = get_kernel(device, "cpu/ess.cl", "ess", e->a.dtype, "", &kernel, error);
    if (status)
        return status;
    return motley__ess_launch(device, kernel, range, e, error);
}

static int activation_backward(struct motley__device *device, const struct motley__activation_backward *a,
                               struct motley_error *error)
{
    struct motley__range range = {{(size_t)a->P}, {1}};
    cl_kernel kernel;
    int status = get_kernel(device, "cpu/activation.cl", "activation_backward", a->dtype, "", &kernel, error);
    if (status)
        return status;
    return motley__activation_launch(device, kernel, range, 0, a, error);
}

static int dot_bias(struct motley__device *device, const struct motley__dot_bias *d, struct motley_error *error)
{
    struct motley__range range = {{(size_t)d->ragged.P}, {1}};
    cl_kernel kernel;
    int status = get_kernel(device, "cpu/activation.cl", "dot_bias", d->dy.dtype, "", &kernel, error);
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
    .tunables = TUNABLES,
    .tunables_count = sizeof TUNABLES / sizeof *TUNABLES,
    .esmm = esmm,
    .esmm_transposed = esmm_transposed,
    .estmm = estmm,
    .ess = ess,
    .activation_backward = activation_backward,
    .dot_bias = dot_bias,
};
