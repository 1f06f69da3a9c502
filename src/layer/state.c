/* A layer's life.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "layer/encode.h"
#include "layer/state.h"

/* Tags of the exchange's messages; a transfer uses two. */
enum { TAG_COUNTS = 1, TAG_DISPATCH = 2, TAG_COMBINE = 4, TAG_DISPATCH_BACK = 6, TAG_COMBINE_BACK = 8 };

int motley__layer_has_losses(const motley_layer *layer)
{
    return layer->losses.balance_coefficient != 0 || layer->losses.z_coefficient != 0;
}

static int create_transfers(motley_layer *layer, struct motley_error *error)
{
    const struct motley_context *context = layer->context;
    const size_t row = motley__layer_stored(layer, (size_t)layer->shape.D);
    const size_t with_list[MOTLEY__PARTS] = {row, MOTLEY__LIST_UNIT};
    const size_t with_scalars[MOTLEY__PARTS] = {row, sizeof(float)};
    int status = motley__transfer_create(context, "dispatch", TAG_DISPATCH, 2, with_list, &layer->dispatch, error);

    if (!status)
        status = motley__transfer_create(context, "combine", TAG_COMBINE, 1, with_list, &layer->combine, error);
    if (!status && layer->trained)
        status = motley__transfer_create(context, "dispatch dy", TAG_DISPATCH_BACK, 1, with_list,
                                         &layer->dispatch_back, error);
    if (!status && layer->trained)
        status = motley__transfer_create(context, "combine dx", TAG_COMBINE_BACK, 2, with_scalars,
                                         &layer->combine_back, error);
    return status;
}

/* A constant table of the device. */
static int create_table(motley_layer *layer, const int *host, struct motley__buffer **table,
                        struct motley_error *error)
{
    const size_t bytes = (size_t)layer->shape.E * sizeof(int);
    int status = motley__buffer_create(layer->context->device, bytes, table, error);

    return status ? status : motley__buffer_write(*table, 0, host, bytes, error);
}

static int create_exchange(motley_layer *layer, struct motley_error *error)
{
    int status = motley__peers_create(layer->plan, layer->context->rank, &layer->peers, error);

    if (!status)
        status = create_table(layer, layer->peers->server, &layer->server, error);
    if (!status)
        status = motley__counts_create(layer->context, layer->peers->takes, TAG_COUNTS, &layer->counts, error);
    return status ? status : create_transfers(layer, error);
}

/* The local number of each expert. */
static int create_local(motley_layer *layer, struct motley_error *error)
{
    const int E = layer->shape.E;
    int *local = malloc((size_t)E * sizeof *local), status;

    if (!local)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer of %d experts", E);
    for (int e = 0; e < E; e++)
        local[e] = motley__holding_find(layer->holding, e);
    status = create_table(layer, local, &layer->local, error);
    free(local);
    return status;
}

static int create_host_side(motley_layer *layer, struct motley_error *error)
{
    const size_t E = (size_t)layer->shape.E;

    layer->loss_sums = calloc(2 * E + 2, sizeof(double));
    layer->loss_host = calloc(2 * E + 2, sizeof(float));
    layer->balance_host = calloc(E, sizeof(float));
    if (!layer->loss_sums || !layer->loss_host || !layer->balance_host)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer of %d experts", layer->shape.E);
    return 0;
}

static int create_parts(motley_layer *layer, struct motley__buffer *gate_storage, struct motley__buffer *gate_gradient,
                        struct motley_error *error)
{
    struct motley__device *device = layer->context->device;
    const motley_plan *plan = layer->plan;
    struct motley_layer_shape slice = layer->shape;
    int status;

    if (layer->stores->experts)
        slice.F = layer->stores->end - layer->stores->begin;
    status = create_host_side(layer, error);
    if (!status)
        status = motley__experts_create(device, &slice, layer->stores->experts, layer->stores->begin, layer->trained,
                                        &layer->stored, error);
    layer->experts = layer->stored;
    if (!status)
        status = motley__linear_create(device, (enum motley__dense)plan->rank[layer->context->rank].dense,
                                       layer->shape.dtype, MOTLEY_F32, layer->shape.E, layer->shape.D, layer->trained,
                                       gate_storage, gate_gradient, &layer->gate, error);
    if (!status)
        status = create_local(layer, error);
    if (!status && layer->context->size > 1 && plan->mode != MOTLEY_MODE_DATA)
        status = create_exchange(layer, error);
    return status;
}

int motley__layer_create(motley_context *context, const motley_plan *plan, int trained, struct motley__scratch *scratch,
                         struct motley__buffer *gate_storage, struct motley__buffer *gate_gradient,
                         motley_layer **layer, struct motley_error *error)
{
    int status = motley__context_admit(context, plan->shape.dtype, error);
    motley_layer *l;

    if (status)
        return status;
    if (scratch && scratch->cache && scratch->cache->plan != plan) { /* layers of another plan are run no more */
        motley__weight_cache_destroy(scratch->cache);
        scratch->cache = NULL;
    }
    l = calloc(1, sizeof *l);
    if (!l) {
        status = motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer");
    } else if (plan->R != context->size) {
        status = motley__fail(error, MOTLEY_E_MISMATCH, "the plan is for %d ranks, but this run has %d", plan->R,
                              context->size);
    } else {
        context->device->peak_bytes = l->used_before = context->device->used_bytes;
        l->context = context;
        l->plan = plan;
        l->shape = plan->shape;
        l->trained = trained;
        l->holding = &plan->computed.rank[context->rank];
        l->stores = &plan->stored.rank[context->rank];
        l->E_local = l->holding->experts;
        l->F_local = l->E_local ? l->holding->end - l->holding->begin : l->shape.F; /* matrices have a width */
        l->loss_request = MPI_REQUEST_NULL;
        l->scratch = scratch ? scratch : motley__scratch_create();
        l->own_scratch = !scratch;
        if (!l->scratch)
            status = motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer");
        if (!status)
            status = create_parts(l, gate_storage, gate_gradient, error);
    }
    status = motley__agree(context->comm, status, error);
    if (!status && plan->mode == MOTLEY_MODE_DATA && !motley__placement_equal(&plan->stored, &plan->computed))
        status = motley__layer_open_cache(l, error);
    if (status) {
        motley_layer_destroy(l);
        return status;
    }
    *layer = l;
    return 0;
}

int motley_layer_create(motley_context *context, const motley_plan *plan, motley_layer **layer,
                        struct motley_error *error)
{
    return motley__layer_create(context, plan, plan->options.backward, NULL, NULL, NULL, layer, error);
}

void motley_layer_destroy(motley_layer *layer)
{
    if (!layer)
        return;
    motley__counts_destroy(layer->counts);
    motley__transfer_destroy(layer->dispatch);
    motley__transfer_destroy(layer->combine);
    motley__transfer_destroy(layer->dispatch_back);
    motley__transfer_destroy(layer->combine_back);
    for (int i = 0; i < MOTLEY__SAVED_COUNT; i++)
        motley__buffer_destroy(layer->saved[i]);
    motley__buffer_destroy(layer->local);
    motley__buffer_destroy(layer->collaborators);
    motley__buffer_destroy(layer->server);
    motley__peers_destroy(layer->peers);
    motley__linear_destroy(layer->gate);
    motley__experts_destroy(layer->stored);
    if (layer->own_scratch)
        motley__scratch_destroy(layer->scratch);
    free(layer->loss_sums);
    free(layer->loss_host);
    free(layer->balance_host);
    free(layer);
}

struct motley__linear *motley__layer_gate(motley_layer *layer)
{
    return layer->gate;
}

struct motley__experts *motley__layer_experts(motley_layer *layer)
{
    return layer->stored;
}

struct motley__layer_losses *motley__layer_losses(motley_layer *layer)
{
    return &layer->losses;
}
