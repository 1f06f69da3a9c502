/* What each operator of the backward list does on its own rank; between ranks: travel.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/gate.h"
#include "layer/state.h"

#define FLOATS(n) ((size_t)(n) * sizeof(float))
#define STORED(n) motley__layer_stored(layer, (size_t)(n))

static int reserve_experts(motley_layer *layer, struct motley_error *error)
{
    const size_t P = (size_t)layer->rows.P, F = (size_t)layer->F_local, D = (size_t)layer->shape.D;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_U, STORED(P * F), error);

    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_H, STORED(P * F), error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_O, STORED(P * D), error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_DW, FLOATS(P), error);
    return status;
}

/* The gradients are of all batches: the first overwrites, the others add. */
static struct motley__expert_step step_of(const motley_layer *layer, int batch)
{
    struct motley__buffer *const *saved = layer->saved, *const *scratch = layer->scratch->buffer;
    const struct motley__rows x = motley__layer_inputs(layer);
    const struct motley__rows dy = {layer->dy, scratch[MOTLEY__SCRATCH_DY], layer->rows.T, saved[MOTLEY__SAVED_INDEX],
                                    layer->shape.dtype};

    return (struct motley__expert_step){
        .ragged = motley__layer_ragged(layer, batch), .x = x, .dy = dy, .pre = saved[MOTLEY__SAVED_PRE],
        .pre3 = layer->experts->w3 ? saved[MOTLEY__SAVED_PRE3] : NULL, .h = scratch[MOTLEY__SCRATCH_H],
        .o = scratch[MOTLEY__SCRATCH_O], .weight = saved[MOTLEY__SAVED_PAIR_WEIGHT], .u = scratch[MOTLEY__SCRATCH_U],
        .dw = scratch[MOTLEY__SCRATCH_DW], .accumulate = batch > 0};
}

int motley__backward_experts(void *self, struct motley_error *error)
{
    const struct motley__numbered *batch = self;
    motley_layer *layer = batch->layer;
    int status = reserve_experts(layer, error);

    if (!status) {
        const struct motley__expert_step step = step_of(layer, batch->number);

        status = motley__experts_backward(layer->experts, &step, error);
    }
    if (!status && layer->routing.before) {
        const struct motley__scale scale = motley__layer_scale(layer, batch->number);

        status = motley__scale_backward(layer->context->device, &scale, layer->scratch->buffer[MOTLEY__SCRATCH_O],
                                        layer->scratch->buffer[MOTLEY__SCRATCH_DW], error);
    }
    return status;
}

int motley__backward_gradients(void *self, struct motley_error *error)
{
    const struct motley__numbered *batch = self;
    const struct motley__expert_step step = step_of(batch->layer, batch->number);

    return motley__experts_gradients(batch->layer->experts, &step, error);
}

int motley__layer_decode_scalars(motley_layer *layer, struct motley__some tokens, struct motley_error *error)
{
    struct motley__buffer **scratch = layer->scratch->buffer;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_DWEIGHTS, FLOATS(layer->rows.pairs), error);

    if (!status)
        status = motley__decode_scalars(layer->context->device, &(struct motley__decode){
            .first = tokens.first, .T = tokens.count, .K = layer->shape.K, .where = layer->saved[MOTLEY__SAVED_WHERE],
            .returned = motley__layer_returned(layer)}, scratch[MOTLEY__SCRATCH_DW], scratch[MOTLEY__SCRATCH_DWEIGHTS],
            error);
    return status;
}

/* dx through the experts, and dweights [T,K]. */
int motley__backward_decode(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const struct motley__some own = {0, layer->rows.T};
    const struct motley__sums dx = {layer->shape.dtype, layer->accumulate, 0, layer->dx};
    int status = motley__layer_decode(layer, own, NULL, &dx, error);

    return status ? status : motley__layer_decode_scalars(layer, own, error);
}

/* dgate = dlogits^T x, dx += dlogits gate; of a cosine gate through the projection. */
static int backward_logits(motley_layer *layer, struct motley_error *error)
{
    const int T = layer->rows.T;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    int status;

    if (!layer->cosine) {
        status = motley__linear_gradient(layer->gate, T, scratch[MOTLEY__SCRATCH_DLOGITS], layer->x, 0, error);
        return status ? status : motley__linear_backward(layer->gate, T, scratch[MOTLEY__SCRATCH_DLOGITS], 1,
                                                         layer->dx, error);
    }
    status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_DUNIT,
                                           FLOATS((size_t)T * (size_t)layer->shape.gate_width), error);
    if (!status)
        status = motley__cosine_backward(layer->cosine, &(struct motley__cosine_step){.T = T, .x = layer->x,
            .unit = saved[MOTLEY__SAVED_UNIT], .length = saved[MOTLEY__SAVED_LENGTH],
            .dlogits = scratch[MOTLEY__SCRATCH_DLOGITS], .dunit = scratch[MOTLEY__SCRATCH_DUNIT], .dx = layer->dx},
            error);
    return status;
}

/* Through scores and logits. */
int motley__backward_gate(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const int T = layer->rows.T, E = layer->shape.E, losses = motley__layer_has_losses(layer);
    const double tokens = losses ? layer->loss_sums[2 * E + 1] : 0;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_DLOGITS, FLOATS((size_t)T * (size_t)E), error);

    if (!status && losses)
        status = motley__layer_balance(layer, error);
    if (!status)
        status = motley__gate_backward(layer->context->device, &(struct motley__gate_backward){
            .T = T, .E = E, .K = layer->shape.K, .normalize = layer->shape.normalize,
            .sigmoid = layer->correction != NULL, .p = saved[MOTLEY__SAVED_P],
            .lse = saved[MOTLEY__SAVED_LSE], .indices = motley__layer_chosen(layer),
            .weights = saved[MOTLEY__SAVED_WEIGHTS], .dweights = scratch[MOTLEY__SCRATCH_DWEIGHTS],
            .balance = losses ? scratch[MOTLEY__SCRATCH_BALANCE] : NULL,
            .z = tokens > 0 ? (float)(layer->coefficients.z / tokens) : 0,
            .dlogits = scratch[MOTLEY__SCRATCH_DLOGITS]}, error);
    if (!status && motley__layer_wants_importance(layer))
        status = motley__layer_importance_backward(layer, error);
    return status ? status : backward_logits(layer, error);
}
