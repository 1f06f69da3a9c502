/* How a row of numbers is shared out in a kernel: the options of cl/lanes.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_LANES_H
#define MOTLEY_MODEL_LANES_H

#include <motley/tensor.h>
#include "device/device.h"

struct motley__lanes {
    int vector;         /* V: numbers of a vector, divides the width */
    int items;          /* W: work-items of a row; 1 on CPUs */
    char options[64];   /* "-DV=16 -DW=1 -DSTORAGE=0" */
};

/* For rows of `width` numbers on this device. */
struct motley__lanes motley__lanes(const struct motley__device *device, enum motley_dtype dtype, int width);

#endif
