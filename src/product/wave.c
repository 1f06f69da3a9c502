/* The variants "amd/mfma", "amd/wmma" and "intel/dpas": matrix instructions of one wave, for bf16 and f16; their
 * kernels are the same, in cl/wave/.
 *
 *   weights    canonical (panel 1), also where transposed
 *   tiles      one wave each; sizes below
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>

#include "device/program.h"
#include "device/queue.h"
#include "product/product.h"
#include "product/variant.h"

/* Numbers of cl/wave/: the work-items of a wave, rows and columns of its tile. */
static const struct wave {
    int lanes, rows, columns;
} WAVES[] = {
    [MOTLEY__NO_INSTRUCTION] = {1, 1, 1},
    [MOTLEY__MFMA] = {64, 64, 64},
    [MOTLEY__WMMA] = {32, 32, 32},
    [MOTLEY__DPAS16] = {16, 32, 32},
    [MOTLEY__DPAS8] = {8, 32, 16},
};

static int suits_mfma(const struct motley__device *device)
{
    return device->instruction == MOTLEY__MFMA;
}

static int suits_wmma(const struct motley__device *device)
{
    return device->instruction == MOTLEY__WMMA;
}

static int suits_dpas(const struct motley__device *device)
{
    return device->instruction >= MOTLEY__DPAS16;
}

static int panel(const struct motley__device *device)
{
    (void)device;
    return 1;
}

static void describe(const struct motley__device *device, char *text, size_t size)
{
    const struct wave *wave = &WAVES[device->instruction];
    snprintf(text, size, "%dx%d tiles by matrix instructions%s", wave->rows, wave->columns,
             device->emulated ? ", emulated" : "");
}

static int get_kernel(struct motley__device *device, const char *source, const char *name, enum motley_dtype dtype,
                      cl_kernel *kernel, struct motley_error *error)
{
    char options[64];
    snprintf(options, sizeof options, "-DSTORAGE=%d -DWAVE=%d%s", (int)dtype, (int)device->instruction,
             device->emulated ? " -DEMULATE" : "");
    return motley__kernel(device, source, options, name, kernel, error);
}

/* One wave for each tile of `width` columns and for each of `tiles` row tiles. */
static struct motley__range range_of(const struct wave *wave, size_t tiles, int columns, int width)
{
    size_t across = ((size_t)columns + width - 1) / width;
    return (struct motley__range){{across * wave->lanes, tiles}, {(size_t)wave->lanes, 1}};
}

static int esmm(struct motley__device *device, const struct motley__esmm *e, int segment, struct motley_error *error)
{
    const struct wave *wave = &WAVES[device->instruction];
    const struct motley__product_args args = motley__esmm_args(e, segment);
    size_t tiles = motley__product_tiles(args.rows, args.experts, wave->rows);
    struct motley__range range = range_of(wave, tiles, args.O, e->w3 ? wave->columns / 2 : wave->columns);
    cl_kernel kernel;
    int status = get_kernel(device, "wave/esmm.cl", "esmm", e->x.dtype, &kernel, error);
    if (status)
        return status;
    return motley__esmm_launch(device, kernel, range, &args, e, segment, error);
}

static int esmm_transposed(struct motley__device *device, const struct motley__esmm *e, int segment,
                           struct motley_error *error)
{
    const struct wave *wave = &WAVES[device->instruction];
    const struct motley__product_args args = motley__esmm_args(e, segment);
    size_t tiles = motley__product_tiles(args.rows, args.experts, wave->rows);
    struct motley__range range = range_of(wave, tiles, args.I, wave->columns);
    cl_kernel kernel;
    int status = get_kernel(device, "wave/esmm.cl", "esmm_transposed", e->x.dtype, &kernel, error);
    if (status)
        return status;
    return motley__esmm_transposed_launch(device, kernel, range, &args, e, segment, error);
}

static int estmm(struct motley__device *device, const struct motley__estmm *e, int segment, struct motley_error *error)
{
    const struct wave *wave = &WAVES[device->instruction];
    const struct motley__product_args args = motley__estmm_args(e, segment);
    struct motley__range range =
        range_of(wave, ((size_t)args.O + wave->rows - 1) / wave->rows, args.I, wave->columns);
    cl_kernel kernel;
    range.global[2] = (size_t)args.experts;
    range.local[2] = 1;
    int status = get_kernel(device, "wave/estmm.cl", "estmm", e->a.dtype, &kernel, error);
    if (status)
        return status;
    return motley__estmm_launch(device, kernel, range, &args, e, segment, error);
}

#define WAVE_VARIANT(family_, name_, suits_)                                                        \
    {                                                                                               \
        .family = family_, .name = name_,                                                           \
        .dtypes = MOTLEY__DTYPE_BIT(MOTLEY_BF16) | MOTLEY__DTYPE_BIT(MOTLEY_F16), .suits = suits_,  \
        .panel = panel, .describe = describe, .esmm = esmm, .esmm_transposed = esmm_transposed,     \
        .estmm = estmm,                                                                             \
    }

const struct motley__variant motley__variant_amd_mfma = WAVE_VARIANT("amd", "mfma", suits_mfma);
const struct motley__variant motley__variant_amd_wmma = WAVE_VARIANT("amd", "wmma", suits_wmma);
const struct motley__variant motley__variant_intel_dpas = WAVE_VARIANT("intel", "dpas", suits_dpas);
