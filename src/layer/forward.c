/* What each operator of the forward list does on its own rank; between ranks: travel.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "layer/encode.h"
#include "layer/gate.h"
#include "layer/guests.h"
#include "layer/place.h"
#include "layer/route.h"
#include "layer/state.h"

#define FLOATS(n) ((size_t)(n) * sizeof(float))
#define STORED(n) motley__layer_stored(layer, (size_t)(n))
#define INTS(n) ((size_t)(n) * sizeof(int))

/* Buffers of so many bytes. */
struct demand {
    int which;
    size_t bytes;
};

static int reserve_saved(motley_layer *layer, const struct demand *demand, size_t count, struct motley_error *error)
{
    int status = 0;

    for (size_t i = 0; !status && i < count; i++)
        status = motley__layer_saved_reserve(layer, (enum motley__saved_buffer)demand[i].which, demand[i].bytes, error);
    return status;
}

static int reserve_scratch(motley_layer *layer, const struct demand *demand, size_t count, struct motley_error *error)
{
    int status = 0;

    for (size_t i = 0; !status && i < count; i++)
        status = motley__layer_scratch_reserve(layer, (enum motley__scratch_buffer)demand[i].which, demand[i].bytes,
                                               error);
    return status;
}
#define RESERVE(kind, layer, demand, error) \
    reserve_##kind((layer), (demand), sizeof (demand) / sizeof *(demand), (error))

static int reserve_gate(motley_layer *layer, struct motley_error *error)
{
    const int T = layer->rows.T, E = layer->shape.E, N = layer->rows.N, width = layer->shape.gate_width;
    const struct demand saved[] = {
        {MOTLEY__SAVED_INDICES, INTS(N)}, {MOTLEY__SAVED_WEIGHTS, FLOATS(N)}, {MOTLEY__SAVED_P, FLOATS((size_t)T * E)},
        {MOTLEY__SAVED_LSE, FLOATS(T)}, {MOTLEY__SAVED_UNIT, layer->cosine ? FLOATS((size_t)T * width) : 0},
        {MOTLEY__SAVED_LENGTH, layer->cosine ? FLOATS(T) : 0},
    };
    const struct demand scratch[] = {
        {MOTLEY__SCRATCH_LOGITS,
         motley__gate_scratch_bytes(layer->context->device, T, motley__gate_widest(&layer->shape))},
        {MOTLEY__SCRATCH_FORCED, layer->forced ? INTS(N) : 0},
        {MOTLEY__SCRATCH_BEST, layer->capacity && layer->capacity->prioritised ? FLOATS(T) : 0},
    };
    int status = RESERVE(saved, layer, saved, error);

    return status ? status : RESERVE(scratch, layer, scratch, error);
}

int motley__forward_gate(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    const struct motley_layer_shape *shape = &layer->shape;
    const int noisy = layer->routing.noise > 0;
    struct motley__noise noise;
    int status = reserve_gate(layer, error);

    if (!status && noisy)
        status = motley__layer_noise(layer, &noise, error);
    if (!status && layer->forced)
        status = motley__buffer_write_later(scratch[MOTLEY__SCRATCH_FORCED], 0, layer->forced, INTS(layer->rows.N),
                                            error);
    if (!status && layer->cosine)
        status = motley__cosine_forward(layer->cosine, &(struct motley__cosine_step){.T = layer->rows.T, .x = layer->x,
            .scratch = scratch[MOTLEY__SCRATCH_LOGITS], .unit = saved[MOTLEY__SAVED_UNIT],
            .length = saved[MOTLEY__SAVED_LENGTH]}, error);
    if (!status)
        status = motley__gate_forward(layer->context->device, &(struct motley__gate_forward){
            .dtype = layer->gate->rows, .T = layer->rows.T, .D = layer->gate->w->I, .E = shape->E, .K = shape->K,
            .normalize = shape->normalize, .x = layer->cosine ? saved[MOTLEY__SAVED_UNIT] : layer->x,
            .w = layer->cosine ? layer->cosine->scaled->w : layer->gate->w,
            .correction = layer->correction ? layer->correction->segment[0] : NULL,
            .forced = layer->forced ? scratch[MOTLEY__SCRATCH_FORCED] : NULL, .collaborators = layer->collaborators,
            .logits = scratch[MOTLEY__SCRATCH_LOGITS], .p = saved[MOTLEY__SAVED_P], .lse = saved[MOTLEY__SAVED_LSE],
            .indices = saved[MOTLEY__SAVED_INDICES], .weights = saved[MOTLEY__SAVED_WEIGHTS],
            .best = layer->capacity && layer->capacity->prioritised ? scratch[MOTLEY__SCRATCH_BEST] : NULL,
            .noise = noisy ? &noise : NULL}, error);
    if (!status && layer->capacity)
        status = motley__drop_count(layer, error);
    return status;
}

/* Own pairs, and received ones behind them, by batch and local expert. */
static int sort_by_expert(motley_layer *layer, const struct motley__buffer *experts, struct motley_error *error)
{
    const int count = layer->rows.pairs + layer->rows.M_pairs, slots = layer->batches * layer->stride;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    const struct demand sorted[] = {{MOTLEY__SAVED_WHERE, INTS(count)}, {MOTLEY__SAVED_OFFSETS, INTS(slots + 1)}};
    const struct demand sorting[] = {{MOTLEY__SCRATCH_ORDER, INTS(count)},
                                     {MOTLEY__SCRATCH_HISTOGRAM, motley__route_scratch_bytes(count, slots)}};
    int status = RESERVE(saved, layer, sorted, error);

    if (!status)
        status = RESERVE(scratch, layer, sorting, error);
    if (!status)
        status = motley__route(layer->context->device, &(struct motley__route){
            .N = count, .E = layer->batches * motley__layer_lookup_count(layer), .slots = slots, .indices = experts,
            .slot = layer->local,
            .histogram = scratch[MOTLEY__SCRATCH_HISTOGRAM], .order = scratch[MOTLEY__SCRATCH_ORDER],
            .where = saved[MOTLEY__SAVED_WHERE], .offsets = saved[MOTLEY__SAVED_OFFSETS]}, error);
    return status;
}

static int reserve_groups(motley_layer *layer, struct motley_error *error)
{
    const int N = layer->rows.pairs, slots = layer->chunks * layer->peers->G;
    const struct demand saved[] = {{MOTLEY__SAVED_GROUP_PLACE, INTS(N)}, {MOTLEY__SAVED_ROW_ORDER, INTS(N)},
                                   {MOTLEY__SAVED_SEND_ROW, INTS(N)}};
    const struct demand scratch[] = {
        {MOTLEY__SCRATCH_SLOTS, INTS(N)}, {MOTLEY__SCRATCH_HEADS, INTS(N)}, {MOTLEY__SCRATCH_PAIR_ORDER, INTS(N)},
        {MOTLEY__SCRATCH_PAIR_OFFSETS, INTS(slots + 1)}, {MOTLEY__SCRATCH_ROW_OFFSETS, INTS(slots + 1)},
        {MOTLEY__SCRATCH_GROUP_HISTOGRAM, motley__route_scratch_bytes(N, slots)},
    };
    int status = RESERVE(saved, layer, saved, error);

    return status ? status : RESERVE(scratch, layer, scratch, error);
}

int motley__layer_sort(motley_layer *layer, const struct motley__heads *heads, const struct motley__route *pairs,
                       const struct motley__route *rows, struct motley__peers *peers, struct motley_error *error)
{
    struct motley__device *device = layer->context->device;
    int status = motley__heads(device, heads, error);

    if (!status)
        status = motley__route(device, pairs, error);
    if (!status)
        status = motley__route(device, rows, error);
    if (!status)
        status = motley__buffer_read_later(pairs->offsets, 0, peers->pair_offsets, INTS(pairs->slots + 1), error);
    if (!status)
        status = motley__buffer_read_later(rows->offsets, 0, peers->row_offsets, INTS(rows->slots + 1), error);
    return status;
}

int motley__layer_choose_lots(motley_layer *layer, struct motley_error *error)
{
    const int N = layer->rows.N, lots = layer->peers->lots;
    int status = lots > 1 ? motley__layer_saved_reserve(layer, MOTLEY__SAVED_CHOICES, INTS(N), error) : 0;

    return status || lots == 1 ? status : motley__choices(layer->context->device, &(struct motley__choices){.N = N,
        .K = layer->shape.K, .E = layer->shape.E, .lots = lots, .indices = layer->saved[MOTLEY__SAVED_INDICES],
        .choices = layer->saved[MOTLEY__SAVED_CHOICES]}, error);
}

/* Of the pairs that stay here, own tokens' in each chunk, to the host: guests' are computed in another batch. */
static int count_staying(motley_layer *layer, struct motley_error *error)
{
    const struct motley__peers *peers = layer->peers;
    const int chunks = layer->chunks, own = peers->G - 1;
    const int first = motley__chunks_slot(chunks, peers->G, peers->sent, 0, own);
    struct motley__buffer **scratch = layer->scratch->buffer;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_STAYING, INTS(chunks), error);

    if (!status)
        status = motley__staying(layer->context->device, &(struct motley__staying){.N = layer->rows.N,
            .chunks = chunks, .first = first,
            .step = motley__chunks_slot(chunks, peers->G, peers->sent, 1, own) - first,
            .order = scratch[MOTLEY__SCRATCH_PAIR_ORDER], .offsets = scratch[MOTLEY__SCRATCH_PAIR_OFFSETS],
            .own = scratch[MOTLEY__SCRATCH_FAR_STAYING]}, error);
    return status ? status : motley__buffer_read_later(scratch[MOTLEY__SCRATCH_FAR_STAYING], 0, layer->staying,
                                                       INTS(chunks), error);
}

/* Pairs, and the first of each token for a group, by chunk and the group that serves them; their numbers to the host,
 * for the exchange counts by them. */
static int sort_by_group(motley_layer *layer, struct motley_error *error)
{
    struct motley__peers *peers = layer->peers;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    const int slots = layer->chunks * peers->G;
    const struct motley__heads heads = {.N = layer->rows.pairs, .K = layer->shape.K, .groups = peers->G,
        .sent = peers->sent, .every = layer->plan->options.duplicate,
        .chunks = motley__layer_chunks(layer), .indices = motley__layer_lookup(layer),
        .server = layer->server, .slots = scratch[MOTLEY__SCRATCH_SLOTS], .heads = scratch[MOTLEY__SCRATCH_HEADS]};
    const struct motley__route pairs = {.N = layer->rows.pairs, .E = slots, .slots = slots, .indices = heads.slots,
        .histogram = scratch[MOTLEY__SCRATCH_GROUP_HISTOGRAM], .order = scratch[MOTLEY__SCRATCH_PAIR_ORDER],
        .where = saved[MOTLEY__SAVED_GROUP_PLACE], .offsets = scratch[MOTLEY__SCRATCH_PAIR_OFFSETS]};
    const struct motley__route rows = {.N = layer->rows.pairs, .E = slots, .slots = slots, .indices = heads.heads,
        .histogram = pairs.histogram, .order = saved[MOTLEY__SAVED_ROW_ORDER], .where = saved[MOTLEY__SAVED_SEND_ROW],
        .offsets = scratch[MOTLEY__SCRATCH_ROW_OFFSETS]};
    int status = motley__layer_sort(layer, &heads, &pairs, &rows, peers, error);
    return status || !layer->gateway || layer->chunks == 1 ? status : count_staying(layer, error);
}

int motley__forward_route(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    int status = layer->capacity && !layer->gateway ? motley__drop(layer, error) : 0;

    if (!status && !layer->peers)
        return sort_by_expert(layer, layer->saved[MOTLEY__SAVED_INDICES], error);
    if (!status)
        status = reserve_groups(layer, error);
    if (!status && !layer->gateway) /* there it is done, before rows cross */
        status = motley__layer_choose_lots(layer, error);
    return status ? status : sort_by_group(layer, error);
}

static int reserve_pairs(motley_layer *layer, struct motley_error *error)
{
    const size_t P = (size_t)layer->rows.P, F = (size_t)layer->F_local, D = (size_t)layer->shape.D;
    const int swiglu = layer->shape.activation == MOTLEY_SWIGLU;
    const struct demand saved[] = {
        {MOTLEY__SAVED_INDEX, INTS(P)}, {MOTLEY__SAVED_PAIR_WEIGHT, FLOATS(P)},
        {MOTLEY__SAVED_SCALE, layer->routing.before ? FLOATS(P) : 0},
        {MOTLEY__SAVED_SCALED, layer->routing.before ? STORED(P * D) : 0},
        {MOTLEY__SAVED_PRE, layer->trained ? STORED(P * F) : 0},
        {MOTLEY__SAVED_PRE3, layer->trained && swiglu ? STORED(P * F) : 0},
    };
    const struct demand scratch[] = {{MOTLEY__SCRATCH_H, STORED(P * F)}, {MOTLEY__SCRATCH_O, STORED(P * D)}};
    int status = RESERVE(saved, layer, saved, error);

    return status ? status : RESERVE(scratch, layer, scratch, error);
}

static int reserve_arrivals(motley_layer *layer, struct motley_error *error)
{
    const struct motley__peers *peers = layer->peers;
    const struct motley__row_numbers *rows = &layer->rows;
    const size_t table = motley__peers_table(peers->G, peers->streams, peers->chunks);
    const struct demand saved[] = {{MOTLEY__SAVED_TABLE, INTS(table)},
                                   {MOTLEY__SAVED_BEGIN, INTS(rows->M + 1)}};
    const struct demand scratch[] = {
        {MOTLEY__SCRATCH_SOURCE, INTS(motley__peers_source(peers->R, peers->chunks))},
        {MOTLEY__SCRATCH_EXPERT, INTS(rows->pairs + rows->M_pairs)},
        {MOTLEY__SCRATCH_RECEIVED_ROW, INTS(rows->M_pairs)},
        {MOTLEY__SCRATCH_RECEIVED_WEIGHT, FLOATS(rows->M_pairs)},
    };
    int status = RESERVE(saved, layer, saved, error);

    return status ? status : RESERVE(scratch, layer, scratch, error);
}

/* Take apart what came, and sort it with what stayed. */
static int sort_arrivals(motley_layer *layer, struct motley_error *error)
{
    const struct motley__peers *peers = layer->peers;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    int status = reserve_arrivals(layer, error);

    if (!status)
        status = motley__buffer_write_later(saved[MOTLEY__SAVED_TABLE], 0, peers->table,
                                            INTS(motley__peers_table(peers->G, peers->streams, peers->chunks)), error);
    if (!status)
        status = motley__buffer_write_later(scratch[MOTLEY__SCRATCH_SOURCE], 0, peers->source,
                                            INTS(motley__peers_source(peers->R, peers->chunks)), error);
    if (!status)
        status = motley__arrive(layer->context->device, &(struct motley__arrive){
            .N = layer->rows.pairs, .K = layer->shape.K, .E = motley__layer_lookup_count(layer), .M = layer->rows.M,
            .sources = peers->R, .chunks = motley__layer_chunks(layer), .indices = motley__layer_lookup(layer),
            .source = scratch[MOTLEY__SCRATCH_SOURCE], .list = scratch[MOTLEY__SCRATCH_RECEIVED_LIST],
            .expert = scratch[MOTLEY__SCRATCH_EXPERT], .begin = saved[MOTLEY__SAVED_BEGIN],
            .row = scratch[MOTLEY__SCRATCH_RECEIVED_ROW], .received = scratch[MOTLEY__SCRATCH_RECEIVED_WEIGHT]},
            error);
    return status ? status : sort_by_expert(layer, scratch[MOTLEY__SCRATCH_EXPERT], error);
}

/* Pairs of choices that are experts: all but those that the caller's are not, or that were dropped. */
static int count_pairs(const motley_layer *layer)
{
    int pairs = 0;

    if (layer->capacity)
        return (int)layer->capacity->kept;
    if (!layer->forced)
        return layer->rows.N;
    for (int n = 0; n < layer->rows.N; n++)
        pairs += layer->forced[n] >= 0 && layer->forced[n] < layer->shape.E;
    return pairs;
}

/* Of a chunk's pairs that stay here so many are own tokens'; the others are guests'. */
static int staying(const motley_layer *layer, int chunk, int own)
{
    const int all = layer->E_local ? motley__peers_staying(layer->peers, chunk) : 0;
    const int mine = layer->E_local && layer->gateway && layer->chunks > 1 ? layer->staying[chunk] : all;

    return own ? mine : all - mine;
}

/* How many pairs the local experts have in each batch.  Where nothing travels it is all of them, and the host need not
 * know how many each expert has. */
static void count_batches(motley_layer *layer)
{
    const struct motley__peers *peers = layer->peers;
    const int chunks = layer->chunks, last = layer->batches - 1;
    int *first = layer->batch_first, size[MOTLEY__BATCHES_MOST] = {0};

    if (!peers)
        size[0] = count_pairs(layer);
    for (int c = 0; peers && c < chunks; c++) {
        const struct motley__spans *arrived = &peers->span[MOTLEY__ARRIVED_PAIRS][c];
        const int own = chunks == 1 || c < chunks / 2 ? 0 : last, theirs = chunks == 1 ? 0 : c + 1;

        size[own] += staying(layer, c, 1);
        size[theirs] += staying(layer, c, 0) + (int)(arrived->end - arrived->begin);
    }
    first[0] = 0;
    for (int b = 0; b < layer->batches; b++)
        first[b + 1] = first[b] + size[b];
}

/* Sort what came and what stayed by local expert, without moving a row. */
int motley__forward_place(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    struct motley__row_numbers *rows = &layer->rows;
    int status;

    count_batches(layer);
    rows->P = layer->batch_first[layer->batches];
    status = reserve_pairs(layer, error);
    if (!status && layer->peers)
        status = sort_arrivals(layer, error);
    if (!status)
        status = motley__place(layer->context->device, &(struct motley__place){
            .P = rows->P, .N = rows->pairs, .K = layer->shape.K, .own_rows = rows->tokens,
            .order = scratch[MOTLEY__SCRATCH_ORDER], .weights = motley__layer_weights(layer),
            .row = rows->M ? scratch[MOTLEY__SCRATCH_RECEIVED_ROW] : NULL,
            .received = rows->M ? scratch[MOTLEY__SCRATCH_RECEIVED_WEIGHT] : NULL,
            .index = saved[MOTLEY__SAVED_INDEX],
            .weight = saved[layer->routing.before ? MOTLEY__SAVED_SCALE : MOTLEY__SAVED_PAIR_WEIGHT]}, error);
    return status;
}

/* A pair's row, in both directions. */
static struct motley__rows rows_of(const motley_layer *layer)
{
    return (struct motley__rows){layer->x, layer->saved[MOTLEY__SAVED_RECEIVED], layer->rows.T,
                                 layer->saved[MOTLEY__SAVED_INDEX], layer->shape.dtype};
}

struct motley__rows motley__layer_inputs(const motley_layer *layer)
{
    if (!layer->routing.before)
        return rows_of(layer);
    return (struct motley__rows){.own = layer->saved[MOTLEY__SAVED_SCALED], .own_rows = layer->rows.P,
                                 .dtype = layer->shape.dtype};
}

struct motley__scale motley__layer_scale(const motley_layer *layer, int batch)
{
    const struct motley__ragged ragged = motley__layer_ragged(layer, batch);

    return (struct motley__scale){.first = ragged.first, .P = ragged.P, .D = layer->shape.D, .x = rows_of(layer),
                                  .weight = layer->saved[MOTLEY__SAVED_SCALE]};
}

int motley__forward_experts(void *self, struct motley_error *error)
{
    const struct motley__numbered *batch = self;
    motley_layer *layer = batch->layer;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    int status = 0;

    if (layer->routing.before) {
        const struct motley__scale scale = motley__layer_scale(layer, batch->number);

        status = motley__scale(layer->context->device, &scale, saved[MOTLEY__SAVED_SCALED],
                               saved[MOTLEY__SAVED_PAIR_WEIGHT], error);
    }
    return status ? status : motley__experts_forward(layer->experts, &(struct motley__expert_step){
        .ragged = motley__layer_ragged(layer, batch->number), .x = motley__layer_inputs(layer),
        .pre = layer->trained ? saved[MOTLEY__SAVED_PRE] : NULL,
        .pre3 = layer->trained && layer->experts->w3 ? saved[MOTLEY__SAVED_PRE3] : NULL,
        .h = scratch[MOTLEY__SCRATCH_H], .o = scratch[MOTLEY__SCRATCH_O]}, error);
}

int motley__layer_decode(motley_layer *layer, struct motley__some tokens, const struct motley__buffer *weight,
                         const struct motley__sums *to, struct motley_error *error)
{
    return motley__decode(layer->context->device, &(struct motley__decode){.dtype = layer->shape.dtype,
        .out = to->dtype, .first = tokens.first, .T = tokens.count, .K = layer->shape.K, .D = layer->shape.D,
        .row = to->row,
        .where = layer->saved[MOTLEY__SAVED_WHERE], .o = layer->scratch->buffer[MOTLEY__SCRATCH_O], .weight = weight,
        .returned = motley__layer_returned(layer), .accumulate = to->accumulate, .y = to->y}, error);
}

int motley__forward_decode(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const struct motley__sums y = {layer->shape.dtype, layer->accumulate, 0, layer->y};

    return motley__layer_decode(layer, (struct motley__some){0, layer->rows.T}, layer->saved[MOTLEY__SAVED_PAIR_WEIGHT],
                                &y, error);
}
