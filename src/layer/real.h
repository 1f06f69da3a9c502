/* Whether a device computes in double; see cl/real.h for what is done where it does not.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_REAL_H
#define MOTLEY_LAYER_REAL_H

#include "device/device.h"

static inline int motley__has_double(const struct motley__device *device)
{
    cl_device_fp_config config = 0; /* stays 0 without cl_khr_fp64 */
    return clGetDeviceInfo(device->id, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof config, &config, NULL) == CL_SUCCESS &&
           config != 0;
}

#endif
