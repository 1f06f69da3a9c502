/* The table of kernel variants.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "product/variant.h"

const struct motley__variant *const motley__variants[] = {
    &motley__variant_cpu,
    &motley__variant_nvidia_wgmma,
    &motley__variant_nvidia_mma,
    &motley__variant_nvidia_fma,
    &motley__variant_amd_mfma,
    &motley__variant_amd_wmma,
    &motley__variant_intel_dpas,
    &motley__variant_generic,
};
const int motley__variants_count = sizeof motley__variants / sizeof *motley__variants;

const struct motley__variant *motley__variant(const struct motley__device *device, enum motley_dtype dtype)
{
    const struct motley__variant *admitted = device->variant[dtype];
    return admitted ? admitted : &motley__variant_generic;
}

const struct motley__variant *motley__variant_of_product(const struct motley__device *device, enum motley_dtype a,
                                                         enum motley_dtype b, int experts)
{
    const struct motley__variant *variant = motley__variant(device, a);
    const int holds = variant->most_experts == 0 || experts <= variant->most_experts;
    return a == b && holds ? variant : &motley__variant_generic;
}

/* One of a list: "family" or "family/name". */
static int names(const char *wanted, size_t length, const struct motley__variant *variant)
{
    size_t family = strlen(variant->family), name = strlen(variant->name);
    if (length < family || strncmp(wanted, variant->family, family))
        return 0;
    return length == family ||
           (length == family + 1 + name && wanted[family] == '/' && !strncmp(wanted + family + 1, variant->name, name));
}

int motley__variant_matches(const struct motley__variant *variant, const char *wanted)
{
    for (const char *at = wanted; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (names(at, strcspn(at, ","), variant))
            return 1;
    return !wanted;
}
