/* What the products share on the host.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "layer/product.h"

int motley__product_cpu(const struct motley__device *device)
{
    return strcmp(device->info.family, "cpu") == 0;
}

int motley__product_lanes(const struct motley__device *device)
{
    return device->native_float >= 16 ? 16 : device->native_float >= 8 ? 8 : 4;
}

int motley__product_group(const struct motley__device *device)
{
    int side = 16;
    while (side > 1 && (size_t)(side * side) > device->max_group)
        side /= 2;
    return side;
}

int motley__product_kernel(struct motley__device *device, const char *source, const char *name, cl_kernel *kernel,
                           struct motley_error *error)
{
    char file[64], options[64];
    if (motley__product_cpu(device)) {
        snprintf(file, sizeof file, "cpu/%s", source);
        snprintf(options, sizeof options, "-DLANES=%d", motley__product_lanes(device));
    } else {
        snprintf(file, sizeof file, "%s", source);
        snprintf(options, sizeof options, "-DGROUP=%d -DITEM=%d", motley__product_group(device), MOTLEY__GENERIC_ITEM);
    }
    return motley__kernel(device, file, options, name, kernel, error);
}

struct motley__product_args motley__product_args(const struct motley__ragged *ragged, const struct motley__rows *rows,
                                                 int first, int experts, int O, int I)
{
    return (struct motley__product_args){
        .first = first,
        .experts = experts,
        .rows = ragged->P,
        .O = O,
        .I = I,
        .own_rows = rows->received ? rows->own_rows : INT_MAX,
        .activation = MOTLEY__ACT_NONE,
        .block_panels = 1,
    };
}

size_t motley__product_tiles(const struct motley__device *device, int P, int experts)
{
    int height = motley__product_cpu(device) ? MOTLEY__CPU_BLOCK : motley__product_group(device) * MOTLEY__GENERIC_ITEM;
    return (size_t)P / height + experts;
}

/* Panels of one work-group.  Many panels share one packing of the rows, but there must be some groups for each
 * thread to even them out. */
static int block_panels(const struct motley__device *device, size_t tiles, int panels, int products)
{
    size_t wanted = 12 * (size_t)device->compute_units;
    size_t runs = (wanted + tiles - 1) / tiles; /* runs of panels each row tile should be divided into */
    size_t panels_each = ((size_t)panels + runs - 1) / runs;
    size_t limit = MOTLEY__CPU_MAX_PANELS / products;
    return panels_each > limit ? (int)limit : (int)panels_each;
}

struct motley__range motley__product_range(const struct motley__device *device, struct motley__product_args *args,
                                           size_t tiles, int columns, int products)
{
    if (motley__product_cpu(device)) {
        int panel = 2 * motley__product_lanes(device), panels = (columns + panel - 1) / panel;
        args->block_panels = tiles > 0 ? block_panels(device, tiles, panels, products) : 1;
        size_t runs = ((size_t)panels + args->block_panels - 1) / args->block_panels;
        return (struct motley__range){{tiles, runs}, {1, 1}};
    }
    size_t side = motley__product_group(device), tile = side * MOTLEY__GENERIC_ITEM;
    return (struct motley__range){{((size_t)columns + tile - 1) / tile * side, tiles * side}, {side, side}};
}
