/* What the operators between nodes do, in both directions; the line is in gateway.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>

#include "layer/encode.h"
#include "layer/guests.h"
#include "layer/route.h"
#include "layer/state.h"

#define FLOATS(n) ((size_t)(n) * sizeof(float))
#define INTS(n) ((size_t)(n) * sizeof(int))
#define ROWS(n) motley__layer_stored(layer, (size_t)(n) * (size_t)layer->shape.D)
#define WIRE_ROWS(n) motley__layer_on_wire(layer, (size_t)(n) * (size_t)layer->shape.D)
#define UNITS(rows, pairs) ((size_t)motley__list_units(rows, pairs) * MOTLEY__LIST_UNIT)
/* Of a chunk. */
#define SPAN(which, chunk) (&layer->gateway->peers->span[MOTLEY__##which][chunk])

static int reserve_route(motley_layer *layer, struct motley_error *error)
{
    const int N = layer->rows.N, slots = layer->chunks * layer->gateway->peers->G;
    const struct { enum motley__saved_buffer which; size_t bytes; } saved[] = {
        {MOTLEY__SAVED_FAR_PLACE, INTS(N)}, {MOTLEY__SAVED_FAR_ROW_ORDER, INTS(N)},
        {MOTLEY__SAVED_FAR_SEND_ROW, INTS(N)}};
    const struct { enum motley__scratch_buffer which; size_t bytes; } scratch[] = {
        {MOTLEY__SCRATCH_FAR_SLOTS, INTS(N)}, {MOTLEY__SCRATCH_FAR_HEADS, INTS(N)},
        {MOTLEY__SCRATCH_FAR_PAIR_ORDER, INTS(N)}, {MOTLEY__SCRATCH_FAR_PAIR_OFFSETS, INTS(slots + 1)},
        {MOTLEY__SCRATCH_FAR_ROW_OFFSETS, INTS(slots + 1)},
        {MOTLEY__SCRATCH_FAR_HISTOGRAM, motley__route_scratch_bytes(N, slots)}};
    int status = 0;

    for (size_t i = 0; !status && i < sizeof saved / sizeof *saved; i++)
        status = motley__layer_saved_reserve(layer, saved[i].which, saved[i].bytes, error);
    for (size_t i = 0; !status && i < sizeof scratch / sizeof *scratch; i++)
        status = motley__layer_scratch_reserve(layer, scratch[i].which, scratch[i].bytes, error);
    return status;
}

/* Pairs, and the first of each token for a set of nodes, by chunk and set. */
static int sort_by_set(motley_layer *layer, struct motley_error *error)
{
    const struct motley__gateway *gateway = layer->gateway;
    const int N = layer->rows.N, sets = gateway->peers->G, slots = layer->chunks * sets;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    const struct motley__heads heads = {.N = N, .K = layer->shape.K, .groups = sets, .sent = gateway->peers->sent,
        .every = layer->plan->options.duplicate, .chunks = motley__chunks_of(layer->rows.T, layer->chunks),
        .indices = motley__layer_own_choices(layer), .server = gateway->server,
        .slots = scratch[MOTLEY__SCRATCH_FAR_SLOTS], .heads = scratch[MOTLEY__SCRATCH_FAR_HEADS]};
    const struct motley__route pairs = {.N = N, .E = slots, .slots = slots, .indices = heads.slots,
        .histogram = scratch[MOTLEY__SCRATCH_FAR_HISTOGRAM], .order = scratch[MOTLEY__SCRATCH_FAR_PAIR_ORDER],
        .where = saved[MOTLEY__SAVED_FAR_PLACE], .offsets = scratch[MOTLEY__SCRATCH_FAR_PAIR_OFFSETS]};
    const struct motley__route rows = {.N = N, .E = slots, .slots = slots, .indices = heads.heads,
        .histogram = pairs.histogram, .order = saved[MOTLEY__SAVED_FAR_ROW_ORDER],
        .where = saved[MOTLEY__SAVED_FAR_SEND_ROW], .offsets = scratch[MOTLEY__SCRATCH_FAR_ROW_OFFSETS]};

    return motley__layer_sort(layer, &heads, &pairs, &rows, gateway->peers, error);
}

int motley__forward_route_far(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    int status = reserve_route(layer, error);

    if (!status && layer->capacity) /* before anything crosses */
        status = motley__drop(layer, error);
    if (!status)
        status = motley__layer_choose_lots(layer, error);
    return status ? status : sort_by_set(layer, error);
}

int motley__forward_list_far(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const struct motley__peers *peers = layer->gateway->peers;
    struct motley__far_numbers *far = &layer->rows.far;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    int status;

    far->S = motley__peers_before(peers, peers->row_offsets, peers->chunks);
    far->S_pairs = motley__peers_before(peers, peers->pair_offsets, peers->chunks);
    status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_SEND_LIST, UNITS(far->S, far->S_pairs), error);
    if (!status)
        status = motley__encode_pairs(layer->context->device, &(struct motley__encode_pairs){
            .pairs = far->S_pairs, .indices = motley__layer_own_choices(layer), .name = layer->gateway->name,
            .weights = saved[MOTLEY__SAVED_WEIGHTS],
            .slots = scratch[MOTLEY__SCRATCH_FAR_SLOTS], .order = scratch[MOTLEY__SCRATCH_FAR_PAIR_ORDER],
            .pair_offsets = scratch[MOTLEY__SCRATCH_FAR_PAIR_OFFSETS], .row = saved[MOTLEY__SAVED_FAR_SEND_ROW],
            .row_offsets = scratch[MOTLEY__SCRATCH_FAR_ROW_OFFSETS], .list = scratch[MOTLEY__SCRATCH_FAR_SEND_LIST]},
            error);
    return status;
}

int motley__forward_count_far(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    int status = motley__peers_sent(layer->gateway->peers, layer->gateway->counts->mine, error);

    return status ? status : motley__counts_begin(layer->gateway->counts, error);
}

/* Counts are known: so many guests come. */
static int count_guests(motley_layer *layer, struct motley_error *error)
{
    struct motley__row_numbers *rows = &layer->rows;
    const int last = layer->chunks - 1;
    int status = motley__peers_arrived(layer->gateway->peers, layer->gateway->counts->theirs, error);

    if (status)
        return status;
    rows->far.M = (int)SPAN(ARRIVED_ROWS, last)->end;
    rows->far.M_pairs = (int)SPAN(ARRIVED_PAIRS, last)->end;
    rows->far.B = (int)SPAN(BACK_ROWS, last)->end;
    rows->far.B_pairs = (int)SPAN(BACK_PAIRS, last)->end;
    if (((int64_t)rows->T + rows->far.M) * layer->shape.K > INT_MAX)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "%d own tokens and %d of other nodes with %d experts each "
                            "pass 2^31 routed rows on one rank; use more ranks or smaller batches", rows->T,
                            rows->far.M, layer->shape.K);
    rows->tokens = rows->T + rows->far.M;
    rows->pairs = rows->tokens * layer->shape.K;
    return 0;
}

int motley__forward_lists_far(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const struct motley__far_numbers *far = &layer->rows.far;
    struct motley__buffer **scratch = layer->scratch->buffer;
    int status = count_guests(layer, error);

    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_RECEIVED_LIST, UNITS(far->M, far->M_pairs),
                                               error);
    for (int c = 0; c < layer->chunks && !status; c++)
        status = motley__transfer_begin(layer->gateway->lists[c], &(struct motley__part){
            .send = scratch[MOTLEY__SCRATCH_FAR_SEND_LIST], .out = SPAN(SENT_LIST, c),
            .received = scratch[MOTLEY__SCRATCH_FAR_RECEIVED_LIST], .in = SPAN(ARRIVED_LIST, c)}, error);
    return status;
}

int motley__forward_lists_far_test(void *self, int *done, struct motley_error *error)
{
    motley_layer *layer = self;

    return motley__layer_transfers_test(layer->gateway->lists, layer->chunks, done, error);
}

void motley__forward_lists_far_missing(const void *self, char *text, int size)
{
    const motley_layer *layer = self;

    motley__layer_transfers_missing(layer->gateway->lists, layer->chunks, text, size);
}

static int reserve_guests(motley_layer *layer, struct motley_error *error)
{
    const struct motley__peers *peers = layer->gateway->peers;
    const struct motley__row_numbers *rows = &layer->rows;
    int status = motley__layer_saved_reserve(layer, MOTLEY__SAVED_FAR_INDICES, INTS(rows->pairs), error);

    if (!status)
        status = motley__layer_saved_reserve(layer, MOTLEY__SAVED_FAR_AT, INTS(rows->far.M_pairs), error);
    if (!status)
        status = motley__layer_saved_reserve(layer, MOTLEY__SAVED_FAR_TABLE,
                                             INTS(motley__peers_table(peers->G, peers->streams, peers->chunks)), error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_WEIGHTS, FLOATS(rows->pairs), error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_SOURCE,
                                               INTS(motley__peers_source(peers->R, peers->chunks)), error);
    return status;
}

int motley__forward_guests(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const struct motley__peers *peers = layer->gateway->peers, *near = layer->peers;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    int status = reserve_guests(layer, error);

    if (!status)
        status = motley__buffer_write_later(saved[MOTLEY__SAVED_FAR_TABLE], 0, peers->table,
                                            INTS(motley__peers_table(peers->G, peers->streams, peers->chunks)), error);
    if (!status)
        status = motley__buffer_write_later(scratch[MOTLEY__SCRATCH_FAR_SOURCE], 0, peers->source,
                                            INTS(motley__peers_source(peers->R, peers->chunks)), error);
    if (!status)
        status = motley__guests(layer->context->device, &(struct motley__guests){
            .N = layer->rows.N, .K = layer->shape.K, .M = layer->rows.far.M,
            .sections = peers->chunks * peers->R,
            .first = near->lots > 1 ? motley__peers_choices(near) - near->named : 0,
            .own_indices = motley__layer_own_choices(layer), .own_weights = saved[MOTLEY__SAVED_WEIGHTS],
            .source = scratch[MOTLEY__SCRATCH_FAR_SOURCE], .list = scratch[MOTLEY__SCRATCH_FAR_RECEIVED_LIST],
            .indices = saved[MOTLEY__SAVED_FAR_INDICES], .weights = scratch[MOTLEY__SCRATCH_FAR_WEIGHTS],
            .at = saved[MOTLEY__SAVED_FAR_AT]}, error);
    return status;
}

/* Rows of x or dy that cross, of all chunks. */
static int encode_rows(motley_layer *layer, const struct motley__buffer *x, struct motley_error *error)
{
    const int rows = layer->rows.far.S;
    struct motley__buffer **send = &layer->scratch->buffer[MOTLEY__SCRATCH_FAR_SEND];
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_SEND, WIRE_ROWS(rows), error);

    if (!status)
        status = motley__encode(layer->context->device, &(struct motley__encode){
            .dtype = layer->shape.dtype, .wire = motley__layer_wire(layer), .D = layer->shape.D, .K = layer->shape.K,
            .rows = rows, .x = x, .order = layer->saved[MOTLEY__SAVED_FAR_ROW_ORDER], .send = *send}, error);
    return status;
}

int motley__forward_encode_far(void *self, struct motley_error *error)
{
    motley_layer *layer = ((const struct motley__numbered *)self)->layer;

    return encode_rows(layer, layer->x, error);
}

/* A chunk out to the nodes: guests are the first rows of what is received. */
static int dispatch_rows(motley_layer *layer, int chunk, struct motley__transfer *transfer,
                         struct motley__buffer *received, struct motley_error *error)
{
    return motley__transfer_begin(transfer, &(struct motley__part){
        .send = layer->scratch->buffer[MOTLEY__SCRATCH_FAR_SEND], .out = SPAN(SENT_ROWS, chunk),
        .received = motley__layer_arrivals(layer, received), .in = SPAN(ARRIVED_ROWS, chunk)}, error);
}

int motley__forward_dispatch_far(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;

    return dispatch_rows(layer, chunk->number, layer->gateway->dispatch[chunk->number],
                         layer->saved[MOTLEY__SAVED_RECEIVED], error);
}

/* What crossed narrow. */
int motley__forward_widen_far(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;

    return motley__layer_widen(layer, SPAN(ARRIVED_ROWS, chunk->number), layer->saved[MOTLEY__SAVED_RECEIVED], error);
}

int motley__backward_widen_far(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;

    return motley__layer_widen(layer, SPAN(ARRIVED_ROWS, chunk->number), layer->scratch->buffer[MOTLEY__SCRATCH_DY],
                               error);
}

/* A chunk's guests, as tokens of the exchange inside the node. */
static struct motley__some guests_of(const motley_layer *layer, int chunk)
{
    const struct motley__spans *rows = SPAN(ARRIVED_ROWS, chunk);

    return (struct motley__some){layer->rows.T + (int)rows->begin, (int)(rows->end - rows->begin)};
}

/* The node's sums for a chunk's guests, and room for those of other nodes. */
static int decode_guests(motley_layer *layer, int chunk, const struct motley__buffer *weight,
                         struct motley_error *error)
{
    const struct motley__far_numbers *far = &layer->rows.far;
    struct motley__buffer **back = &layer->scratch->buffer[MOTLEY__SCRATCH_FAR_BACK];
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_BACK, WIRE_ROWS(far->M), error);

    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_RETURNED, WIRE_ROWS(far->B), error);
    if (!status) {
        const struct motley__sums to = {motley__layer_wire(layer), 0, (int)SPAN(ARRIVED_ROWS, chunk)->begin, *back};

        status = motley__layer_decode(layer, guests_of(layer, chunk), weight, &to, error);
    }
    return status;
}

int motley__forward_decode_guests(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;

    return decode_guests(chunk->layer, chunk->number, chunk->layer->saved[MOTLEY__SAVED_PAIR_WEIGHT], error);
}

int motley__forward_combine_far(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    struct motley__buffer **scratch = layer->scratch->buffer;
    const int c = chunk->number;

    return motley__transfer_begin(layer->gateway->combine[c], &(struct motley__part){
        .send = scratch[MOTLEY__SCRATCH_FAR_BACK], .out = SPAN(ARRIVED_ROWS, c),
        .received = scratch[MOTLEY__SCRATCH_FAR_RETURNED], .in = SPAN(BACK_ROWS, c)}, error);
}

/* What came back from other nodes is added to y. */
static struct motley__decode decode_far(const motley_layer *layer, struct motley__buffer *y)
{
    const struct motley__gateway *gateway = layer->gateway;
    struct motley__buffer *const *saved = layer->saved, *const *scratch = layer->scratch->buffer;

    return (struct motley__decode){
        .dtype = layer->shape.dtype, .out = layer->shape.dtype, .T = layer->rows.T, .K = layer->shape.K,
        .D = layer->shape.D, .accumulate = 1, .y = y,
        .returned = {.groups = gateway->peers->G, .streams = gateway->peers->streams,
            .chunks = motley__chunks_of(layer->rows.T, layer->chunks), .indices = motley__layer_own_choices(layer),
            .server = gateway->server, .row = saved[MOTLEY__SAVED_FAR_SEND_ROW], .pair = saved[MOTLEY__SAVED_FAR_PLACE],
            .table = saved[MOTLEY__SAVED_FAR_TABLE], .rows = scratch[MOTLEY__SCRATCH_FAR_RETURNED],
            .wire = motley__layer_wire(layer), .scalars = scratch[MOTLEY__SCRATCH_FAR_RETURNED_SCALARS]}};
}

int motley__forward_decode_far(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const struct motley__decode decode = decode_far(layer, layer->y);

    return layer->rows.far.B ? motley__decode(layer->context->device, &decode, error) : 0;
}

int motley__backward_encode_far(void *self, struct motley_error *error)
{
    motley_layer *layer = ((const struct motley__numbered *)self)->layer;
    const size_t rows = (size_t)layer->rows.far.M + (size_t)layer->rows.M;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_DY, ROWS(rows), error);

    if (!status)
        status = motley__layer_reserve_arrivals(layer, error);
    return status ? status : encode_rows(layer, layer->dy, error);
}

int motley__backward_dispatch_far(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;

    return dispatch_rows(layer, chunk->number, layer->gateway->dispatch_back[chunk->number],
                         layer->scratch->buffer[MOTLEY__SCRATCH_DY], error);
}

int motley__backward_decode_guests(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    const struct motley__far_numbers *far = &layer->rows.far;
    const struct motley__spans *pairs = SPAN(ARRIVED_PAIRS, chunk->number);
    struct motley__buffer **scratch = layer->scratch->buffer;
    int status = decode_guests(layer, chunk->number, NULL, error);

    if (!status)
        status = motley__layer_decode_scalars(layer, guests_of(layer, chunk->number), error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_BACK_SCALARS, FLOATS(far->M_pairs), error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FAR_RETURNED_SCALARS, FLOATS(far->B_pairs),
                                               error);
    if (!status)
        status = motley__combine_scalars(layer->context->device, (int)pairs->begin, (int)(pairs->end - pairs->begin),
                                         0, scratch[MOTLEY__SCRATCH_DWEIGHTS], layer->saved[MOTLEY__SAVED_FAR_AT],
                                         scratch[MOTLEY__SCRATCH_FAR_BACK_SCALARS], error);
    return status;
}

int motley__backward_combine_far(void *self, struct motley_error *error)
{
    const struct motley__numbered *chunk = self;
    motley_layer *layer = chunk->layer;
    struct motley__buffer **scratch = layer->scratch->buffer;
    const int c = chunk->number;

    return motley__transfer_begin(layer->gateway->combine_back[c], (struct motley__part[]){
        {.send = scratch[MOTLEY__SCRATCH_FAR_BACK], .out = SPAN(ARRIVED_ROWS, c),
         .received = scratch[MOTLEY__SCRATCH_FAR_RETURNED], .in = SPAN(BACK_ROWS, c)},
        {.send = scratch[MOTLEY__SCRATCH_FAR_BACK_SCALARS], .out = SPAN(ARRIVED_PAIRS, c),
         .received = scratch[MOTLEY__SCRATCH_FAR_RETURNED_SCALARS], .in = SPAN(BACK_PAIRS, c)}}, error);
}

int motley__backward_decode_far(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const struct motley__decode decode = decode_far(layer, layer->dx);
    int status = 0;

    if (!layer->rows.far.B)
        return 0;
    status = motley__decode(layer->context->device, &decode, error);
    return status ? status : motley__decode_scalars(layer->context->device, &decode, NULL,
                                                    layer->scratch->buffer[MOTLEY__SCRATCH_DWEIGHTS], error);
}
