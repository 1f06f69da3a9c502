/* How tokens are routed, as the caller wants it: checked, compared over ranks, prepared.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>

#include "base/collective.h"
#include "layer/state.h"

static int check(const motley_layer *layer, const struct motley_routing *routing, struct motley_error *error)
{
    const int E = layer->plan->shape.E;

    if (routing->K < 0 || routing->K > E)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "K (experts per token) is %d, expected 1 to E = %d, or 0 for the plan's", routing->K, E);
    if (layer->collaborators && routing->K - 1 > layer->collaborators_most)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "K (experts per token) is %d, expected at most %d: a token's first expert has %d "
                            "collaborators", routing->K, layer->collaborators_most + 1, layer->collaborators_most);
    if (!isfinite(routing->capacity))
        return motley__fail(error, MOTLEY_E_INVALID, "the capacity is %g, expected a finite number", routing->capacity);
    if (!isfinite(routing->noise) || routing->noise < 0)
        return motley__fail(error, MOTLEY_E_INVALID, "the gate's noise is %g, expected a finite number, 0 or more",
                            routing->noise);
    return motley__layer_check_losses(layer, &layer->coefficients, routing->noise, error);
}

enum { MOST_NUMBERS = 8 };

/* The lowest and the highest of every number must be the same. */
int motley__layer_alike(const motley_layer *layer, const struct motley__alike *numbers, int count,
                        struct motley_error *error)
{
    double bounds[2 * MOST_NUMBERS];
    int status;

    assert(count <= MOST_NUMBERS);
    for (int i = 0; i < count; i++) {
        bounds[i] = numbers[i].value;
        bounds[count + i] = -numbers[i].value;
    }
    status = motley__reduce(layer->context->comm, layer->context->time_limit, bounds, 2 * count, MPI_DOUBLE, MPI_MIN,
                            error);
    for (int i = 0; i < count && !status; i++)
        if (bounds[i] != -bounds[count + i])
            status = motley__fail(error, MOTLEY_E_MISMATCH,
                                  "ranks route differently: %s is %g on one rank and %g on another; give all ranks the "
                                  "same", numbers[i].name, bounds[i], -bounds[count + i]);
    return motley__context_agree(layer->context, status, error);
}

static int check_alike(const motley_layer *layer, const struct motley_routing *routing, struct motley_error *error)
{
    const struct motley__alike numbers[] = {{"K", routing->K}, {"capacity", routing->capacity},
        {"prioritised", routing->prioritised != 0}, {"noise", routing->noise},
        {"the noise's seed, high half,", (double)(routing->seed >> 32)},
        {"the noise's seed, low half,", (double)(routing->seed & UINT32_MAX)}, {"before", routing->before != 0}};

    return motley__layer_alike(layer, numbers, sizeof numbers / sizeof *numbers, error);
}

/* The one there is serves on where nothing of it changes: a model routes anew at every step. */
static int create_capacity(const motley_layer *layer, const struct motley_routing *routing, int K,
                           struct motley__capacity **capacity, struct motley_error *error)
{
    const struct motley__capacity *now = layer->capacity;
    const int prioritised = routing->prioritised != 0;

    *capacity = NULL;
    if (routing->capacity == 0)
        return 0;
    if (now && now->K == K && now->factor == routing->capacity && now->prioritised == prioritised) {
        *capacity = layer->capacity;
        return 0;
    }
    return motley__capacity_create(layer->shape.E, K, routing->capacity, prioritised, capacity, error);
}

int motley__layer_set_routing(motley_layer *layer, const struct motley_routing *routing, struct motley_error *error)
{
    const int K = routing->K ? routing->K : layer->plan->shape.K;
    struct motley__capacity *capacity;
    int status = check(layer, routing, error);

    if (!status)
        status = create_capacity(layer, routing, K, &capacity, error);
    if (status)
        return status;
    if (layer->capacity != capacity)
        motley__capacity_destroy(layer->capacity);
    layer->capacity = capacity;
    layer->routing = *routing;
    layer->shape.K = K;
    layer->forward_done = 0; /* backward would find another K */
    return 0;
}

int motley_layer_set_routing(motley_layer *layer, const struct motley_routing *routing, struct motley_error *error)
{
    int status = motley__context_agree(layer->context, check(layer, routing, error), error);

    if (!status)
        status = check_alike(layer, routing, error);
    return status ? status : motley__context_agree(layer->context, motley__layer_set_routing(layer, routing, error),
                                           error);
}
