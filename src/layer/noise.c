/* Gate noise; the contract is noise.h, the kernels cl/noise.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdio.h>

#include "cl/types.h"
#include "device/program.h"
#include "device/queue.h"
#include "layer/gate.h"
#include "layer/noise.h"

int motley__noise_add(struct motley__device *device, const struct motley__noise *noise, int T, int E, int single,
                      struct motley__buffer *logits, struct motley_error *error)
{
    assert(noise->sigma > 0 && !noise->clean == !noise->lse && !noise->clean == !noise->last);
    const int items = motley__gate_items(device, E), as_float = motley__gate_is_single(device, single);
    const uint64_t first = (uint64_t)noise->first;
    const struct motley__noise_args args = {.E = E, .stride = motley__gate_stride(E),
        .seed_low = (unsigned)noise->seed, .seed_high = (unsigned)(noise->seed >> 32), .first_low = (unsigned)first,
        .first_high = (unsigned)(first >> 32), .sigma = (float)noise->sigma};
    const struct motley__range range = {{(size_t)T * (size_t)items}, {(size_t)items}};
    char options[48];
    cl_kernel kernel;
    int status = 0;
    snprintf(options, sizeof options, "-DMOTLEY__DOUBLE=%d -DW=%d", !as_float, items);
    if (noise->clean && !(status = motley__kernel(device, "noise.cl", options, "noise_free", &kernel, error)))
        status = motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(logits),
                                MOTLEY__BUFFER(noise->clean), MOTLEY__BUFFER(noise->lse),
                                MOTLEY__LOCAL((size_t)items * (as_float ? sizeof(cl_float) : sizeof(cl_double))));
    if (!status)
        status = motley__kernel(device, "noise.cl", options, "noise_add", &kernel, error);
    return status ? status : motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(logits));
}
