/* The variant "nvidia/wgmma": Hopper's tensor cores, for bf16 and f16; kernels in cl/nvidia/.
 *
 *   weights    canonical (panel 1), also where transposed
 *   tiles      128 rows by 256 columns; one resident work-group of three warpgroups on each multiprocessor
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>

#include "device/program.h"
#include "device/queue.h"
#include "product/nvidia.h"
#include "product/product.h"

enum { ITEMS = 384 };                       /* of cl/nvidia/pipeline.h */

int motley__nvidia_panel(const struct motley__device *device)
{
    (void)device;
    return 1;
}

static int suits(const struct motley__device *device)
{
    return device->nvidia_capability == 90;
}

static void describe(const struct motley__device *device, char *text, size_t size)
{
    (void)device;
    snprintf(text, size, "128x256 tiles on tensor cores");
}

static struct motley__range residents(const struct motley__device *device)
{
    return (struct motley__range){{(size_t)device->compute_units * ITEMS}, {ITEMS}};
}

static int get_kernel(struct motley__device *device, const char *source, const char *name, const char *which,
                      enum motley_dtype dtype, cl_kernel *kernel, struct motley_error *error)
{
    char options[96];
    snprintf(options, sizeof options, MOTLEY__SM_90A "%s -DSTORAGE=%d", which, (int)dtype);
    return motley__kernel(device, source, options, name, kernel, error);
}

static int launch(struct motley__device *device, const char *which, const struct motley__esmm *e, int segment,
                  struct motley_error *error)
{
    struct motley__product_args args = motley__esmm_args(e, segment);
    cl_kernel kernel;
    int status = get_kernel(device, "nvidia/esmm_wgmma.cl", "esmm_wgmma", which, e->w->dtype, &kernel, error);
    if (status)
        return status;
    return motley__esmm_launch_two(device, kernel, residents(device), &args, e, segment, error);
}

static int esmm(struct motley__device *device, const struct motley__esmm *e, int segment, struct motley_error *error)
{
    char which[32];
    snprintf(which, sizeof which, "-DACTIVATION=%d", e->activation);
    return launch(device, which, e, segment, error);
}

static int esmm_transposed(struct motley__device *device, const struct motley__esmm *e, int segment,
                           struct motley_error *error)
{
    return launch(device, "-DTRANSPOSED", e, segment, error);
}

static int make_tickets(struct motley__device *device, struct motley_error *error)
{
    cl_int zero = 0, status = CL_SUCCESS;
    if (!device->tickets)
        device->tickets = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof zero, &zero,
                                         &status);
    return motley__fail_cl(error, status, "clCreateBuffer");
}

static int estmm(struct motley__device *device, const struct motley__estmm *e, int segment, struct motley_error *error)
{
    struct motley__product_args args = motley__estmm_args(e, segment);
    cl_kernel kernel;
    int status = get_kernel(device, "nvidia/estmm_wgmma.cl", "estmm_wgmma", "", e->a.dtype, &kernel, error);
    if (!status)
        status = make_tickets(device, error);
    if (status)
        return status;
    return motley__estmm_launch_drawing(device, kernel, residents(device), &args, e, segment, error);
}

static int peak(struct motley__device *device, enum motley_dtype dtype, int loops, struct motley__buffer *out,
                double *flops, struct motley_error *error)
{
    enum { PEAK_ITEMS = 256 };
    cl_kernel kernel;
    int status = get_kernel(device, "nvidia/peak_wgmma.cl", "peak", "", dtype, &kernel, error);
    if (status)
        return status;
    *flops = 2.0 * 2 * 64 * 256 * 64 * loops * device->compute_units;
    const struct motley__range range = {{(size_t)device->compute_units * PEAK_ITEMS}, {PEAK_ITEMS}};
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(loops), MOTLEY__BUFFER(out));
}

/* Rows of whole chunks of 8 numbers; others go the portable way. */
int motley__nvidia_activation_backward(struct motley__device *device, const struct motley__activation_backward *a,
                                       struct motley_error *error)
{
    const int items = a->F > 1024 ? 256 : a->F > 512 ? 128 : a->F > 256 ? 64 : 32;
    char options[64];
    cl_kernel kernel;
    if (a->F % 8)
        return motley__variant_generic.activation_backward(device, a, error);
    snprintf(options, sizeof options, "-DSTORAGE=%d -DACTIVATION=%d -DITEMS=%d", (int)a->dtype, a->activation, items);
    int status = motley__kernel(device, "nvidia/activation.cl", options, "activation_backward", &kernel, error);
    if (status)
        return status;
    const struct motley__range range = {{(size_t)a->P * (size_t)items}, {(size_t)items}};
    return motley__activation_launch(device, kernel, range, 0, a, error);
}

const struct motley__variant motley__variant_nvidia_wgmma = {
    .family = "nvidia",
    .name = "wgmma",
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
