/* What the operators between ranks do: rows and lists of pairs out, sums back; in backward dy out, dx and the routing
 * weights' gradients back.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>

#include "layer/encode.h"
#include "layer/state.h"

#define FLOATS(n) ((size_t)(n) * sizeof(float))
#define ROWS(n) motley__layer_stored(layer, (size_t)(n) * (size_t)layer->shape.D)
#define WIRE_ROWS(n) motley__layer_on_wire(layer, (size_t)(n) * (size_t)layer->shape.D)
#define UNITS(rows, pairs) ((size_t)motley__list_units(rows, pairs) * MOTLEY__LIST_UNIT)
/* Of a chunk. */
#define SPAN(which, chunk) (&layer->peers->span[MOTLEY__##which][chunk])

int motley__forward_count(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    int status = motley__peers_sent(layer->peers, layer->counts->mine, error);

    return status ? status : motley__counts_begin(layer->counts, error);
}

/* Rows of the heads of x or dy, of a chunk; those of guests are where they arrived. */
static int encode_rows(motley_layer *layer, int chunk, const struct motley__buffer *x,
                       const struct motley__buffer *guests, struct motley_error *error)
{
    const struct motley__peers *peers = layer->peers;
    const int first = motley__peers_before(peers, peers->row_offsets, chunk);
    const int rows = motley__peers_before(peers, peers->row_offsets, chunk + 1) - first;
    struct motley__buffer **send = &layer->scratch->buffer[MOTLEY__SCRATCH_SEND];
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_SEND, WIRE_ROWS(layer->rows.S), error);

    if (!status)
        status = motley__encode(layer->context->device, &(struct motley__encode){
            .dtype = layer->shape.dtype, .wire = motley__layer_wire(layer), .D = layer->shape.D, .K = layer->shape.K,
            .first = first, .rows = rows, .x = x, .rest = layer->rows.far.M ? guests : NULL, .T = layer->rows.T,
            .order = layer->saved[MOTLEY__SAVED_ROW_ORDER], .send = *send}, error);
    return status;
}

/* The pairs of all chunks: small, and the first thing that other ranks need. */
int motley__forward_list(void *self, struct motley_error *error)
{
    motley_layer *layer = ((const struct motley__numbered *)self)->layer;
    const struct motley__peers *peers = layer->peers;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    struct motley__row_numbers *rows = &layer->rows;
    int status;

    rows->S = motley__peers_before(peers, peers->row_offsets, peers->chunks);
    rows->S_pairs = motley__peers_before(peers, peers->pair_offsets, peers->chunks);
    status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_SEND_LIST, UNITS(rows->S, rows->S_pairs), error);
    if (!status)
        status = motley__encode_pairs(layer->context->device, &(struct motley__encode_pairs){
            .pairs = rows->S_pairs, .name = layer->name,
            .indices = layer->gateway ? motley__layer_lookup(layer) : saved[MOTLEY__SAVED_INDICES],
            .weights = motley__layer_weights(layer), .slots = scratch[MOTLEY__SCRATCH_SLOTS],
            .order = scratch[MOTLEY__SCRATCH_PAIR_ORDER], .pair_offsets = scratch[MOTLEY__SCRATCH_PAIR_OFFSETS],
            .row = saved[MOTLEY__SAVED_SEND_ROW], .row_offsets = scratch[MOTLEY__SCRATCH_ROW_OFFSETS],
            .list = scratch[MOTLEY__SCRATCH_SEND_LIST]}, error);
    return status;
}

int motley__forward_encode(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    int status = chunk->number || layer->gateway ? 0 : motley__forward_list(self, error); /* there an operator */

    return status ? status
                  : encode_rows(layer, chunk->number, layer->x, layer->saved[MOTLEY__SAVED_RECEIVED], error);
}

/* Counts are known at both ends: from here on every buffer has its size. */
static int count_arrivals(motley_layer *layer, struct motley_error *error)
{
    struct motley__row_numbers *rows = &layer->rows;
    const int last = layer->chunks - 1;
    int status;

    layer->peers->guests = rows->far.M;
    status = motley__peers_arrived(layer->peers, layer->counts->theirs, error);
    if (status)
        return status;
    if (rows->N + SPAN(ARRIVED_PAIRS, last)->end > INT_MAX)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "%d own pairs and %lld of other ranks, expected at most %d; "
                            "use smaller batches", rows->N, (long long)SPAN(ARRIVED_PAIRS, last)->end, INT_MAX);
    rows->M = (int)SPAN(ARRIVED_ROWS, last)->end;
    rows->M_pairs = (int)SPAN(ARRIVED_PAIRS, last)->end;
    rows->B = (int)SPAN(BACK_ROWS, last)->end;
    rows->B_pairs = (int)SPAN(BACK_PAIRS, last)->end;
    status = motley__layer_saved_reserve(layer, MOTLEY__SAVED_RECEIVED, ROWS((size_t)rows->far.M + (size_t)rows->M),
                                         error);
    if (!status)
        status = motley__layer_reserve_arrivals(layer, error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_RECEIVED_LIST, UNITS(rows->M, rows->M_pairs),
                                               error);
    return status;
}

int motley__forward_lists(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **scratch = layer->scratch->buffer;
    int status = count_arrivals(layer, error);

    for (int c = 0; c < layer->chunks && !status; c++)
        status = motley__transfer_begin(layer->lists[c], (struct motley__part[]){
            {scratch[MOTLEY__SCRATCH_SEND_LIST], SPAN(SENT_LIST, c), scratch[MOTLEY__SCRATCH_RECEIVED_LIST],
             SPAN(ARRIVED_LIST, c)}}, error);
    return status;
}

int motley__layer_transfers_test(struct motley__transfer *const *transfer, int count, int *done,
                                 struct motley_error *error)
{
    int one, status = 0;

    *done = 1;
    for (int c = 0; c < count && !status; c++) {
        status = motley__transfer_test(transfer[c], &one, error);
        *done &= one;
    }
    return status;
}

void motley__layer_transfers_missing(struct motley__transfer *const *transfer, int count, char *text, int size)
{
    text[0] = 0;
    for (int c = 0; c < count && !text[0]; c++)
        motley__transfer_missing(transfer[c], text, size);
}

int motley__forward_lists_test(void *self, int *done, struct motley_error *error)
{
    motley_layer *layer = self;

    return motley__layer_transfers_test(layer->lists, layer->chunks, done, error);
}

void motley__forward_lists_missing(const void *self, char *text, int size)
{
    const motley_layer *layer = self;

    motley__layer_transfers_missing(layer->lists, layer->chunks, text, size);
}

int motley__forward_dispatch(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    const int c = chunk->number;

    return motley__transfer_begin(layer->dispatch[c], (struct motley__part[]){
        {layer->scratch->buffer[MOTLEY__SCRATCH_SEND], SPAN(SENT_ROWS, c),
         motley__layer_arrivals(layer, layer->saved[MOTLEY__SAVED_RECEIVED]), SPAN(PLACED_ROWS, c)}}, error);
}

struct motley__buffer *motley__layer_arrivals(const motley_layer *layer, struct motley__buffer *received)
{
    return motley__layer_narrows(layer) ? layer->scratch->buffer[MOTLEY__SCRATCH_ARRIVED] : received;
}

int motley__layer_reserve_arrivals(motley_layer *layer, struct motley_error *error)
{
    const size_t rows = (size_t)layer->rows.far.M + (size_t)layer->rows.M;

    return motley__layer_narrows(layer)
               ? motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_ARRIVED, WIRE_ROWS(rows), error) : 0;
}

int motley__layer_widen(motley_layer *layer, const struct motley__spans *span, struct motley__buffer *received,
                        struct motley_error *error)
{
    return motley__widen(layer->context->device, &(struct motley__widen){
        .dtype = layer->shape.dtype, .wire = motley__layer_wire(layer), .D = layer->shape.D,
        .first = (int)span->begin, .rows = (int)(span->end - span->begin),
        .arrived = layer->scratch->buffer[MOTLEY__SCRATCH_ARRIVED], .x = received}, error);
}

int motley__forward_widen(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;

    return motley__layer_widen(layer, SPAN(PLACED_ROWS, chunk->number), layer->saved[MOTLEY__SAVED_RECEIVED], error);
}

/* Rows of a chunk to give back: of each received row the sum over its pairs. */
static int combine_rows(motley_layer *layer, int chunk, const struct motley__buffer *weight, struct motley_error *error)
{
    const int64_t first = SPAN(ARRIVED_ROWS, chunk)->begin, end = SPAN(ARRIVED_ROWS, chunk)->end;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_BACK, WIRE_ROWS(layer->rows.M), error);

    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_RETURNED, WIRE_ROWS(layer->rows.B), error);
    if (!status)
        status = motley__combine(layer->context->device, &(struct motley__combine){
            .dtype = layer->shape.dtype, .wire = motley__layer_wire(layer), .row = (int)first,
            .rows = (int)(end - first), .D = layer->shape.D, .first = layer->rows.pairs,
            .o = scratch[MOTLEY__SCRATCH_O], .begin = saved[MOTLEY__SAVED_BEGIN], .where = saved[MOTLEY__SAVED_WHERE],
            .weight = weight, .returned = scratch[MOTLEY__SCRATCH_BACK]}, error);
    return status;
}

int motley__forward_weigh(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;

    return combine_rows(chunk->layer, chunk->number, chunk->layer->saved[MOTLEY__SAVED_PAIR_WEIGHT], error);
}

int motley__forward_combine(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    struct motley__buffer **scratch = layer->scratch->buffer;
    const int c = chunk->number;

    return motley__transfer_begin(layer->combine[c], (struct motley__part[]){
        {scratch[MOTLEY__SCRATCH_BACK], SPAN(ARRIVED_ROWS, c), scratch[MOTLEY__SCRATCH_RETURNED], SPAN(BACK_ROWS, c)}},
        error);
}

struct motley__chunks motley__layer_chunks(const motley_layer *layer)
{
    struct motley__chunks chunks = motley__chunks_of(layer->rows.T, layer->chunks);

    if (layer->gateway)
        chunks.own = layer->rows.T;
    for (int c = 1; layer->gateway && c < layer->chunks; c++)
        chunks.guests[c] = (int)layer->gateway->peers->span[MOTLEY__ARRIVED_ROWS][c].begin;
    return chunks;
}

struct motley__returned motley__layer_returned(const motley_layer *layer)
{
    struct motley__buffer *const *saved = layer->saved, *const *scratch = layer->scratch->buffer;

    if (!layer->rows.B)
        return (struct motley__returned){0};
    return (struct motley__returned){.groups = layer->peers->G, .streams = layer->peers->streams,
        .chunks = motley__layer_chunks(layer),
        .indices = motley__layer_lookup(layer), .server = layer->server, .row = saved[MOTLEY__SAVED_SEND_ROW],
        .pair = saved[MOTLEY__SAVED_GROUP_PLACE], .table = saved[MOTLEY__SAVED_TABLE],
        .rows = scratch[MOTLEY__SCRATCH_RETURNED], .wire = motley__layer_wire(layer),
        .scalars = scratch[MOTLEY__SCRATCH_RETURNED_SCALARS]};
}

/* dy rows go where x rows went. */
int motley__backward_encode(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    const size_t rows = (size_t)layer->rows.far.M + (size_t)layer->rows.M;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_DY, ROWS(rows), error);

    if (!status)
        status = motley__layer_reserve_arrivals(layer, error);
    return status ? status
                  : encode_rows(layer, chunk->number, layer->dy, layer->scratch->buffer[MOTLEY__SCRATCH_DY], error);
}

int motley__backward_dispatch(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    struct motley__buffer **scratch = layer->scratch->buffer;
    const int c = chunk->number;

    return motley__transfer_begin(layer->dispatch_back[c], (struct motley__part[]){
        {scratch[MOTLEY__SCRATCH_SEND], SPAN(SENT_ROWS, c), motley__layer_arrivals(layer, scratch[MOTLEY__SCRATCH_DY]),
         SPAN(PLACED_ROWS, c)}}, error);
}

int motley__backward_widen(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;

    return motley__layer_widen(layer, SPAN(PLACED_ROWS, chunk->number), layer->scratch->buffer[MOTLEY__SCRATCH_DY],
                               error);
}

/* dx of each received row of a chunk, and the gradient of the routing weight of each received pair. */
int motley__backward_gather(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    const struct motley__row_numbers *rows = &layer->rows;
    const struct motley__spans *pairs = SPAN(ARRIVED_PAIRS, chunk->number);
    struct motley__buffer **scratch = layer->scratch->buffer;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_BACK_SCALARS, FLOATS(rows->M_pairs), error);

    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_RETURNED_SCALARS, FLOATS(rows->B_pairs), error);
    if (!status)
        status = combine_rows(layer, chunk->number, NULL, error);
    if (!status)
        status = motley__combine_scalars(layer->context->device, (int)pairs->begin, (int)(pairs->end - pairs->begin),
                                         rows->pairs, scratch[MOTLEY__SCRATCH_DW], layer->saved[MOTLEY__SAVED_WHERE],
                                         scratch[MOTLEY__SCRATCH_BACK_SCALARS], error);
    return status;
}

int motley__backward_combine(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    struct motley__buffer **scratch = layer->scratch->buffer;
    const int c = chunk->number;

    return motley__transfer_begin(layer->combine_back[c], (struct motley__part[]){
        {scratch[MOTLEY__SCRATCH_BACK], SPAN(ARRIVED_ROWS, c), scratch[MOTLEY__SCRATCH_RETURNED], SPAN(BACK_ROWS, c)},
        {scratch[MOTLEY__SCRATCH_BACK_SCALARS], SPAN(ARRIVED_PAIRS, c), scratch[MOTLEY__SCRATCH_RETURNED_SCALARS],
         SPAN(BACK_PAIRS, c)}}, error);
}
