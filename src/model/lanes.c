/* How a row of numbers is shared out in a kernel.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>

#include "model/lanes.h"

enum { GPU_VECTOR = 4, GPU_ITEMS = 64 };

struct motley__lanes motley__lanes(const struct motley__device *device, enum motley_dtype dtype, int width)
{
    struct motley__lanes lanes = {.vector = 16, .items = 1};
    const int widest = device->info.is_gpu ? GPU_VECTOR : device->native_float;
    while (lanes.vector > 1 && (lanes.vector > widest || width % lanes.vector))
        lanes.vector /= 2;
    while (device->info.is_gpu && lanes.items < GPU_ITEMS && 2 * (size_t)lanes.items <= device->max_group)
        lanes.items *= 2;
    snprintf(lanes.options, sizeof lanes.options, "-DV=%d -DW=%d -DSTORAGE=%d", lanes.vector, lanes.items, dtype);
    return lanes;
}
