/* What arrived becomes pairs for the local experts; the contract is place.h, the kernels cl/place.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "cl/types.h"
#include "layer/mover.h"
#include "layer/place.h"

int motley__arrive(struct motley__device *device, const struct motley__arrive *arrive, struct motley_error *error)
{
    assert(arrive->N >= 0 && arrive->M >= 0 && arrive->sources > 0 && arrive->chunks.tokens > 0);
    if (arrive->N + arrive->M == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "place.cl", "", "arrive", &kernel, error);
    if (status)
        return status;
    const struct motley__arrive_args args = {
        .N = arrive->N, .K = arrive->K, .E = arrive->E, .M = arrive->M, .sources = arrive->sources,
        .chunks = arrive->chunks,
    };
    return motley__launch(device, kernel, motley__mover_items(device, arrive->N + arrive->M), error,
                          MOTLEY__VALUE(args), MOTLEY__BUFFER(arrive->indices), MOTLEY__BUFFER(arrive->source),
                          MOTLEY__BUFFER(arrive->list), MOTLEY__BUFFER(arrive->expert), MOTLEY__BUFFER(arrive->begin),
                          MOTLEY__BUFFER(arrive->row), MOTLEY__BUFFER(arrive->received));
}

int motley__place(struct motley__device *device, const struct motley__place *place, struct motley_error *error)
{
    assert(place->P >= 0 && place->N >= 0 && place->K > 0);
    if (place->P == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "place.cl", "", "place", &kernel, error);
    if (status)
        return status;
    const struct motley__place_args args = {
        .P = place->P, .N = place->N, .K = place->K, .own_rows = place->own_rows,
    };
    return motley__launch(device, kernel, motley__mover_items(device, place->P), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(place->order), MOTLEY__BUFFER(place->weights), MOTLEY__BUFFER(place->row),
                          MOTLEY__BUFFER(place->received), MOTLEY__BUFFER(place->index),
                          MOTLEY__BUFFER(place->weight));
}
