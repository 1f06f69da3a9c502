/* Which kernel family a device runs.
 *
 * Candidates in order of preference ("cpu" on CPU devices, then "generic"); a family is admitted by building
 * its kernels and checking small odd-sized products against the scalar twin.  The first that passes is used;
 * info.family and info.why say which and why not the ones before it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_ADMIT_H
#define MOTLEY_LAYER_ADMIT_H

#include "device/device.h"

/* Errors: MOTLEY_E_BUILD when no family passes, with each one's reason.  MOTLEY_FAMILY in the
 * environment restricts the candidates to one. */
int motley__admit(struct motley__device *device, struct motley_error *error);

#endif
