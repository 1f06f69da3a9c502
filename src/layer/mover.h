/* How kernels that move whole rows (encode, widen, combine, decode) are spread over a device.
 *
 * On a CPU one work-item moves several whole rows, 16 numbers at a time; on a GPU neighbouring work-items
 * move neighbouring vectors of 16 bytes of one row.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_MOVER_H
#define MOTLEY_LAYER_MOVER_H

#include <stdio.h>

#include <motley/tensor.h>
#include "device/program.h"
#include "device/queue.h"

struct motley__mover {
    cl_kernel kernel;
    struct motley__range range;
    int per_item;                       /* rows of one work-item */
};

/* One work-item per number. */
static inline struct motley__range motley__mover_items(const struct motley__device *device, int count)
{
    return (struct motley__range){{(size_t)count}, {device->info.is_gpu ? 128 : 64}};
}

/* How rows lie: of tokens and experts; between ranks; those that are sums of the latter (cl/vector.h). */
struct motley__row_types {
    enum motley_dtype stored, wire, out;
};

/* The kernel `name` of `source`, for rows of D numbers. */
static inline int motley__mover(struct motley__device *device, const char *source, const char *name,
                                struct motley__row_types types, int rows, int D, struct motley__mover *mover,
                                struct motley_error *error)
{
    const int gpu = device->info.is_gpu;
    const int widest = !gpu ? 16 : types.stored == MOTLEY_F32 ? 4 : 8;
    const int vector = D % widest == 0 ? widest : D % 4 == 0 ? 4 : 1;
    const char *nvidia = device->nvidia_capability >= 80 && vector == 8 ? " -DNVIDIA" : "";
    char options[80];
    size_t across = 1; /* work-items that share a row */
    while (gpu && across < 64 && across < (size_t)(D / vector))
        across *= 2;
    mover->per_item = gpu ? 1 : 16;
    mover->range = (struct motley__range){
        {across, ((size_t)rows + (size_t)mover->per_item - 1) / (size_t)mover->per_item},
        {across, gpu ? 64 / across : 1},
    };
    snprintf(options, sizeof options, "-DV=%d -DSTORAGE=%d -DWIRE=%d -DOUT=%d%s", vector, types.stored, types.wire,
             types.out, nvidia);
    return motley__kernel(device, source, options, name, &mover->kernel, error);
}

#endif
