/* Pinned host memory: what copies between a device and the host, and messages, reach at full speed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_EXCHANGE_PINNED_H
#define MOTLEY_EXCHANGE_PINNED_H

#include "device/device.h"

/* Zero is empty. */
struct motley__pinned {
    cl_mem mem;
    void *host;                         /* mapped as long as it lives */
    size_t bytes;
};

/* At least `bytes`; contents are lost when it grows.  Nothing may be under way from or to it. */
int motley__pinned_reserve(struct motley__device *device, struct motley__pinned *pinned, size_t bytes,
                           struct motley_error *error);
void motley__pinned_release(struct motley__device *device, struct motley__pinned *pinned); /* back to zero */

#endif
