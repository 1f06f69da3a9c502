/* A layer's life, and its weights in and out.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "layer/state.h"

/* Tags of the exchange's messages; a transfer uses two. */
enum { TAG_COUNTS = 1, TAG_DISPATCH = 2, TAG_COMBINE = 4, TAG_DISPATCH_BACK = 6, TAG_COMBINE_BACK = 8 };

int motley__layer_has_losses(const motley_layer *layer)
{
    return layer->losses.balance_coefficient != 0 || layer->losses.z_coefficient != 0;
}

static int create_exchange(motley_layer *layer, struct motley_error *error)
{
    const struct motley_context *context = layer->context;
    const size_t row_bytes[MOTLEY__PARTS] = {motley__layer_stored(layer, (size_t)layer->shape.D), sizeof(float)};
    int status;

    status = motley__counts_create(context, layer->plan->first_slot, TAG_COUNTS, &layer->counts, error);
    if (!status)
        status = motley__transfer_create(context, "dispatch", TAG_DISPATCH, 2, row_bytes, &layer->dispatch, error);
    if (!status)
        status = motley__transfer_create(context, "combine", TAG_COMBINE, 1, row_bytes, &layer->combine, error);
    if (!status && layer->trained)
        status = motley__transfer_create(context, "dispatch dy", TAG_DISPATCH_BACK, 1, row_bytes, &layer->dispatch_back,
                                         error);
    if (!status && layer->trained)
        status = motley__transfer_create(context, "combine dx", TAG_COMBINE_BACK, 2, row_bytes, &layer->combine_back,
                                         error);
    return status;
}

static int create_host_side(motley_layer *layer, struct motley_error *error)
{
    const size_t E = (size_t)layer->shape.E, E_local = (size_t)layer->E_local, R = (size_t)layer->plan->R;

    layer->send_rows = calloc(R, sizeof(int));
    layer->receive_rows = calloc(R, sizeof(int));
    layer->cursor = calloc(R, sizeof(int));
    layer->slot_offsets = calloc(E + 1, sizeof(int));
    layer->offsets = calloc(E_local + 1, sizeof(int));
    layer->segments = calloc(R * E_local + 1, sizeof *layer->segments);
    layer->loss_sums = calloc(2 * E + 2, sizeof(double));
    layer->loss_host = calloc(2 * E + 2, sizeof(float));
    layer->balance_host = calloc(E, sizeof(float));
    if (!layer->send_rows || !layer->receive_rows || !layer->cursor || !layer->slot_offsets || !layer->offsets ||
        !layer->segments || !layer->loss_sums || !layer->loss_host || !layer->balance_host)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer of %d experts", layer->shape.E);
    return 0;
}

static int create_parts(motley_layer *layer, struct motley__buffer *gate_storage, struct motley__buffer *gate_gradient,
                        struct motley_error *error)
{
    struct motley__device *device = layer->context->device;
    const motley_plan *plan = layer->plan;
    const int E = layer->shape.E;
    int status;

    status = create_host_side(layer, error);
    if (!status)
        status = motley__experts_create(device, &layer->shape, layer->E_local, layer->trained, &layer->experts, error);
    if (!status)
        status = motley__linear_create(device, (enum motley__dense)plan->rank[layer->context->rank].dense,
                                       layer->shape.dtype, MOTLEY_F32, E, layer->shape.D, layer->trained, gate_storage,
                                       gate_gradient, &layer->gate, error);
    if (!status)
        status = motley__buffer_create(device, (size_t)E * sizeof(int), &layer->slot, error);
    if (!status)
        status = motley__buffer_write(layer->slot, 0, plan->slot, (size_t)E * sizeof(int), error);
    if (!status && layer->context->size > 1)
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
    l = calloc(1, sizeof *l);
    if (!l) {
        status = motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer");
    } else if (plan->R != context->size) {
        status = motley__fail(error, MOTLEY_E_MISMATCH, "the plan is for %d ranks, but this run has %d", plan->R,
                              context->size);
    } else if (plan->mode != MOTLEY_MODE_EXPERT) {
        status = motley__fail(error, MOTLEY_E_UNSUPPORTED, "layers run plans of mode expert alone");
    } else {
        context->device->peak_bytes = l->used_before = context->device->used_bytes;
        l->context = context;
        l->plan = plan;
        l->shape = plan->shape;
        l->trained = trained;
        l->first_slot = plan->first_slot[context->rank];
        l->E_local = plan->first_slot[context->rank + 1] - l->first_slot;
        l->loss_request = MPI_REQUEST_NULL;
        l->scratch = scratch ? scratch : motley__scratch_create();
        l->own_scratch = !scratch;
        if (!l->scratch)
            status = motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a layer");
        if (!status)
            status = create_parts(l, gate_storage, gate_gradient, error);
    }
    status = motley__agree(context->comm, status, error);
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
    motley__buffer_destroy(layer->slot);
    motley__linear_destroy(layer->gate);
    motley__experts_destroy(layer->experts);
    if (layer->own_scratch)
        motley__scratch_destroy(layer->scratch);
    free(layer->send_rows);
    free(layer->receive_rows);
    free(layer->cursor);
    free(layer->slot_offsets);
    free(layer->offsets);
    free(layer->segments);
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
    return layer->experts;
}

struct motley__layer_losses *motley__layer_losses(motley_layer *layer)
{
    return &layer->losses;
}

/* The matrix that holds a weight (or its gradient) and, for experts, the local number of the expert in it. */
static int find_matrix(const motley_layer *layer, enum motley_weight which, int expert, int gradient,
                       struct motley__matrix **matrix, int *local, struct motley_error *error)
{
    static const char *const name[] = {"gate", "w1", "w2", "w3", "b1", "b2"};
    const struct motley__experts *x = layer->experts;
    struct motley__matrix *const weight[] = {layer->gate->w, x->w1, x->w2, x->w3, x->b1, x->b2};
    struct motley__matrix *const slope[] = {layer->gate->dw, x->dw1, x->dw2, x->dw3, x->db1, x->db2};

    if ((int)which < 0 || which > MOTLEY_B2)
        return motley__fail(error, MOTLEY_E_INVALID, "there is no weight number %d in a layer", (int)which);
    *matrix = gradient ? slope[which] : weight[which];
    *local = 0;
    if (!*matrix)
        return motley__fail(error, MOTLEY_E_INVALID, "this layer has no %s%s", gradient ? "gradient of " : "",
                            name[which]);
    if (which == MOTLEY_GATE)
        return 0;
    if (expert < 0 || expert >= layer->shape.E || layer->plan->owner[expert] != layer->context->rank)
        return motley__fail(error, MOTLEY_E_INVALID, "%s of expert %d is not on rank %d", name[which], expert,
                            layer->context->rank);
    *local = layer->plan->slot[expert] - layer->first_slot;
    return 0;
}

int motley_layer_set(motley_layer *layer, enum motley_weight which, int expert, const float *host,
                     struct motley_error *error)
{
    struct motley__matrix *matrix;
    int local, status = find_matrix(layer, which, expert, 0, &matrix, &local, error);

    return status ? status : motley__matrix_set(matrix, local, host, error);
}

int motley_layer_get(const motley_layer *layer, enum motley_weight which, int expert, float *host,
                     struct motley_error *error)
{
    struct motley__matrix *matrix;
    int local, status = find_matrix(layer, which, expert, 0, &matrix, &local, error);

    return status ? status : motley__matrix_get(matrix, local, host, error);
}

int motley_layer_get_gradient(const motley_layer *layer, enum motley_weight which, int expert, float *host,
                              struct motley_error *error)
{
    struct motley__matrix *matrix;
    int local, status = find_matrix(layer, which, expert, 1, &matrix, &local, error);

    return status ? status : motley__matrix_get(matrix, local, host, error);
}
