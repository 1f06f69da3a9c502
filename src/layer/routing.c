/* How tokens are routed, as the caller wants it: checked, compared over ranks, prepared.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/state.h"

static int check(const motley_layer *layer, const struct motley_routing *routing, struct motley_error *error)
{
    const int E = layer->plan->shape.E;

    if (routing->K < 0 || routing->K > E)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "K (experts per token) is %d, expected 1 to E = %d, or 0 for the plan's", routing->K, E);
    if (layer->collaborators && routing->K - 1 > layer->collaborators_most)
        return motley__fail(error, MOTLEY_E_INVALID, "K (experts per token) is %d, expected at most %d: a token's first "
                            "expert has %d collaborators", routing->K, layer->collaborators_most + 1,
                            layer->collaborators_most);
    if (!isfinite(routing->capacity))
        return motley__fail(error, MOTLEY_E_INVALID, "the capacity is %g, expected a finite number", routing->capacity);
    return 0;
}

enum { NUMBERS = 3 };

/* The lowest and the highest of every number must be the same. */
static int check_alike(const motley_layer *layer, const struct motley_routing *routing, struct motley_error *error)
{
    static const char *const names[NUMBERS] = {"K", "capacity", "prioritised"};
    const double own[NUMBERS] = {routing->K, routing->capacity, routing->prioritised != 0};
    double bounds[2 * NUMBERS];
    int status;

    for (int i = 0; i < NUMBERS; i++) {
        bounds[i] = own[i];
        bounds[NUMBERS + i] = -own[i];
    }
    status = motley__fail_mpi(error, MPI_Allreduce(MPI_IN_PLACE, bounds, 2 * NUMBERS, MPI_DOUBLE, MPI_MIN,
                                                   layer->context->comm), "MPI_Allreduce");
    for (int i = 0; i < NUMBERS && !status; i++)
        if (bounds[i] != -bounds[NUMBERS + i])
            status = motley__fail(error, MOTLEY_E_MISMATCH,
                                  "ranks route differently: %s is %g on one rank and %g on another; give all ranks the "
                                  "same", names[i], bounds[i], -bounds[NUMBERS + i]);
    return motley__agree(layer->context->comm, status, error);
}

int motley__layer_set_routing(motley_layer *layer, const struct motley_routing *routing, struct motley_error *error)
{
    const int K = routing->K ? routing->K : layer->plan->shape.K;
    struct motley__capacity *capacity = NULL;
    int status = check(layer, routing, error);

    if (!status && routing->capacity != 0)
        status = motley__capacity_create(layer->shape.E, K, routing->capacity, routing->prioritised != 0, &capacity,
                                         error);
    if (status)
        return status;
    motley__capacity_destroy(layer->capacity);
    layer->capacity = capacity;
    layer->routing = *routing;
    layer->shape.K = K;
    layer->forward_done = 0; /* backward would find another K */
    return 0;
}

int motley_layer_set_routing(motley_layer *layer, const struct motley_routing *routing, struct motley_error *error)
{
    int status = motley__agree(layer->context->comm, check(layer, routing, error), error);

    if (!status)
        status = check_alike(layer, routing, error);
    return status ? status : motley__agree(layer->context->comm, motley__layer_set_routing(layer, routing, error),
                                           error);
}
