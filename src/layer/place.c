/* Finding rows again on arrival; the contract is encode.h, the kernel cl/place.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "device/program.h"
#include "device/queue.h"
#include "layer/encode.h"

int motley__place(struct motley__device *device, const struct motley__place *place, struct motley_error *error)
{
    assert(place->segments >= 0 && place->own_pairs >= 0);
    if (place->segments == 0 && place->own_pairs == 0)
        return 0;
    const int gpu = device->info.is_gpu;
    cl_kernel kernel;
    int status = motley__kernel(device, "place.cl", gpu ? "-DW=256" : "-DW=1", "place", &kernel, error);
    if (status)
        return status;
    const struct motley__place_args args = {
        .K = place->K, .segments = place->segments, .own_rows = place->own_rows, .own_begin = place->own_begin,
        .own_pairs = place->own_pairs,
    };
    /* How many pairs there are is known on the device only: groups for a full device, each with an equal share. */
    const size_t items = gpu ? 256 : 1, groups = (size_t)device->compute_units * 4;
    return motley__launch(device, kernel, ((struct motley__range){{groups * items}, {items}}), error,
                          MOTLEY__VALUE(args), MOTLEY__BUFFER(place->segment), MOTLEY__BUFFER(place->order),
                          MOTLEY__BUFFER(place->weights), MOTLEY__BUFFER(place->received_weights),
                          MOTLEY__BUFFER(place->index), MOTLEY__BUFFER(place->weight),
                          MOTLEY__BUFFER(place->pair_own), MOTLEY__BUFFER(place->pair_received));
}
