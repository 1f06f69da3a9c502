/* Kernel variants: one way to compute the products of experts on some devices.
 *
 * A family is a kind of device ("cpu", "nvidia", ...), with its launchers in one file of this folder and its kernels in
 * cl/<family>/ (amd and intel share cl/wave/); a variant is one set of its kernels.  `generic` has everything for any
 * OpenCL 1.2 device and every storage type; the others replace what they do better.  For each storage type a device
 * runs the first variant of the table that suits it, builds and agrees with the scalar twin (admit.h).
 *
 * A launcher enqueues one kernel for one weight segment; it may rely on what esmm.c, estmm.c and activation.c check.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_VARIANT_H
#define MOTLEY_PRODUCT_VARIANT_H

#include <motley/tensor.h>
#include "product/activation.h"
#include "product/esmm.h"
#include "product/estmm.h"
#include "product/tuning.h"

struct motley__variant {
    const char *family;                     /* info.family, and the folder of its kernels under cl/ */
    const char *name;                       /* one word: MOTLEY_FAMILY=family/name asks for it, plans name it */
    unsigned dtypes;                        /* MOTLEY__DTYPE_BIT of each storage type it can be built for */
    int transposes_two;                     /* 1: esmm_transposed computes x3 W3 too, in one pass */
    const struct motley__tunable *tunables; /* [tunables_count] what measuring may choose (tuning.h); NULL: nothing */
    int tunables_count;
    int most_experts;                       /* in a launch of a product; generic takes more; 0: any; else panel is 1 */

    /* 1: worth a try on this device, by its kind, vendor, extensions.  Cheap, builds nothing. */
    int (*suits)(const struct motley__device *device);
    /* The layout of its matrices (product/matrix.h). */
    int (*panel)(const struct motley__device *device);
    /* What it does, in a few words with its tile sizes on this device. */
    void (*describe)(const struct motley__device *device, char *text, size_t size);

    /* The kernels.  NULL: generic's is used; esmm_transposed and estmm only where panel is 1. */
    int (*esmm)(struct motley__device *device, const struct motley__esmm *esmm, int segment,
                struct motley_error *error);
    int (*esmm_transposed)(struct motley__device *device, const struct motley__esmm *esmm, int segment,
                           struct motley_error *error);
    int (*estmm)(struct motley__device *device, const struct motley__estmm *estmm, int segment,
                 struct motley_error *error);
    int (*ess)(struct motley__device *device, const struct motley__ess *ess, struct motley_error *error);
    int (*activation_backward)(struct motley__device *device, const struct motley__activation_backward *a,
                               struct motley_error *error);
    int (*dot_bias)(struct motley__device *device, const struct motley__dot_bias *dot, struct motley_error *error);
    /* Bench's measure of the most it could do: enqueue `loops` turns of its matrix instruction on numbers that are in
     * registers or local memory already.  out: a float for each work-item of 8 groups of 256 on every multiprocessor.
     * *flops: of the whole launch.  NULL: it multiplies with plain multiply-adds. */
    int (*peak)(struct motley__device *device, enum motley_dtype dtype, int loops, struct motley__buffer *out,
                double *flops, struct motley_error *error);
};

#define MOTLEY__DTYPE_BIT(dtype) (1u << (dtype))
#define MOTLEY__DTYPE_ALL ((1u << MOTLEY__DTYPES) - 1)

extern const struct motley__variant motley__variant_cpu;
extern const struct motley__variant motley__variant_nvidia_wgmma;
extern const struct motley__variant motley__variant_nvidia_mma;
extern const struct motley__variant motley__variant_nvidia_fma;
extern const struct motley__variant motley__variant_amd_mfma;
extern const struct motley__variant motley__variant_amd_wmma;
extern const struct motley__variant motley__variant_intel_dpas;
extern const struct motley__variant motley__variant_generic;

/* All variants, the preferred first; the last is generic and has no NULL. */
extern const struct motley__variant *const motley__variants[];
extern const int motley__variants_count;

/* The variant that the device runs for a storage type: the admitted one, or generic before any was admitted. */
const struct motley__variant *motley__variant(const struct motley__device *device, enum motley_dtype dtype);

/* The one for a product of two types, so many experts a launch: generic, unless the types are one and it holds them. */
const struct motley__variant *motley__variant_of_product(const struct motley__device *device, enum motley_dtype a,
                                                         enum motley_dtype b, int experts);

/* 1: `wanted` allows the variant: a comma list of "family" or "family/name"; NULL: anything. */
int motley__variant_matches(const struct motley__variant *variant, const char *wanted);

#endif
