/* The variant nvidia/fma: products in f32 by plain multiply-adds, 8 x 8 results a work-item; kernels in cl/nvidia/.
 *
 *   weights    canonical (panel 1)
 *   tile       of a few sizes, the one that is done first (choose)
 *
 * Plain OpenCL 1.2, written for NVIDIA's GPUs; any device of sufficient size runs it when MOTLEY_FAMILY=nvidia/fma asks
 * for it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/program.h"
#include "device/queue.h"
#include "product/nvidia.h"
#include "product/product.h"

enum {
    DEPTH = 8,              /* of cl/nvidia/fma.h */
    ITEM = 64,              /* results of a work-item */
    MOST_ITEMS = 256,       /* of the largest tile */
    REGISTERS = 128         /* of a work-item: 512 items fit a multiprocessor, whatever the tile */
};

/* A tile, and what its items may take longer than the largest tile's, in percent: they fetch more for each
 * multiply-add.  An estimate from counting instructions. */
struct tile {
    int height, width, slower;
};

static const struct tile TILES[] = {{128, 128, 0}, {64, 128, 3}, {64, 64, 6}, {32, 128, 9}};
enum { ROW_TILES = 4, GRADIENT_TILES = 3 };     /* an expert may have few rows, but gradients are rarely so low */

/* Which tile: BY_ESTIMATE or 1000 height + width. */
enum { TILE, BY_ESTIMATE = 1 };
static const struct motley__tunable TUNABLES[] = {
    [TILE] = {"tile", MOTLEY__PRODUCTS_ALL, MOTLEY__ROWS_ALL, {BY_ESTIMATE, 128128, 64128, 64064, 32128}, NULL},
};

static int suits(const struct motley__device *device)
{
    const char *wanted = getenv("MOTLEY_FAMILY");
    const size_t local = 2 * DEPTH * (128 + 4 + 128 + 4) * sizeof(float);
    if (!device->nvidia_capability && !(wanted && !strcmp(wanted, "nvidia/fma")))
        return 0;
    return device->max_group >= MOST_ITEMS && device->local_bytes >= local;
}

static void describe(const struct motley__device *device, char *text, size_t size)
{
    (void)device;
    snprintf(text, size, "8x8 sums an item, tiles of up to %dx%d", TILES[0].height, TILES[0].width);
}

static int items(const struct tile *tile)
{
    return tile->height * tile->width / ITEM;
}

static size_t parts(int length, int part)
{
    return ((size_t)length + (size_t)part - 1) / (size_t)part;
}

/* The tile with which `blocks` outputs of rows x columns are done first: a multiprocessor takes as long for its groups
 * as they have items. */
static const struct tile *choose(const struct motley__device *device, int tiles, int blocks, int rows, int columns)
{
    const struct tile *best = TILES;
    size_t least = SIZE_MAX;
    for (const struct tile *tile = TILES; tile < TILES + tiles; tile++) {
        size_t groups = (size_t)blocks * parts(rows, tile->height) * parts(columns, tile->width);
        size_t each = (groups + (size_t)device->compute_units - 1) / (size_t)device->compute_units;
        size_t time = each * (size_t)items(tile) * (size_t)(100 + tile->slower);
        if (time < least) {
            least = time;
            best = tile;
        }
    }
    return best;
}

/* The tile that was tuned for the launch's class of shapes; NULL: none. */
static const struct tile *tuned(const struct motley__device *device, enum motley__product product,
                                const struct motley__product_args *args)
{
    const int wanted = motley__tuned(device, &motley__variant_nvidia_fma, MOTLEY_F32,
                                     motley__shape_class_of(product, args), TILE);
    for (const struct tile *tile = TILES; tile < TILES + ROW_TILES; tile++)
        if (wanted == 1000 * tile->height + tile->width)
            return tile;
    return NULL;
}

/* For the rows of a launch, as if its experts had equally many. */
static const struct tile *choose_for_rows(const struct motley__device *device,
                                          const struct motley__product_args *args, int columns)
{
    int experts = args->rows < args->experts ? args->rows : args->experts;
    return choose(device, ROW_TILES, experts, (int)parts(args->rows, experts), columns);
}

static int get_kernel(struct motley__device *device, const char *source, const char *name, const struct tile *tile,
                      const struct motley__product_args *args, const char *more, cl_kernel *kernel,
                      struct motley_error *error)
{
    char options[160], registers[40] = "";
    int vector = (args->O | args->I) % 4 ? 1 : 4;
    if (device->nvidia_capability)
        snprintf(registers, sizeof registers, " -cl-nv-maxrregcount=%d", REGISTERS);
    snprintf(options, sizeof options, "-DHEIGHT=%d -DWIDTH=%d -DDEPTH=%d -DVECTOR=%d -DACTIVATION=%d%s%s", tile->height,
             tile->width, DEPTH, vector, args->activation, more, registers);
    return motley__kernel(device, source, options, name, kernel, error);
}

/* Tiles of `width` columns by `tiles` of the rows. */
static struct motley__range range_of(const struct tile *tile, int columns, int width, size_t tiles)
{
    size_t side = (size_t)items(tile);
    return (struct motley__range){{parts(columns, width) * side, tiles}, {side, 1}};
}

/* Forward or transposed. */
static int product(struct motley__device *device, const struct motley__esmm *e, int segment, int transposed,
                   struct motley_error *error)
{
    const struct motley__product_args args = motley__esmm_args(e, segment);
    const int columns = transposed ? args.I : args.O, products = e->w3 ? 2 : 1;
    const struct tile *tile = tuned(device, transposed ? MOTLEY__PRODUCT_TRANSPOSED :
                                    e->w3 ? MOTLEY__PRODUCT_SWIGLU : MOTLEY__PRODUCT_ESMM, &args);
    if (!tile)
        tile = choose_for_rows(device, &args, products * columns);
    cl_kernel kernel;
    int status = get_kernel(device, "nvidia/esmm_fma.cl", "esmm_fma", tile, &args, transposed ? " -DTRANSPOSED" : "",
                            &kernel, error);
    if (status)
        return status;
    struct motley__range range = range_of(tile, columns, tile->width / products,
                                          motley__product_tiles(args.rows, args.experts, tile->height));
    return motley__esmm_launch(device, kernel, range, &args, e, segment, error);
}

static int esmm(struct motley__device *device, const struct motley__esmm *e, int segment, struct motley_error *error)
{
    return product(device, e, segment, 0, error);
}

static int esmm_transposed(struct motley__device *device, const struct motley__esmm *e, int segment,
                           struct motley_error *error)
{
    return product(device, e, segment, 1, error);
}

static int estmm(struct motley__device *device, const struct motley__estmm *e, int segment, struct motley_error *error)
{
    const struct motley__product_args args = motley__estmm_args(e, segment);
    const struct tile *tile = tuned(device, MOTLEY__PRODUCT_ESTMM, &args);
    if (!tile)
        tile = choose(device, GRADIENT_TILES, args.experts, args.O, args.I);
    struct motley__range range = range_of(tile, args.I, tile->width, parts(args.O, tile->height));
    cl_kernel kernel;
    int status = get_kernel(device, "nvidia/estmm_fma.cl", "estmm_fma", tile, &args, "", &kernel, error);
    if (status)
        return status;
    range.global[2] = (size_t)args.experts;
    range.local[2] = 1;
    return motley__estmm_launch(device, kernel, range, &args, e, segment, error);
}

const struct motley__variant motley__variant_nvidia_fma = {
    .family = "nvidia",
    .name = "fma",
    .dtypes = MOTLEY__DTYPE_BIT(MOTLEY_F32),
    .suits = suits,
    .panel = motley__nvidia_panel,
    .describe = describe,
    .tunables = TUNABLES,
    .tunables_count = sizeof TUNABLES / sizeof *TUNABLES,
    .esmm = esmm,
    .esmm_transposed = esmm_transposed,
    .estmm = estmm,
};
