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
    assert(guests->N >= 0 && guests->M >= 0 && guests->K > 0 && guests->sources > 0);
    if (guests->N + guests->M == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "guests.cl", "", "guests", &kernel, error);
    if (status)
        return status;
    const struct motley__guests_args args = {
        .N = guests->N, .K = guests->K, .M = guests->M, .sources = guests->sources,
    };
    return motley__launch(device, kernel, motley__mover_items(device, guests->N + guests->M), error,
                          MOTLEY__VALUE(args), MOTLEY__BUFFER(guests->own_indices),
                          MOTLEY__BUFFER(guests->own_weights), MOTLEY__BUFFER(guests->source),
                          MOTLEY__BUFFER(guests->list), MOTLEY__BUFFER(guests->indices),
                          MOTLEY__BUFFER(guests->weights), MOTLEY__BUFFER(guests->at));
}
