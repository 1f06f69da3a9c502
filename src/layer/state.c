/* A layer's life.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "layer/encode.h"
#include "layer/gate.h"
#include "layer/state.h"

/* Tags of the exchange's messages; a transfer uses two for each chunk. */
enum { TAG_COUNTS = 1, TAG_LISTS = 32, TAG_DISPATCH = 64, TAG_COMBINE = 96, TAG_DISPATCH_BACK = 128,
       TAG_COMBINE_BACK = 160 };

int motley__layer_has_losses(const motley_layer *layer)
{
    return layer->coefficients.balance != 0 || layer->coefficients.z != 0 || layer->coefficients.importance != 0;
}

/* One transfer for each chunk. */
static int create_transfer(motley_layer *layer, const char *name, int tag, int parts, const size_t *row_bytes,
                           struct motley__transfer **transfer, struct motley_error *error)
{
    int status = 0;

    for (int c = 0; c < layer->chunks && !status; c++)
        status = motley__transfer_create(layer->context, name, tag + 2 * c, parts, row_bytes, &transfer[c], error);
    return status;
}

static int create_transfers(motley_layer *layer, struct motley_error *error)
{
    const size_t list = MOTLEY__LIST_UNIT;
    const size_t row[MOTLEY__PARTS] = {motley__layer_on_wire(layer, (size_t)layer->shape.D), sizeof(float)};
    int status = create_transfer(layer, "pairs", TAG_LISTS, 1, &list, layer->lists, error);

    if (!status)
        status = create_transfer(layer, "dispatch", TAG_DISPATCH, 1, row, layer->dispatch, error);
    if (!status)
        status = create_transfer(layer, "combine", TAG_COMBINE, 1, row, layer->combine, error);
    if (!status && layer->trained)
        status = create_transfer(layer, "dispatch dy", TAG_DISPATCH_BACK, 1, row, layer->dispatch_back, error);
    if (!status && layer->trained)
        status = create_transfer(layer, "combine dx", TAG_COMBINE_BACK, 2, row, layer->combine_back, error);
    return status;
}

int motley__layer_table(motley_layer *layer, const int *host, int numbers, struct motley__buffer **table,
                        struct motley_error *error)
{
    const size_t bytes = (size_t)numbers * sizeof(int);
    int status = motley__buffer_create(layer->context->device, bytes, table, error);

    return status ? status : motley__buffer_write(*table, 0, host, bytes, error);
}

/* Rows go through gateways: there are other nodes. */
static int crosses(const motley_layer *layer)
{
    int nodes = 0;

    for (int r = 0; r < layer->context->size; r++)
        nodes |= layer->context->node_of[r] != layer->context->node_of[0];
    return nodes && layer->plan->exchange == MOTLEY_EXCHANGE_HIERARCHICAL;
}

static int create_exchange(motley_layer *layer, struct motley_error *error)
{
    const int *node_of = crosses(layer) ? layer->context->node_of : NULL;
    int status = motley__peers_create(layer->plan, layer->context->rank, node_of, &layer->peers, error);

    if (!status && node_of)
        status = motley__gateway_create(layer, &layer->gateway, error);
    if (!status)
        status = motley__layer_table(layer, layer->peers->server, motley__peers_choices(layer->peers), &layer->server,
                                     error);
    if (!status && layer->peers->named)
        status = motley__layer_table(layer, layer->peers->name, motley__peers_choices(layer->peers), &layer->name,
                                     error);
    if (!status)
        status = motley__counts_create(layer->context, layer->peers->to, layer->peers->from, layer->chunks,
                                       TAG_COUNTS, &layer->counts, error);
    return status ? status : create_transfers(layer, error);
}

int motley__layer_stride(const struct motley__device *device, int E_local, int batches)
{
    const int slots = E_local ? E_local : 1;

    return batches == 1 ? slots : (int)(motley__align(device, (size_t)slots * sizeof(int)) / sizeof(int));
}

/* Where the pairs of each choice are sorted to in each batch; those of own tokens only where the own group serves
 * them. */
static int create_local(motley_layer *layer, struct motley_error *error)
{
    const struct motley__peers *peers = layer->peers;
    const int E = layer->shape.E, choices = motley__layer_lookup_count(layer), batches = layer->batches;
    int *local = malloc((size_t)batches * (size_t)choices * sizeof *local), status;

    if (!local)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer of %d experts", E);
    for (int b = 0; b < batches; b++)
        for (int i = 0; i < choices; i++) {
            const int elsewhere = i >= E && peers->server[i] != peers->G - 1;
            const int number = elsewhere ? -1 : motley__holding_find(layer->holding, peers ? peers->name[i] : i);

            local[b * choices + i] = number < 0 ? -1 : b * layer->stride + number;
        }
    status = motley__layer_table(layer, local, batches * choices, &layer->local, error);
    free(local);
    return status;
}

/* The offsets have their size for good, and each batch a view of its own. */
static int create_batches(motley_layer *layer, struct motley_error *error)
{
    const size_t slots = (size_t)layer->batches * (size_t)layer->stride, own = (size_t)layer->E_local + 1;
    struct motley__buffer **offsets = &layer->saved[MOTLEY__SAVED_OFFSETS];
    int status;

    if (layer->batches == 1)
        return 0;
    if (slots * sizeof(int) > layer->context->device->local_bytes / 2) /* the sort counts there */
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "%d experts on one rank in %d chunks are too many for its "
                            "device's local memory; use fewer chunks", layer->E_local, layer->chunks);
    status = motley__buffer_reserve(layer->context->device, offsets, (slots + 1) * sizeof(int), error);
    for (int b = 0; b < layer->batches && !status; b++)
        status = motley__buffer_view(*offsets, (size_t)b * (size_t)layer->stride * sizeof(int), own * sizeof(int),
                                     &layer->offsets[b], error);
    return status;
}

struct motley__ragged motley__layer_ragged(const motley_layer *layer, int batch)
{
    const int first = layer->batch_first[batch], pairs = layer->batch_first[batch + 1] - first;
    const struct motley__buffer *view = layer->offsets[batch];

    return (struct motley__ragged){layer->E_local, pairs, view ? view : layer->saved[MOTLEY__SAVED_OFFSETS], first};
}

static int create_host_side(motley_layer *layer, struct motley_error *error)
{
    const size_t E = (size_t)layer->shape.E, slots = (size_t)layer->batches * (size_t)layer->stride;

    layer->loss_sums = calloc(2 * (2 * E + 2), sizeof(double));
    layer->loss_host = calloc(2 * (2 * E + 2), sizeof(float));
    layer->balance_host = calloc(E, sizeof(float));
    layer->importance_host = calloc(2 * E, sizeof(float));
    layer->offsets_host = calloc(slots + 1, sizeof(int));
    if (!layer->loss_sums || !layer->loss_host || !layer->balance_host || !layer->importance_host ||
        !layer->offsets_host)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer of %d experts", layer->shape.E);
    return 0;
}

static int travels(const motley_layer *layer)
{
    return layer->context->size > 1 && layer->plan->mode != MOTLEY_MODE_DATA;
}

/* The gate's matrix, and what else its kind has. */
static int create_gate(motley_layer *layer, const struct motley__weight_place *given, struct motley_error *error)
{
    static const struct motley__weight_place nowhere[MOTLEY__GATE_WEIGHTS_MOST];
    struct motley__device *device = layer->context->device;
    const struct motley_layer_shape *shape = &layer->shape;
    const struct motley__weight_place *place = given ? given : nowhere;
    const enum motley__dense path = (enum motley__dense)layer->plan->rank[layer->context->rank].dense;
    const int cosine = shape->gate == MOTLEY_GATE_COSINE;
    int status = motley__linear_create(device, path, cosine ? MOTLEY_F32 : shape->dtype, MOTLEY_F32, shape->E,
                                       motley__gate_inputs(shape), layer->trained, place->storage, place->gradient,
                                       &layer->gate, error);

    if (!status && cosine)
        status = motley__cosine_create(device, path, shape->dtype, shape->D, layer->trained, layer->gate, place + 1,
                                       &layer->cosine, error);
    if (!status && shape->gate == MOTLEY_GATE_SIGMOID)
        status = motley__matrix_create(device, MOTLEY_F32, 1, 1, shape->E, 1, place[1].storage, &layer->correction,
                                       error);
    return status;
}

static int create_parts(motley_layer *layer, const struct motley__weight_place *gate, struct motley_error *error)
{
    struct motley__device *device = layer->context->device;
    struct motley_layer_shape slice = layer->shape;
    const int replicas = layer->holding->experts - layer->holding->stored;
    int status;

    if (replicas || layer->stores->experts)
        slice.F = layer->stores->end - layer->stores->begin;
    status = create_host_side(layer, error);
    if (!status)
        status = motley__experts_create(device, &slice, layer->stores->experts + replicas, layer->stores->begin,
                                        layer->trained, replicas ? &layer->held : &layer->stored, error);
    if (!status && replicas)
        status = motley__experts_view(layer->held, layer->stores->experts, &layer->stored, error);
    layer->experts = replicas ? layer->held : layer->stored;
    if (!status)
        status = create_gate(layer, gate, error);
    if (!status)
        status = create_batches(layer, error);
    if (!status && travels(layer))
        status = create_exchange(layer, error);
    return status ? status : create_local(layer, error);
}

/* Chunks are for what travels. */
static void divide_step(motley_layer *layer)
{
    layer->chunks = travels(layer) ? layer->plan->pipeline : 1;
    layer->batches = motley__chunks_batches(layer->chunks);
    layer->stride = motley__layer_stride(layer->context->device, layer->E_local, layer->batches);
    for (int i = 0; i < layer->batches; i++)
        layer->number[i] = (struct motley__numbered){layer, i};
}

int motley__layer_create(motley_context *context, const motley_plan *plan, int trained, struct motley__scratch *scratch,
                         const struct motley__weight_place *gate, motley_layer **layer, struct motley_error *error)
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
        l->loss_request = l->drop_request = l->position_request = MPI_REQUEST_NULL;
        divide_step(l);
        l->scratch = scratch ? scratch : motley__scratch_create();
        l->own_scratch = !scratch;
        if (!l->scratch)
            status = motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer");
        if (!status)
            status = create_parts(l, gate, error);
    }
    status = motley__context_agree(context, status, error);
    if (!status && !motley__placement_equal(&plan->stored, &plan->computed))
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
    return motley__layer_create(context, plan, plan->options.backward, NULL, NULL, layer, error);
}

void motley_layer_destroy(motley_layer *layer)
{
    if (!layer)
        return;
    motley__counts_destroy(layer->counts);
    for (int c = 0; c < layer->chunks; c++) {
        motley__transfer_destroy(layer->lists[c]);
        motley__transfer_destroy(layer->dispatch[c]);
        motley__transfer_destroy(layer->combine[c]);
        motley__transfer_destroy(layer->dispatch_back[c]);
        motley__transfer_destroy(layer->combine_back[c]);
    }
    for (int b = 0; b < layer->batches; b++)
        motley__buffer_destroy(layer->offsets[b]);
    for (int i = 0; i < MOTLEY__SAVED_COUNT; i++)
        motley__buffer_destroy(layer->saved[i]);
    motley__buffer_destroy(layer->local);
    motley__buffer_destroy(layer->collaborators);
    motley__buffer_destroy(layer->server);
    motley__buffer_destroy(layer->name);
    motley__gateway_destroy(layer->gateway);
    motley__peers_destroy(layer->peers);
    motley__capacity_destroy(layer->capacity);
    motley__cosine_destroy(layer->cosine);
    motley__matrix_destroy(layer->correction);
    motley__linear_destroy(layer->gate);
    motley__experts_destroy(layer->stored);
    motley__experts_destroy(layer->held);
    if (layer->own_scratch)
        motley__scratch_destroy(layer->scratch);
    free(layer->loss_sums);
    free(layer->loss_host);
    free(layer->balance_host);
    free(layer->offsets_host);
    free(layer->importance_host);
    free(layer);
}

struct motley__experts *motley__layer_experts(motley_layer *layer)
{
    return layer->stored;
}

struct motley_losses *motley__layer_coefficients(motley_layer *layer)
{
    return &layer->coefficients;
}
