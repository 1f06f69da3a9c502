/* What each operator of the forward list does.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "layer/decode.h"
#include "layer/gate.h"
#include "layer/losses.h"
#include "layer/route.h"
#include "layer/state.h"

#define FLOATS(n) ((size_t)(n) * sizeof(float))
#define STORED(n) motley__layer_stored(layer, (size_t)(n))
#define INTS(n) ((size_t)(n) * sizeof(int))

static int reserve_routing(motley_layer *layer, struct motley_error *error)
{
    const int T = layer->rows.T, E = layer->shape.E, K = layer->shape.K, N = layer->rows.N;
    const size_t saved[][2] = {
        {MOTLEY__SAVED_INDICES, INTS(N)}, {MOTLEY__SAVED_WEIGHTS, FLOATS(N)}, {MOTLEY__SAVED_P, FLOATS((size_t)T * E)},
        {MOTLEY__SAVED_LSE, FLOATS(T)}, {MOTLEY__SAVED_ORDER, INTS(N)}, {MOTLEY__SAVED_WHERE, INTS(N)},
        {MOTLEY__SAVED_SLOT_OFFSETS, INTS(E + 1)},
    };
    int status = 0;

    for (size_t i = 0; !status && i < sizeof saved / sizeof *saved; i++)
        status = motley__layer_saved_reserve(layer, (enum motley__saved_buffer)saved[i][0], saved[i][1], error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_LOGITS,
                                               motley__gate_scratch_bytes(layer->context->device, T, E), error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_HISTOGRAM, motley__route_scratch_bytes(T, K, E),
                                               error);
    if (!status && layer->forced)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_FORCED, INTS(N), error);
    return status;
}

int motley__forward_gate(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    const struct motley_layer_shape *shape = &layer->shape;
    int status = reserve_routing(layer, error);

    if (!status && layer->forced)
        status = motley__buffer_write_later(scratch[MOTLEY__SCRATCH_FORCED], 0, layer->forced, INTS(layer->rows.N),
                                            error);
    if (!status)
        status = motley__gate_forward(layer->context->device, &(struct motley__gate_forward){
            .dtype = shape->dtype, .T = layer->rows.T, .D = shape->D, .E = shape->E, .K = shape->K,
            .normalize = shape->normalize,
            .x = layer->x, .w = layer->gate->w, .forced = layer->forced ? scratch[MOTLEY__SCRATCH_FORCED] : NULL,
            .logits = scratch[MOTLEY__SCRATCH_LOGITS], .p = saved[MOTLEY__SAVED_P], .lse = saved[MOTLEY__SAVED_LSE],
            .indices = saved[MOTLEY__SAVED_INDICES], .weights = saved[MOTLEY__SAVED_WEIGHTS]}, error);
    return status;
}

/* Sort the pairs, and with other ranks bring the slots' offsets to the host: the exchange counts by them. */
int motley__forward_route(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **saved = layer->saved;
    int status;

    status = motley__route(layer->context->device, &(struct motley__route){
        .T = layer->rows.T, .K = layer->shape.K, .E = layer->shape.E, .indices = saved[MOTLEY__SAVED_INDICES],
        .slot = layer->slot, .histogram = layer->scratch->buffer[MOTLEY__SCRATCH_HISTOGRAM],
        .order = saved[MOTLEY__SAVED_ORDER], .where = saved[MOTLEY__SAVED_WHERE],
        .offsets = saved[MOTLEY__SAVED_SLOT_OFFSETS]}, error);
    if (!status && layer->counts)
        status = motley__buffer_read_later(saved[MOTLEY__SAVED_SLOT_OFFSETS], 0, layer->slot_offsets,
                                           INTS(layer->shape.E + 1), error);
    return status;
}

int motley__forward_losses(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const int E = layer->shape.E;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_SUMS, FLOATS(2 * E + 2), error);

    if (!status)
        status = motley__losses_sums(layer->context->device, layer->rows.T, E, layer->shape.K,
                                     layer->saved[MOTLEY__SAVED_P], layer->saved[MOTLEY__SAVED_LSE],
                                     layer->saved[MOTLEY__SAVED_INDICES], layer->scratch->buffer[MOTLEY__SCRATCH_SUMS],
                                     error);
    if (!status)
        status = motley__buffer_read_later(layer->scratch->buffer[MOTLEY__SCRATCH_SUMS], 0, layer->loss_host,
                                           FLOATS(2 * E + 2), error);
    return status;
}

int motley__forward_share_losses(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const int n = 2 * layer->shape.E + 2;

    for (int i = 0; i < n; i++)
        layer->loss_sums[i] = layer->loss_host[i];
    return motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, layer->loss_sums, n, MPI_DOUBLE, MPI_SUM,
                                                  layer->context->comm, &layer->loss_request), "MPI_Iallreduce");
}

int motley__forward_share_losses_test(void *self, int *done, struct motley_error *error)
{
    motley_layer *layer = self;
    int status = motley__fail_mpi(error, MPI_Test(&layer->loss_request, done, MPI_STATUS_IGNORE), "MPI_Test");

    if (!status && *done)
        motley__losses_value(layer->shape.E, layer->loss_sums, layer->losses.balance_coefficient,
                             &layer->losses.balance, &layer->losses.z, layer->balance_host);
    return status;
}

int motley__forward_count(void *self, struct motley_error *error)
{
    motley_layer *layer = self;

    for (int s = 0; s < layer->shape.E; s++)
        layer->counts->mine[s] = layer->slot_offsets[s + 1] - layer->slot_offsets[s];
    return motley__counts_begin(layer->counts, error);
}

/* Gather the rows for other ranks. */
int motley__forward_encode(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **scratch = layer->scratch->buffer;
    struct motley__row_numbers *rows = &layer->rows;
    int status;

    rows->own_begin = layer->slot_offsets[layer->first_slot];
    rows->own_end = layer->slot_offsets[layer->first_slot + layer->E_local];
    rows->S = rows->N - (rows->own_end - rows->own_begin);
    status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_SEND, STORED((size_t)rows->S * layer->shape.D),
                                           error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_SEND_SCALARS, FLOATS(rows->S), error);
    if (!status)
        status = motley__encode(layer->context->device, &(struct motley__encode){
            .dtype = layer->shape.dtype, .D = layer->shape.D, .K = layer->shape.K, .rows = rows->S,
            .own_begin = rows->own_begin,
            .own_end = rows->own_end, .x = layer->x, .weights = layer->saved[MOTLEY__SAVED_WEIGHTS],
            .order = layer->saved[MOTLEY__SAVED_ORDER], .send = scratch[MOTLEY__SCRATCH_SEND],
            .send_weights = scratch[MOTLEY__SCRATCH_SEND_SCALARS]}, error);
    return status;
}

/* Counts are known at both ends: from here on every buffer has its size. */
static void number_rows(motley_layer *layer)
{
    const int *first_slot = layer->plan->first_slot, R = layer->plan->R, me = layer->context->rank;

    layer->rows.M = 0;
    for (int r = 0; r < R; r++) {
        layer->send_rows[r] = r == me ? 0 : layer->slot_offsets[first_slot[r + 1]] - layer->slot_offsets[first_slot[r]];
        layer->receive_rows[r] = 0;
        for (int e = 0; r != me && e < layer->E_local; e++)
            layer->receive_rows[r] += layer->counts->theirs[(size_t)r * (size_t)layer->E_local + (size_t)e];
        layer->rows.M += layer->receive_rows[r];
    }
}

int motley__forward_dispatch(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **scratch = layer->scratch->buffer;
    int status;

    number_rows(layer);
    status = motley__layer_saved_reserve(layer, MOTLEY__SAVED_RECEIVED,
                                         STORED((size_t)layer->rows.M * (size_t)layer->shape.D), error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_RECEIVED_SCALARS, FLOATS(layer->rows.M), error);
    if (!status)
        status = motley__transfer_begin(layer->dispatch, (struct motley__part[]){
            {scratch[MOTLEY__SCRATCH_SEND], layer->saved[MOTLEY__SAVED_RECEIVED]},
            {scratch[MOTLEY__SCRATCH_SEND_SCALARS], scratch[MOTLEY__SCRATCH_RECEIVED_SCALARS]}}, layer->send_rows,
            layer->receive_rows, error);
    return status;
}

/* Where each run of rows of one source and one expert goes: by expert, then by source. */
static void make_segments(motley_layer *layer)
{
    const int R = layer->plan->R, me = layer->context->rank;
    int pair = 0;

    for (int s = 0; s < R; s++)
        layer->cursor[s] = s == me ? layer->slot_offsets[layer->first_slot]
                                   : (int)motley__group_first(layer->receive_rows, s);
    layer->segment_count = 0;
    for (int e = 0; e < layer->E_local; e++) {
        layer->offsets[e] = pair;
        for (int s = 0; s < R; s++) {
            int count = layer->counts->theirs[(size_t)s * (size_t)layer->E_local + (size_t)e];

            if (!count)
                continue;
            layer->segments[layer->segment_count++] = (struct motley__segment){pair, count, layer->cursor[s], s == me};
            layer->cursor[s] += count;
            pair += count;
        }
    }
    layer->offsets[layer->E_local] = pair;
    layer->rows.P = pair;
}

/* One rank: the sorted pairs are the experts' pairs, so the device has it all and the host need not know the counts. */
static void keep_own_pairs(motley_layer *layer)
{
    struct motley__row_numbers *rows = &layer->rows;

    rows->own_begin = rows->S = rows->M = 0;
    rows->own_end = rows->P = rows->N;
    layer->segment_count = 0;
}

/* What the host found of other ranks' rows, to the device. */
static int write_arrivals(motley_layer *layer, struct motley_error *error)
{
    const size_t bytes = (size_t)layer->segment_count * sizeof *layer->segments;
    int status = motley__buffer_write_later(layer->saved[MOTLEY__SAVED_OFFSETS], 0, layer->offsets,
                                            INTS(layer->E_local + 1), error);

    if (!status && layer->segment_count)
        status = motley__buffer_write_later(layer->scratch->buffer[MOTLEY__SCRATCH_SEGMENTS], 0, layer->segments, bytes,
                                            error);
    return status;
}

static int reserve_pairs(motley_layer *layer, struct motley_error *error)
{
    const struct motley__row_numbers *rows = &layer->rows;
    const size_t P = (size_t)rows->P, F = (size_t)layer->shape.F, D = (size_t)layer->shape.D;
    const int swiglu = layer->shape.activation == MOTLEY_SWIGLU;
    const size_t others = layer->counts ? (size_t)layer->plan->R : 0;
    const size_t saved[][2] = {
        {MOTLEY__SAVED_OFFSETS, others ? INTS(layer->E_local + 1) : 0}, {MOTLEY__SAVED_INDEX, INTS(P)},
        {MOTLEY__SAVED_PAIR_WEIGHT, FLOATS(P)}, {MOTLEY__SAVED_PAIR_OWN, INTS(rows->own_end - rows->own_begin)},
        {MOTLEY__SAVED_PAIR_RECEIVED, INTS(rows->M)}, {MOTLEY__SAVED_PRE, layer->trained ? STORED(P * F) : 0},
        {MOTLEY__SAVED_PRE3, layer->trained && swiglu ? STORED(P * F) : 0},
    };
    int status = 0;

    for (size_t i = 0; !status && i < sizeof saved / sizeof *saved; i++)
        status = motley__layer_saved_reserve(layer, (enum motley__saved_buffer)saved[i][0], saved[i][1], error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_SEGMENTS,
                                               sizeof(struct motley__segment) * others * (size_t)layer->E_local,
                                               error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_H, STORED(P * F), error);
    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_O, STORED(P * D), error);
    return status;
}

/* Sort what came and what stayed by local expert, without moving a row. */
int motley__forward_place(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;
    struct motley__row_numbers *rows = &layer->rows;
    int status;

    if (layer->counts)
        make_segments(layer);
    else
        keep_own_pairs(layer);
    status = reserve_pairs(layer, error);
    if (!status && layer->counts)
        status = write_arrivals(layer, error);
    if (!status && rows->P)
        status = motley__place(layer->context->device, &(struct motley__place){
            .K = layer->shape.K, .segments = layer->segment_count, .own_rows = rows->T, .own_begin = rows->own_begin,
            .own_pairs = rows->own_end - rows->own_begin, .segment = scratch[MOTLEY__SCRATCH_SEGMENTS],
            .order = saved[MOTLEY__SAVED_ORDER], .weights = saved[MOTLEY__SAVED_WEIGHTS],
            .received_weights = rows->M ? scratch[MOTLEY__SCRATCH_RECEIVED_SCALARS] : NULL,
            .index = saved[MOTLEY__SAVED_INDEX], .weight = saved[MOTLEY__SAVED_PAIR_WEIGHT],
            .pair_own = saved[MOTLEY__SAVED_PAIR_OWN],
            .pair_received = rows->M ? saved[MOTLEY__SAVED_PAIR_RECEIVED] : NULL}, error);
    return status;
}

int motley__forward_experts(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **saved = layer->saved, **scratch = layer->scratch->buffer;

    return motley__experts_forward(layer->experts, &(struct motley__expert_step){
        .ragged = motley__layer_ragged(layer),
        .x = {layer->x, saved[MOTLEY__SAVED_RECEIVED], layer->rows.T, saved[MOTLEY__SAVED_INDEX], layer->shape.dtype},
        .pre = layer->trained ? saved[MOTLEY__SAVED_PRE] : NULL,
        .pre3 = layer->trained && layer->experts->w3 ? saved[MOTLEY__SAVED_PRE3] : NULL,
        .h = scratch[MOTLEY__SCRATCH_H], .o = scratch[MOTLEY__SCRATCH_O]}, error);
}

/* Weigh the rows that go back, in the order they came. */
int motley__forward_weigh(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **scratch = layer->scratch->buffer;
    const size_t D = (size_t)layer->shape.D;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_BACK, STORED(layer->rows.M * D), error);

    if (!status)
        status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_RETURNED, STORED(layer->rows.S * D), error);
    if (!status)
        status = motley__combine(layer->context->device, &(struct motley__combine){
            .dtype = layer->shape.dtype, .rows = layer->rows.M, .D = layer->shape.D, .o = scratch[MOTLEY__SCRATCH_O],
            .pair_received = layer->saved[MOTLEY__SAVED_PAIR_RECEIVED],
            .weight = layer->saved[MOTLEY__SAVED_PAIR_WEIGHT], .returned = scratch[MOTLEY__SCRATCH_BACK]}, error);
    return status;
}

int motley__forward_combine(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__buffer **scratch = layer->scratch->buffer;

    return motley__transfer_begin(layer->combine, (struct motley__part[]){
        {scratch[MOTLEY__SCRATCH_BACK], scratch[MOTLEY__SCRATCH_RETURNED]}}, layer->receive_rows,
        layer->send_rows, error);
}

int motley__forward_decode(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const struct motley__row_numbers *rows = &layer->rows;

    return motley__decode(layer->context->device, &(struct motley__decode){
        .dtype = layer->shape.dtype, .T = rows->T, .K = layer->shape.K, .D = layer->shape.D,
        .own_begin = rows->own_begin, .own_end = rows->own_end,
        .where = layer->saved[MOTLEY__SAVED_WHERE], .pair_own = layer->saved[MOTLEY__SAVED_PAIR_OWN],
        .o = layer->scratch->buffer[MOTLEY__SCRATCH_O], .weights = layer->saved[MOTLEY__SAVED_WEIGHTS],
        .returned = rows->S ? layer->scratch->buffer[MOTLEY__SCRATCH_RETURNED] : NULL, .accumulate = layer->accumulate,
        .y = layer->y}, error);
}
