/* What the products share on the host: the family's sources, options and tile sizes.
 *
 *              generic                        cpu
 *   source     cl/NAME.cl                     cl/cpu/NAME.cl
 *   weights    panel 1                        panel 2 LANES
 *   row tile   GROUP*ITEM rows                MOTLEY__CPU_BLOCK rows
 *   group      GROUP x GROUP items            one item
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_PRODUCT_H
#define MOTLEY_LAYER_PRODUCT_H

#include "cl/types.h"
#include "device/program.h"
#include "device/queue.h"
#include "layer/matrix.h"
#include "layer/rows.h"

enum {
    MOTLEY__CPU_BLOCK = 144,        /* BLOCK_ROWS of cl/cpu/tile.h */
    MOTLEY__CPU_MAX_PANELS = 8,     /* MAX_PANELS of cl/cpu/tile.h */
    MOTLEY__GENERIC_ITEM = 4        /* ITEM of cl/tile.h */
};

/* 1: the device runs the family "cpu". */
int motley__product_cpu(const struct motley__device *device);
/* Floats in a vector of the family "cpu": 4, 8 or 16. */
int motley__product_lanes(const struct motley__device *device);
/* Side of a generic work-group: 16, or less where the device holds no 256 items. */
int motley__product_group(const struct motley__device *device);

/* Kernel `name` of NAME.cl in the device's family, built with the options above. */
int motley__product_kernel(struct motley__device *device, const char *source, const char *name, cl_kernel *kernel,
                           struct motley_error *error);

/* The argument struct for experts first .. first+experts-1; own_rows without a limit when nothing is received. */
struct motley__product_args motley__product_args(const struct motley__ragged *ragged, const struct motley__rows *rows,
                                                 int first, int experts, int O, int I);

/* Grid over `tiles` of rows (or of inputs) and the columns of the output: outputs, or inputs when transposed.
 * Family cpu: also sets args->block_panels, so that there are several work-groups for each thread; products is 2
 * for swiglu, else 1. */
struct motley__range motley__product_range(const struct motley__device *device, struct motley__product_args *args,
                                           size_t tiles, int columns, int products);
/* An upper bound of the row tiles of P rows over the experts of one launch. */
size_t motley__product_tiles(const struct motley__device *device, int P, int experts);

#endif
