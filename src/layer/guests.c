/* Tokens of other nodes take their place behind the own ones; the contract is guests.h, the kernel cl/guests.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "cl/types.h"
#include "layer/guests.h"
#include "layer/mover.h"

int motley__guests(struct motley__device *device, const struct motley__guests *guests, struct motley_error *error)
{
    assert(guests->N >= 0 && guests->M >= 0 && guests->K > 0 && guests->sections > 0);
    if (guests->N + guests->M == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "guests.cl", "", "guests", &kernel, error);
    if (status)
        return status;
    const struct motley__guests_args args = {
        .N = guests->N, .K = guests->K, .M = guests->M, .first = guests->first, .sections = guests->sections,
    };
    return motley__launch(device, kernel, motley__mover_items(device, guests->N + guests->M), error,
                          MOTLEY__VALUE(args), MOTLEY__BUFFER(guests->own_indices),
                          MOTLEY__BUFFER(guests->own_weights), MOTLEY__BUFFER(guests->source),
                          MOTLEY__BUFFER(guests->list), MOTLEY__BUFFER(guests->indices),
                          MOTLEY__BUFFER(guests->weights), MOTLEY__BUFFER(guests->at));
}

int motley__staying(struct motley__device *device, const struct motley__staying *staying, struct motley_error *error)
{
    assert(staying->N >= 0 && staying->chunks > 0);
    cl_kernel kernel;
    int status = motley__kernel(device, "guests.cl", "", "staying", &kernel, error);
    if (status)
        return status;
    const struct motley__staying_args args = {
        .N = staying->N, .first = staying->first, .step = staying->step, .chunks = staying->chunks,
    };
    return motley__launch(device, kernel, motley__mover_items(device, staying->chunks), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(staying->order), MOTLEY__BUFFER(staying->offsets),
                          MOTLEY__BUFFER(staying->own));
}
