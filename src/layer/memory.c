/* A layer's buffers, and the closed formula of their bytes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "layer/gate.h"
#include "layer/route.h"
#include "layer/state.h"

struct motley__scratch *motley__scratch_create(void)
{
    return calloc(1, sizeof(struct motley__scratch));
}

void motley__scratch_destroy(struct motley__scratch *scratch)
{
    for (int i = 0; scratch && i < MOTLEY__SCRATCH_COUNT; i++)
        motley__buffer_destroy(scratch->buffer[i]);
    free(scratch);
}

int motley__layer_scratch_reserve(motley_layer *layer, enum motley__scratch_buffer which, size_t bytes,
                                  struct motley_error *error)
{
    return motley__buffer_reserve(layer->context->device, &layer->scratch->buffer[which], bytes, error);
}

int motley__layer_saved_reserve(motley_layer *layer, enum motley__saved_buffer which, size_t bytes,
                                struct motley_error *error)
{
    return motley__buffer_reserve(layer->context->device, &layer->saved[which], bytes, error);
}

/* Kept from forward to backward: numbers in the storage type, and words of 4 bytes. */
static uint64_t saved_bytes(const struct motley__layer_memory *m)
{
    const struct motley__row_numbers *rows = &m->rows;
    const uint64_t T = (uint64_t)rows->T, N = (uint64_t)rows->N, M = (uint64_t)rows->M, P = (uint64_t)rows->P;
    const uint64_t D = (uint64_t)m->shape.D, F = (uint64_t)m->shape.F, E = (uint64_t)m->shape.E;
    const uint64_t pre = m->trained ? (m->shape.activation == MOTLEY_SWIGLU ? 2 : 1) : 0;
    const uint64_t stored = M * D + pre * P * F;   /* received rows; pre, pre3 */
    uint64_t words = 0;

    words += 2 * N + T * E + T;              /* indices, weights, p, lse */
    words += 2 * N + E + 1;                  /* order, where, slot offsets */
    words += m->ranks > 1 ? (uint64_t)m->E_local + 1 : 0;   /* offsets */
    words += 2 * P + (N - (uint64_t)rows->S) + M;  /* index, pair weight, pair own, pair received */
    return stored * motley__storage_bytes(m->shape.dtype) + words * 4;
}

/* What does not outlive a list, likewise. */
static uint64_t scratch_bytes(const struct motley__layer_memory *m)
{
    const struct motley__row_numbers *rows = &m->rows;
    const uint64_t T = (uint64_t)rows->T, N = (uint64_t)rows->N, S = (uint64_t)rows->S, M = (uint64_t)rows->M;
    const uint64_t P = (uint64_t)rows->P, D = (uint64_t)m->shape.D, F = (uint64_t)m->shape.F, E = (uint64_t)m->shape.E;
    uint64_t stored = 0, words = 0;

    stored += S * D + M * D;                 /* send; back */
    stored += S * D;                         /* returned */
    stored += P * F + P * D;                 /* h, o */
    words += S + M;                          /* send and received scalars */
    words += m->ranks > 1 ? sizeof(struct motley__segment) / 4 * (uint64_t)m->ranks * (uint64_t)m->E_local : 0;
    words += m->shape.gate == MOTLEY_GATE_FORCED ? N : 0;
    words += m->losses ? 2 * E + 2 : 0;
    if (m->backward) {
        stored += M * D + P * F;             /* dy, u */
        words += P + M + S + N + T * E + (m->losses ? E : 0);  /* dw, scalars, dweights, dlogits, balance */
    }
    return stored * motley__storage_bytes(m->shape.dtype) + words * 4;
}

uint64_t motley__layer_memory_bytes(const struct motley__layer_memory *m)
{
    const int copies = (m->trained ? 1 : 0) + m->moments; /* f32, beside the weights: gradients, moments */
    const int masters = m->moments > 0 && m->shape.dtype != MOTLEY_F32;
    const uint64_t layers = m->layers > 1 ? (uint64_t)m->layers : 1;
    const uint64_t experts = motley__experts_bytes(&m->shape, m->E_local, m->panel, copies, masters);
    const uint64_t slots = (uint64_t)m->shape.E * 4;

    return layers * (experts + m->gate_bytes * (1 + (uint64_t)copies) + slots + saved_bytes(m)) + scratch_bytes(m) +
           m->gate_scratch + m->route_scratch;
}

static struct motley__layer_memory memory_of(const motley_layer *layer)
{
    const struct motley__device *device = layer->context->device;
    const struct motley_layer_shape *shape = &layer->shape;

    return (struct motley__layer_memory){.shape = *shape, .E_local = layer->E_local, .ranks = layer->context->size,
        .panel = layer->E_local ? layer->experts->w1->panel : 1, .trained = layer->trained,
        .backward = layer->backward_ran, .losses = motley__layer_has_losses(layer),
        .gate_scratch = motley__gate_scratch_bytes(device, layer->rows.T, shape->E),
        .route_scratch = motley__route_scratch_bytes(layer->rows.T, shape->K, shape->E),
        .gate_bytes = sizeof(float) * motley__linear_numbers(device, layer->gate->path, shape->dtype, MOTLEY_F32,
                                                             shape->E, shape->D),
        .rows = layer->rows};
}

uint64_t motley_layer_planned_bytes(const motley_layer *layer)
{
    const struct motley__layer_memory memory = memory_of(layer);

    return layer->used_before + motley__layer_memory_bytes(&memory);
}

uint64_t motley_layer_peak_bytes(const motley_layer *layer)
{
    return layer->context->device->peak_bytes;
}
