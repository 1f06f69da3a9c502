/* What the variants of the family "nvidia" share.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_NVIDIA_H
#define MOTLEY_PRODUCT_NVIDIA_H

#include "product/variant.h"

enum { MOTLEY__NVIDIA_EXPERTS = 4096 }; /* MAX_EXPERTS of cl/nvidia/schedule.h */

/* The layout of all its matrices: canonical. */
int motley__nvidia_panel(const struct motley__device *device);

/* For bf16 and f16, of capability 80 and later. */
int motley__nvidia_activation_backward(struct motley__device *device, const struct motley__activation_backward *a,
                                       struct motley_error *error);

#endif
