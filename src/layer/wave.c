/* The variants "amd/mfma", "amd/wmma" and "intel/dpas": matrix instructions of one wave, for bf16 and f16; their kernels
 * are the same, in cl/wave/.
 *
 *   weights    canonical (panel 1), also where transposed
 *   tiles      one wave each; sizes below
 *
 * MOTLEY_EMULATE, the name of an instruction of the table below, computes it by other means, slowly, on any device: so
 * the kernels and what they hold of the instruction's layout are tested without the hardware.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/program.h"
#include "device/queue.h"
#include "layer/product.h"
#include "layer/variant.h"

/* cl_intel_required_subgroup_size */
enum { SUB_GROUP_SIZES_INTEL = 0x4108 };

enum instruction { NONE, MFMA, WMMA, DPAS16, DPAS8 };

/* Numbers of cl/wave/: the work-items of a wave, rows and columns of its tile. */
static const struct wave {
    const char *name;
    int lanes, rows, columns;
} WAVES[] = {
    [NONE] = {"", 1, 1, 1},
    [MFMA] = {"mfma", 64, 64, 64},
    [WMMA] = {"wmma", 32, 32, 32},
    [DPAS16] = {"dpas16", 16, 32, 32},
    [DPAS8] = {"dpas8", 8, 32, 16},
};

static enum instruction emulated(void)
{
    const char *name = getenv("MOTLEY_EMULATE");
    for (int i = MFMA; name && i <= DPAS8; i++)
        if (!strcmp(name, WAVES[i].name))
            return (enum instruction)i;
    return NONE;
}

/* OpenCL of ROCm calls a device by its instruction set, "gfx90a:sramecc+:xnack-". */
static enum instruction of_amd(const struct motley__device *device)
{
    const char *name = device->info.name;
    if (!strstr(device->info.platform, "AMD"))
        return NONE;
    if (!strncmp(name, "gfx90a", 6) || !strncmp(name, "gfx94", 5) || !strncmp(name, "gfx950", 6))
        return MFMA;
    return strncmp(name, "gfx11", 5) ? NONE : WMMA;
}

static enum instruction of_intel(const struct motley__device *device)
{
    char extensions[8192] = "";
    size_t sizes[8] = {0}, bytes = 0;
    if (clGetDeviceInfo(device->id, CL_DEVICE_EXTENSIONS, sizeof extensions, extensions, NULL) != CL_SUCCESS ||
        !strstr(extensions, "cl_intel_subgroup_matrix_multiply_accumulate") ||
        clGetDeviceInfo(device->id, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes) != CL_SUCCESS)
        return NONE;
    enum instruction found = NONE;
    for (size_t i = 0; i < bytes / sizeof *sizes && found != DPAS8; i++) /* 8 where it has both */
        found = sizes[i] == 8 ? DPAS8 : sizes[i] == 16 ? DPAS16 : found;
    return found;
}

static enum instruction instruction_of(const struct motley__device *device)
{
    enum instruction found = emulated();
    if (!found && !device->is_cpu)
        found = of_amd(device);
    return found || device->is_cpu ? found : of_intel(device);
}

static int suits_mfma(const struct motley__device *device)
{
    return instruction_of(device) == MFMA;
}

static int suits_wmma(const struct motley__device *device)
{
    return instruction_of(device) == WMMA;
}

static int suits_dpas(const struct motley__device *device)
{
    return instruction_of(device) >= DPAS16;
}

static int panel(const struct motley__device *device)
{
    (void)device;
    return 1;
}

static void describe(const struct motley__device *device, char *text, size_t size)
{
    const struct wave *wave = &WAVES[instruction_of(device)];
    snprintf(text, size, "%dx%d tiles by matrix instructions%s", wave->rows, wave->columns,
             emulated() ? ", emulated" : "");
}

static int get_kernel(struct motley__device *device, const char *source, const char *name, enum motley_dtype dtype,
                      cl_kernel *kernel, struct motley_error *error)
{
    char options[64];
    snprintf(options, sizeof options, "-DSTORAGE=%d -DWAVE=%d%s", (int)dtype, (int)instruction_of(device),
             emulated() ? " -DEMULATE" : "");
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
    const struct wave *wave = &WAVES[instruction_of(device)];
    const struct motley__buffer *w3 = e->w3 ? e->w3->segment[segment] : NULL;
    const struct motley__product_args args = motley__esmm_args(e, segment);
    size_t tiles = motley__product_tiles(args.rows, args.experts, wave->rows);
    cl_kernel kernel;
    int status = get_kernel(device, "wave/esmm.cl", "esmm", e->x.dtype, &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range_of(wave, tiles, args.O, w3 ? wave->columns / 2 : wave->columns), error,
                          MOTLEY__VALUE(args), MOTLEY__BUFFER(e->ragged.offsets), MOTLEY__BUFFER(e->x.index),
                          MOTLEY__BUFFER(e->x.own), MOTLEY__BUFFER(e->x.received),
                          MOTLEY__BUFFER(e->w->segment[segment]), MOTLEY__BUFFER(w3), MOTLEY__BUFFER(e->bias),
                          MOTLEY__BUFFER(e->pre), MOTLEY__BUFFER(e->pre3), MOTLEY__BUFFER(e->y));
}

static int esmm_transposed(struct motley__device *device, const struct motley__esmm *e, int segment,
                           struct motley_error *error)
{
    const struct wave *wave = &WAVES[instruction_of(device)];
    const struct motley__product_args args = motley__esmm_args(e, segment);
    size_t tiles = motley__product_tiles(args.rows, args.experts, wave->rows);
    cl_kernel kernel;
    int status = get_kernel(device, "wave/esmm.cl", "esmm_transposed", e->x.dtype, &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range_of(wave, tiles, args.I, wave->columns), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(e->ragged.offsets), MOTLEY__BUFFER(e->x.index), MOTLEY__BUFFER(e->x.own),
                          MOTLEY__BUFFER(e->x.received), MOTLEY__BUFFER(e->w->segment[segment]), MOTLEY__BUFFER(e->y));
}

static int estmm(struct motley__device *device, const struct motley__estmm *e, int segment, struct motley_error *error)
{
    const struct wave *wave = &WAVES[instruction_of(device)];
    const struct motley__product_args args = motley__estmm_args(e, segment);
    struct motley__range range =
        range_of(wave, ((size_t)args.O + wave->rows - 1) / wave->rows, args.I, wave->columns);
    cl_kernel kernel;
    range.global[2] = (size_t)args.experts;
    range.local[2] = 1;
    int status = get_kernel(device, "wave/estmm.cl", "estmm", e->a.dtype, &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(e->ragged.offsets),
                          MOTLEY__BUFFER(e->a.index), MOTLEY__BUFFER(e->a.own), MOTLEY__BUFFER(e->a.received),
                          MOTLEY__BUFFER(e->b.index), MOTLEY__BUFFER(e->b.own), MOTLEY__BUFFER(e->b.received),
                          MOTLEY__BUFFER(e->dw->segment[segment]));
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
