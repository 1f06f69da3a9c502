/* Which kernel variant a device runs.
 *
 * Candidates are the variants of the table (variant.h) that suit the device, in its order; one is admitted by building
 * its kernels for the storage type and checking small odd-sized products against the scalar twin.  The first that
 * passes is device->variant; info.family and info.why (device->why for each storage type) say which and why not the
 * ones before it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_ADMIT_H
#define MOTLEY_PRODUCT_ADMIT_H

#include <motley/tensor.h>
#include "device/device.h"

/* For f32, which every device needs.
 * Errors: MOTLEY_E_BUILD when no variant passes, with each one's reason.  MOTLEY_FAMILY in the environment, "family"
 * or "family/name", restricts the candidates. */
int motley__admit(struct motley__device *device, struct motley_error *error);

/* For another storage type, when it is first wanted: building takes seconds on some runtimes.  Nothing when it was
 * admitted already.  Same errors. */
int motley__admit_dtype(struct motley__device *device, enum motley_dtype dtype, struct motley_error *error);

/* The check of admission for the variant that the device runs, as it is tuned now (product/tuning.h).
 * Errors: MOTLEY_E_BUILD (a kernel does not build or its result is wrong). */
int motley__admit_check(struct motley__device *device, enum motley_dtype dtype, struct motley_error *error);

#endif
