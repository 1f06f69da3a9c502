/* A layer's buffers, and the closed formula of their bytes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdlib.h>

#include "layer/encode.h"
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
    if (scratch)
        motley__weight_cache_destroy(scratch->cache);
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

/* Numbers of the rows of a step as they are multiplied with. */
struct sizes {
    uint64_t T, N, pairs, S, S_pairs, M, M_pairs, B, B_pairs, P, D, F, E, slots; /* slots: that pairs leave in */
    uint64_t W;                         /* the cosine gate's width, 0 of others */
};

/* A memory that says nothing of chunks has one. */
static int chunks_of(const struct motley__layer_memory *m)
{
    return m->chunks > 1 ? m->chunks : 1;
}

static int batches_of(const struct motley__layer_memory *m)
{
    return motley__chunks_batches(chunks_of(m));
}

/* Slots of the sort by local expert. */
static int local_slots(const struct motley__layer_memory *m)
{
    return chunks_of(m) > 1 ? batches_of(m) * m->stride : m->E_local ? m->E_local : 1;
}

/* A memory that says nothing of guests has none. */
static int64_t pairs_of(const struct motley__layer_memory *m)
{
    return m->far_groups ? m->rows.pairs : m->rows.N;
}

static struct sizes sizes_of(const struct motley__layer_memory *m)
{
    const struct motley__row_numbers *r = &m->rows;

    return (struct sizes){.T = (uint64_t)r->T, .N = (uint64_t)r->N, .pairs = (uint64_t)pairs_of(m), .S = (uint64_t)r->S,
        .S_pairs = (uint64_t)r->S_pairs, .M = (uint64_t)r->M, .M_pairs = (uint64_t)r->M_pairs, .B = (uint64_t)r->B,
        .B_pairs = (uint64_t)r->B_pairs, .P = (uint64_t)r->P, .D = (uint64_t)m->shape.D,
        .F = (uint64_t)(m->hidden_end - m->hidden_begin), .E = (uint64_t)m->shape.E,
        .slots = (uint64_t)m->groups * (uint64_t)chunks_of(m), .W = (uint64_t)m->shape.gate_width};
}

/* Kept from forward to backward: numbers in the storage type, and words of 4 bytes. */
static uint64_t saved_bytes(const struct motley__layer_memory *m)
{
    const struct sizes n = sizes_of(m);
    const uint64_t pre = m->trained ? (m->shape.activation == MOTLEY_SWIGLU ? 2 : 1) : 0;
    const uint64_t received = (uint64_t)m->rows.far.M + n.M;
    const uint64_t stored = received * n.D + pre * n.P * n.F + (m->before ? n.P * n.D : 0); /* received; pre, pre3;
                                                                                             * scaled */
    uint64_t words = 0;

    words += 2 * n.N + n.T * n.E + n.T;                     /* indices, weights, p, lse */
    words += m->shape.gate == MOTLEY_GATE_COSINE ? n.T * (n.W + 1) : 0; /* unit, length */
    words += m->capacity ? n.N : 0;                         /* chosen */
    words += m->importance ? n.T * n.E + 2 * n.T : 0;       /* clean, clean lse, last */
    words += n.pairs + n.M_pairs + (uint64_t)local_slots(m) + 1; /* where, offsets */
    words += (m->before ? 3 : 2) * n.P;                     /* index, pair weight; scale */
    if (m->ranks > 1) {
        words += 3 * n.pairs + (m->lots > 1 ? n.N : 0);     /* group place, row order, send row; choices */
        words += motley__peers_table(m->groups, m->streams, chunks_of(m)) + n.M + 1; /* table, begin */
    }
    if (m->far_groups) {
        words += 3 * n.N + n.pairs + (uint64_t)m->rows.far.M_pairs; /* place, row order, send row; indices, at */
        words += motley__peers_table(m->far_groups, m->far_streams, chunks_of(m));
    }
    return stored * motley__storage_bytes(m->shape.dtype) + words * 4;
}

/* What does not outlive a list, likewise; and the lists of pairs. */
static uint64_t scratch_bytes(const struct motley__layer_memory *m)
{
    const struct sizes n = sizes_of(m);
    const struct motley__far_numbers *far = &m->rows.far;
    const enum motley_dtype type = motley__storage_narrower(m->shape.dtype, m->wire);
    uint64_t stored = 0, wire = 0, words = 0, units = 0;

    stored += n.P * n.F + n.P * n.D;                        /* h, o */
    words += n.pairs + n.M_pairs;                           /* order */
    words += m->shape.gate == MOTLEY_GATE_FORCED ? n.N : 0;
    words += m->losses ? 2 * n.E + 2 : 0;
    words += m->importance ? 2 * n.E + 2 : 0;
    if (m->capacity)                                        /* order, where, offsets; counts, limits */
        words += 2 * n.N + n.E + 1 + (uint64_t)m->shape.K * n.E + 3 * n.E;
    if (m->capacity && m->prioritised)
        words += n.T + MOTLEY__CAPACITY_BINS * n.E;         /* best, bins */
    if (m->ranks > 1) {
        wire += (n.S + n.M + n.B) * n.D;                    /* send, back, returned */
        wire += type != m->shape.dtype ? ((uint64_t)far->M + n.M) * n.D : 0; /* arrived */
        words += 3 * n.pairs + 2 * (n.slots + 1);           /* slots, heads, pair order; both offsets */
        words += motley__peers_source(m->ranks, chunks_of(m));
        words += n.pairs + 3 * n.M_pairs;                   /* expert, received row and weight */
        units += (uint64_t)motley__list_units(m->rows.S, m->rows.S_pairs) +
                 (uint64_t)motley__list_units(m->rows.M, m->rows.M_pairs);
    }
    if (m->far_groups) {
        wire += ((uint64_t)far->S + (uint64_t)far->M + (uint64_t)far->B) * n.D; /* the same three */
        words += 3 * n.N;                                   /* slots, heads, pair order */
        words += 2 * ((uint64_t)m->far_groups * (uint64_t)chunks_of(m) + 1); /* both offsets */
        words += motley__peers_source(m->ranks, chunks_of(m)) + n.pairs; /* source, weights */
        words += chunks_of(m) > 1 ? (uint64_t)chunks_of(m) : 0; /* staying */
        units += (uint64_t)motley__list_units(far->S, far->S_pairs) +
                 (uint64_t)motley__list_units(far->M, far->M_pairs);
        words += m->backward ? (uint64_t)far->M_pairs + (uint64_t)far->B_pairs : 0; /* scalars */
    }
    if (m->backward) {
        stored += ((uint64_t)far->M + n.M) * n.D + n.P * n.F; /* dy, u */
        words += n.P + n.pairs + n.T * n.E + (m->losses ? n.E : 0);  /* dw, dweights, dlogits, balance */
        words += n.M_pairs + n.B_pairs;                     /* scalars */
        words += n.T * n.W;                                 /* dunit */
        words += m->importance ? 2 * n.E : 0;               /* slopes */
    }
    return stored * motley__storage_bytes(m->shape.dtype) + wire * motley__storage_bytes(type) + words * 4 +
           units * MOTLEY__LIST_UNIT;
}

/* Histograms: of pairs and heads by set of nodes and by group, of pairs by expert, and of all pairs by local expert. */
static size_t route_scratch_bytes(const struct motley__layer_memory *m)
{
    const int64_t pairs = pairs_of(m);
    const int slots = local_slots(m);
    const size_t by_set = m->far_groups ? motley__route_scratch_bytes(m->rows.N, m->far_groups * chunks_of(m)) : 0;
    const size_t by_group = m->ranks > 1 ? motley__route_scratch_bytes((int)pairs, m->groups * chunks_of(m)) : 0;
    const int64_t all = pairs + m->rows.M_pairs; /* plans ask for more than int counts, which fits nowhere */

    return by_set + by_group + (m->capacity ? motley__route_scratch_bytes(m->rows.N, m->shape.E) : 0) +
           motley__route_scratch_bytes(all < INT_MAX ? (int)all : INT_MAX, slots);
}

/* All experts of a layer once, for all layers. */
static uint64_t cache_bytes(const struct motley__layer_memory *m)
{
    return motley__experts_bytes(&m->shape, m->shape.E, 0, m->panel, m->trained ? 1 : 0, 0);
}

/* By choice: local and server; with guests, between nodes; with replicas besides, their names. */
static uint64_t table_bytes(const struct motley__layer_memory *m)
{
    const uint64_t far = (uint64_t)m->shape.E * (m->lots > 1 ? 1 + (uint64_t)m->lots : 1);
    const uint64_t near = far + (m->lots > 1 ? (uint64_t)m->named : 0);
    const uint64_t names = m->far_groups && m->lots > 1 ? near + far : 0;

    return 4 * (near * ((uint64_t)batches_of(m) + (m->ranks > 1)) + (m->far_groups ? far : 0) + names);
}

/* The gate's weights, each with so many copies; S and slopes of a cosine gate, a sigmoid gate's correction alone. */
static uint64_t gate_bytes(const struct motley__layer_memory *m, int copies)
{
    const uint64_t each = 1 + (uint64_t)copies, E = (uint64_t)m->shape.E;

    switch (m->shape.gate) {
    case MOTLEY_GATE_SIGMOID: return m->gate_bytes * each + 4 * E;
    case MOTLEY_GATE_COSINE:
        return (m->gate_bytes + m->projection_bytes + 4 * (uint64_t)(m->shape.gate_width + 1)) * each + m->gate_bytes +
               (m->trained ? 4 * E : 0);
    default: return m->gate_bytes * each;
    }
}

uint64_t motley__layer_memory_bytes(const struct motley__layer_memory *m)
{
    const int copies = (m->trained ? 1 : 0) + m->moments; /* f32, beside the weights: gradients, moments */
    const int masters = m->moments > 0 && m->shape.dtype != MOTLEY_F32;
    const uint64_t layers = m->layers > 1 ? (uint64_t)m->layers : 1;
    struct motley_layer_shape slice = m->shape;
    const uint64_t tables = table_bytes(m);
    const int stored = m->caches ? m->stored : m->E_local - m->replicas;
    const int begin = m->caches ? m->stored_begin : m->hidden_begin, end = m->caches ? m->stored_end : m->hidden_end;

    slice.F = end - begin;
    const uint64_t experts = motley__experts_bytes(&slice, stored, begin, m->panel, copies, masters) +
                             motley__experts_bytes(&slice, m->replicas, begin, m->panel, m->trained ? 1 : 0, 0);

    return layers * (experts + gate_bytes(m, copies) + tables + m->mask_bytes + saved_bytes(m)) + scratch_bytes(m) +
           (m->caches ? cache_bytes(m) : 0) + m->cache_scratch + m->gate_scratch + route_scratch_bytes(m);
}

static struct motley__layer_memory memory_of(const motley_layer *layer)
{
    const struct motley__device *device = layer->context->device;
    const struct motley_layer_shape *shape = &layer->shape;
    const struct motley__peers *peers = layer->peers;
    const enum motley__dense path = layer->gate->path;
    const int inputs = motley__gate_inputs(shape);
    const enum motley_dtype rows = layer->gate->rows;

    return (struct motley__layer_memory){.shape = *shape, .E_local = layer->E_local,
        .hidden_begin = layer->holding->begin, .hidden_end = layer->holding->end,
        .replicas = layer->holding->experts - layer->holding->stored, .lots = peers ? peers->lots : 1,
        .named = peers ? peers->named : 0,
        .caches = layer->cache && layer->cache->experts, .stored = layer->stores->experts,
        .stored_begin = layer->stores->begin, .stored_end = layer->stores->end,
        .cache_scratch = layer->cache ? motley__weight_cache_scratch(layer->cache) : 0, .ranks = peers ? peers->R : 1,
        .groups = peers ? peers->G : 1, .streams = peers ? peers->streams : 0, .chunks = layer->chunks,
        .stride = layer->stride, .far_groups = layer->gateway ? layer->gateway->peers->G : 0,
        .far_streams = layer->gateway ? layer->gateway->peers->streams : 0,
        .panel = layer->E_local ? layer->experts->w1->panel : 1, .trained = layer->trained,
        .backward = layer->backward_ran, .losses = motley__layer_has_losses(layer),
        .importance = motley__layer_wants_importance(layer), .before = layer->routing.before,
        .wire = layer->plan->options.wire,
        .capacity = layer->capacity != NULL, .prioritised = layer->capacity && layer->capacity->prioritised,
        .gate_scratch = motley__gate_scratch_bytes(device, layer->rows.T, motley__gate_widest(shape)),
        .gate_bytes = sizeof(float) * motley__linear_numbers(device, path, rows, MOTLEY_F32, shape->E, inputs),
        .projection_bytes = layer->cosine ? sizeof(float) * motley__linear_numbers(device, path, shape->dtype,
                                                MOTLEY_F32, shape->gate_width, shape->D) : 0,
        .mask_bytes = layer->collaborators ? layer->collaborators->bytes : 0, .rows = layer->rows};
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
