/* The family "generic": tiles in local memory, on any OpenCL 1.2 device, for any mixture of storage types; kernels in
 * cl/.
 *
 *   weights    canonical (panel 1)
 *   row tile   GROUP*ITEM rows by GROUP*ITEM columns, GROUP x GROUP work-items
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>

#include "device/program.h"
#include "device/queue.h"
#include "product/product.h"
#include "product/variant.h"

enum { MOST_TILES = 3 };            /* of one kernel in local memory: swiglu's */

/* Less than 8 only where the device holds no more. */
static int holds_group(const struct motley__device *device, int side)
{
    return (size_t)(side * side) <= device->max_group && (side >= 8 || (size_t)(4 * side * side) > device->max_group);
}

static int holds_item(const struct motley__device *device, int item);

/* Side of a work-group, sums of one item in each direction: GROUP and ITEM of cl/tile.h. */
enum { GROUP, ITEM };
static const struct motley__tunable TUNABLES[] = {
    [GROUP] = {"group", MOTLEY__PRODUCTS_ALL, MOTLEY__ROWS_ALL, {16, 8, 4, 2, 1}, holds_group},
    [ITEM] = {"item", MOTLEY__PRODUCTS_ALL, MOTLEY__ROWS_ALL, {4, 8, 2, 1}, holds_item},
};

/* The tiles of the largest group.  A single sum only where there is no room for more. */
static int holds_item(const struct motley__device *device, int item)
{
    const size_t side = (size_t)motley__tunable_default(device, &TUNABLES[GROUP]);
    const size_t most = device->local_bytes / (MOST_TILES * side * sizeof(float)); /* width and one more */
    return item == 1 ? most < 2 * side + 1 : side * (size_t)item + 1 <= most;
}

static int suits(const struct motley__device *device)
{
    (void)device;
    return 1;
}

static int panel(const struct motley__device *device)
{
    (void)device;
    return 1;
}

static void describe(const struct motley__device *device, char *text, size_t size)
{
    const int side = motley__tunable_default(device, &TUNABLES[GROUP]) *
                     motley__tunable_default(device, &TUNABLES[ITEM]);
    snprintf(text, size, "%dx%d tiles in local memory", side, side);
}

/* What one launch's work-groups are like. */
struct tiles {
    int group, item;
};

static struct tiles tiles_of(const struct motley__device *device, enum motley_dtype dtype, enum motley__product product,
                             const struct motley__product_args *args)
{
    const struct motley__shape_class shape = motley__shape_class_of(product, args);
    return (struct tiles){motley__tuned(device, &motley__variant_generic, dtype, shape, GROUP),
                          motley__tuned(device, &motley__variant_generic, dtype, shape, ITEM)};
}

static int side_of(struct tiles tiles)
{
    return tiles.group * tiles.item;
}

/* A tiled product: first and second operand, output. */
static int get_product(struct motley__device *device, const char *source, const char *name, struct tiles tiles,
                       enum motley_dtype a, enum motley_dtype b, enum motley_dtype y, cl_kernel *kernel,
                       struct motley_error *error)
{
    char options[96];
    snprintf(options, sizeof options, "-DGROUP=%d -DITEM=%d -DSTORAGE_A=%d -DSTORAGE_B=%d -DSTORAGE_Y=%d", tiles.group,
             tiles.item, a, b, y);
    return motley__kernel(device, source, options, name, kernel, error);
}

/* A pass over rows of one storage type. */
static int get_kernel(struct motley__device *device, const char *source, const char *name, enum motley_dtype dtype,
                      cl_kernel *kernel, struct motley_error *error)
{
    char options[16];
    snprintf(options, sizeof options, "-DSTORAGE=%d", dtype);
    return motley__kernel(device, source, options, name, kernel, error);
}

/* Tiles of the output's columns by `down` of its rows. */
static struct motley__range range_of(struct tiles tiles, size_t down, int columns)
{
    size_t group = (size_t)tiles.group, side = (size_t)side_of(tiles);
    return (struct motley__range){{((size_t)columns + side - 1) / side * group, down * group}, {group, group}};
}

/* swiglu has a kernel of its own, since it holds twice the registers. */
static int esmm(struct motley__device *device, const struct motley__esmm *e, int segment, struct motley_error *error)
{
    const struct motley__product_args args = motley__esmm_args(e, segment);
    const enum motley__product product = e->w3 ? MOTLEY__PRODUCT_SWIGLU : MOTLEY__PRODUCT_ESMM;
    const struct tiles tiles = tiles_of(device, e->x.dtype, product, &args);
    const size_t down = motley__product_tiles(args.rows, args.experts, side_of(tiles));
    cl_kernel kernel;
    int status = get_product(device, "esmm.cl", e->w3 ? "esmm_swiglu" : "esmm", tiles, e->x.dtype, e->w->dtype,
                             e->dtype, &kernel, error);
    if (status)
        return status;
    return motley__esmm_launch(device, kernel, range_of(tiles, down, args.O), &args, e, segment, error);
}

static int esmm_transposed(struct motley__device *device, const struct motley__esmm *e, int segment,
                           struct motley_error *error)
{
    const struct motley__product_args args = motley__esmm_args(e, segment);
    const struct tiles tiles = tiles_of(device, e->x.dtype, MOTLEY__PRODUCT_TRANSPOSED, &args);
    const size_t down = motley__product_tiles(args.rows, args.experts, side_of(tiles));
    cl_kernel kernel;
    int status = get_product(device, "esmm.cl", "esmm_transposed", tiles, e->x.dtype, e->w->dtype, e->dtype, &kernel,
                             error);
    if (status)
        return status;
    return motley__esmm_transposed_launch(device, kernel, range_of(tiles, down, args.I), &args, e, segment, error);
}

static int estmm(struct motley__device *device, const struct motley__estmm *e, int segment, struct motley_error *error)
{
    const struct motley__product_args args = motley__estmm_args(e, segment);
    const struct tiles tiles = tiles_of(device, e->a.dtype, MOTLEY__PRODUCT_ESTMM, &args);
    const size_t side = (size_t)side_of(tiles);
    struct motley__range range = range_of(tiles, ((size_t)args.O + side - 1) / side, args.I);
    cl_kernel kernel;
    range.global[2] = (size_t)args.experts;
    range.local[2] = 1;
    int status = get_product(device, "estmm.cl", "estmm", tiles, e->a.dtype, e->b.dtype, MOTLEY_F32, &kernel, error);
    if (status)
        return status;
    return motley__estmm_launch(device, kernel, range, &args, e, segment, error);
}

static int ess(struct motley__device *device, const struct motley__ess *e, struct motley_error *error)
{
    enum { ACROSS = 8 };
    const int widest = e->a.dtype == MOTLEY_F32 ? 4 : 8, vector = e->O % widest == 0 ? widest : 1;
    const int across = device->max_group < ACROSS ? 1 : ACROSS;
    int down = 32;
    char options[64];
    cl_kernel kernel;
    while (down > 1 && (size_t)(across * down) > device->max_group)
        down /= 2;
    const struct motley__range range = {{(size_t)(e->O / vector), (size_t)e->ragged.E * (size_t)down},
                                        {(size_t)across, (size_t)down}};
    snprintf(options, sizeof options, "-DSTORAGE=%d -DV=%d -DACROSS=%d -DDOWN=%d", e->a.dtype, vector, across, down);
    int status = motley__kernel(device, "ess.cl", options, "ess", &kernel, error);
    if (status)
        return status;
    return motley__ess_launch(device, kernel, range, e, error);
}

/* Work-items of a row's group: a power of two. */
static size_t row_items(const struct motley__device *device)
{
    size_t items = 256;
    while (items > device->max_group)
        items /= 2;
    return items;
}

static int activation_backward(struct motley__device *device, const struct motley__activation_backward *a,
                               struct motley_error *error)
{
    const int vector = a->F % 4 == 0 ? 4 : 1;
    size_t items = row_items(device);
    char options[32];
    cl_kernel kernel;
    while (items > 32 && items / 2 >= (size_t)(a->F / vector))
        items /= 2;
    snprintf(options, sizeof options, "-DV=%d -DSTORAGE=%d", vector, a->dtype);
    int status = motley__kernel(device, "activation.cl", options, "activation_backward", &kernel, error);
    if (status)
        return status;
    struct motley__range range = {{(size_t)a->P * items}, {items}};
    return motley__activation_launch(device, kernel, range, items * sizeof(float), a, error);
}

static int dot_bias(struct motley__device *device, const struct motley__dot_bias *d, struct motley_error *error)
{
    size_t items = row_items(device);
    struct motley__range range = {{(size_t)d->ragged.P * items}, {items}};
    cl_kernel kernel;
    int status = get_kernel(device, "activation.cl", "dot_bias", d->dy.dtype, &kernel, error);
    if (status)
        return status;
    return motley__dot_bias_launch(device, kernel, range, items * sizeof(float), d, error);
}

const struct motley__variant motley__variant_generic = {
    .family = "generic",
    .name = "tiles",
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
