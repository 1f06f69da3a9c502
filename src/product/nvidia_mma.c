/* The variant "nvidia/mma": the tensor cores of any NVIDIA GPU since compute capability 8.0, for bf16 and f16; kernels
 * in cl/nvidia/.
 *
 *   weights    canonical (panel 1), also where transposed
 *   tiles      128 rows by 128 columns, one work-group of four warps each; 48 KiB of local memory
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>

#include "device/program.h"
#include "device/queue.h"
#include "product/nvidia.h"
#include "product/product.h"

enum { ITEMS = 128, SIDE = 128, LOCAL_BYTES = 48 << 10 }; /* of cl/nvidia/mma.h */

static int suits(const struct motley__device *device)
{
    return device->nvidia_capability >= 80 && device->local_bytes >= LOCAL_BYTES;
}

static void describe(const struct motley__device *device, char *text, size_t size)
{
    (void)device;
    snprintf(text, size, "%dx%d tiles on tensor cores", SIDE, SIDE);
}

static size_t tiles_across(int width, int tile)
{
    return ((size_t)width + (size_t)tile - 1) / (size_t)tile;
}

static int get_kernel(struct motley__device *device, const char *source, const char *name, const char *which,
                      enum motley_dtype dtype, cl_kernel *kernel, struct motley_error *error)
{
    char options[64];
    snprintf(options, sizeof options, "%s -DSTORAGE=%d", which, (int)dtype);
    return motley__kernel(device, source, options, name, kernel, error);
}

/* `columns` tiles beside each other cover a row of y. */
static int launch(struct motley__device *device, const char *which, const struct motley__esmm *e, int segment,
                  size_t columns, struct motley_error *error)
{
    struct motley__product_args args = motley__esmm_args(e, segment);
    struct motley__range range = {{motley__product_tiles(args.rows, args.experts, SIDE) * columns * ITEMS}, {ITEMS}};
    cl_kernel kernel;
    int status = get_kernel(device, "nvidia/esmm_mma.cl", "esmm_mma", which, e->w->dtype, &kernel, error);
    if (status)
        return status;
    return motley__esmm_launch_two(device, kernel, range, &args, e, segment, error);
}

/* swiglu's tiles are half as wide: their other columns are W3's. */
static int esmm(struct motley__device *device, const struct motley__esmm *e, int segment, struct motley_error *error)
{
    char which[32];
    snprintf(which, sizeof which, "-DACTIVATION=%d", e->activation);
    return launch(device, which, e, segment, tiles_across(e->w->O, e->w3 ? SIDE / 2 : SIDE), error);
}

static int esmm_transposed(struct motley__device *device, const struct motley__esmm *e, int segment,
                           struct motley_error *error)
{
    return launch(device, "-DTRANSPOSED", e, segment, tiles_across(e->w->I, SIDE), error);
}

static int estmm(struct motley__device *device, const struct motley__estmm *e, int segment, struct motley_error *error)
{
    struct motley__product_args args = motley__estmm_args(e, segment);
    size_t tiles = tiles_across(args.O, SIDE) * tiles_across(args.I, SIDE) * (size_t)args.experts;
    struct motley__range range = {{tiles * ITEMS}, {ITEMS}};
    cl_kernel kernel;
    int status = get_kernel(device, "nvidia/estmm_mma.cl", "estmm_mma", "", e->a.dtype, &kernel, error);
    if (status)
        return status;
    return motley__estmm_launch(device, kernel, range, &args, e, segment, error);
}

static int peak(struct motley__device *device, enum motley_dtype dtype, int loops, struct motley__buffer *out,
                double *flops, struct motley_error *error)
{
    enum { PEAK_ITEMS = 256, WARPS = PEAK_ITEMS / 32, GROUPS = 4, CHAINS = 8 }; /* of cl/nvidia/peak_mma.cl */
    const size_t groups = (size_t)device->compute_units * GROUPS;
    cl_kernel kernel;
    int status = get_kernel(device, "nvidia/peak_mma.cl", "peak", "", dtype, &kernel, error);
    if (status)
        return status;
    *flops = 4096.0 * CHAINS * WARPS * loops * (double)groups;
    return motley__launch(device, kernel, ((struct motley__range){{groups * PEAK_ITEMS}, {PEAK_ITEMS}}), error,
                          MOTLEY__VALUE(loops), MOTLEY__BUFFER(out));
}

const struct motley__variant motley__variant_nvidia_mma = {
    .family = "nvidia",
    .name = "mma",
    .dtypes = MOTLEY__DTYPE_BIT(MOTLEY_BF16) | MOTLEY__DTYPE_BIT(MOTLEY_F16),
    .suits = suits,
    .transposes_two = 1,
    .most_experts = MOTLEY__NVIDIA_EXPERTS,
    .panel = motley__nvidia_panel,
    .describe = describe,
    .esmm = esmm,
    .esmm_transposed = esmm_transposed,
    .estmm = estmm,
    .activation_backward = motley__nvidia_activation_backward,
    .peak = peak,
};
