/* How fast rows get from a device to the network's memory and back.
 *
 * Only devices with memory of their own copy; elsewhere rows are sent from where they lie.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_COPY_H
#define MOTLEY_MEASURE_COPY_H

#include "device/device.h"
#include "profile/profile.h"

/* Copies as the exchange makes them, through pinned memory: *copy written, all zero on a device that copies nothing.
 * Local.  Errors: MOTLEY_E_DEVICE_MEMORY, MOTLEY_E_DEVICE. */
int motley__copy_measure(struct motley__device *device, struct motley__copy *copy, struct motley_error *error);

#endif
