/* What the operators of a capacity do: count the choices, agree on who is dropped (capacity.h), drop.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/route.h"
#include "layer/state.h"

#define INTS(n) ((size_t)(n) * sizeof(int))

static struct motley__capacity_pairs pairs_of(const motley_layer *layer)
{
    struct motley__buffer **scratch = layer->scratch->buffer;

    return (struct motley__capacity_pairs){.E = layer->shape.E, .K = layer->shape.K, .shift = layer->capacity->shift,
        .order = scratch[MOTLEY__SCRATCH_CAPACITY_ORDER], .offsets = scratch[MOTLEY__SCRATCH_CAPACITY_OFFSETS],
        .score = layer->capacity->prioritised ? scratch[MOTLEY__SCRATCH_BEST] : NULL,
        .limits = scratch[MOTLEY__SCRATCH_LIMITS], .counts = scratch[MOTLEY__SCRATCH_COUNTS],
        .bins = scratch[MOTLEY__SCRATCH_BINS], .indices = layer->saved[MOTLEY__SAVED_INDICES],
        .weights = layer->saved[MOTLEY__SAVED_WEIGHTS]};
}

static int reserve(motley_layer *layer, struct motley_error *error)
{
    const int N = layer->rows.N, E = layer->shape.E, K = layer->shape.K;
    const struct { enum motley__scratch_buffer which; size_t bytes; } demand[] = {
        {MOTLEY__SCRATCH_CAPACITY_HISTOGRAM, motley__route_scratch_bytes(N, E)},
        {MOTLEY__SCRATCH_CAPACITY_ORDER, INTS(N)}, {MOTLEY__SCRATCH_CAPACITY_WHERE, INTS(N)},
        {MOTLEY__SCRATCH_CAPACITY_OFFSETS, INTS(E + 1)}, {MOTLEY__SCRATCH_COUNTS, INTS((size_t)K * (size_t)E)},
        {MOTLEY__SCRATCH_LIMITS, INTS(3 * (size_t)E)},
        {MOTLEY__SCRATCH_BINS, layer->capacity->prioritised ? INTS(MOTLEY__CAPACITY_BINS * (size_t)E) : 0},
    };
    int status = motley__layer_saved_reserve(layer, MOTLEY__SAVED_CHOSEN, INTS(N), error);

    for (size_t i = 0; !status && i < sizeof demand / sizeof *demand; i++)
        status = motley__layer_scratch_reserve(layer, demand[i].which, demand[i].bytes, error);
    return status;
}

int motley__drop_count(motley_layer *layer, struct motley_error *error)
{
    struct motley__buffer **scratch = layer->scratch->buffer;
    struct motley__device *device = layer->context->device;
    struct motley__capacity_pairs pairs;
    int status = reserve(layer, error);

    if (status)
        return status;
    pairs = pairs_of(layer);
    status = motley__route(device, &(struct motley__route){.N = layer->rows.N, .E = pairs.E, .slots = pairs.E,
        .indices = pairs.indices, .histogram = scratch[MOTLEY__SCRATCH_CAPACITY_HISTOGRAM],
        .order = scratch[MOTLEY__SCRATCH_CAPACITY_ORDER], .where = scratch[MOTLEY__SCRATCH_CAPACITY_WHERE],
        .offsets = scratch[MOTLEY__SCRATCH_CAPACITY_OFFSETS]}, error);
    if (!status)
        status = motley__capacity_count(device, &pairs, error);
    return status ? status : motley__buffer_read_later(pairs.counts, 0, layer->capacity->counts,
                                                       INTS((size_t)pairs.K * (size_t)pairs.E), error);
}

/* Add `count` numbers over all ranks, in place. */
static int sum(motley_layer *layer, int64_t *numbers, int count, struct motley_error *error)
{
    return motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, numbers, count, MPI_INT64_T, MPI_SUM,
                                                  layer->context->comm, &layer->drop_request), "MPI_Iallreduce");
}

/* Nothing under way counts as done. */
static int test(motley_layer *layer, int *done, struct motley_error *error)
{
    return motley__fail_mpi(error, MPI_Test(&layer->drop_request, done, MPI_STATUS_IGNORE), "MPI_Test");
}

int motley__drop_share(void *self, struct motley_error *error)
{
    motley_layer *layer = self;

    motley__capacity_pack(layer->capacity, layer->rows.T);
    return sum(layer, layer->capacity->totals, layer->shape.K * layer->shape.E + 1, error);
}

int motley__drop_share_test(void *self, int *done, struct motley_error *error)
{
    motley_layer *layer = self;
    int status = test(layer, done, error);

    if (!status && *done)
        motley__capacity_summed(layer->capacity);
    return status;
}

static int write_limits(motley_layer *layer, struct motley_error *error)
{
    return motley__buffer_write_later(layer->scratch->buffer[MOTLEY__SCRATCH_LIMITS], 0, layer->capacity->limits,
                                      INTS(3 * (size_t)layer->shape.E), error);
}

int motley__drop_digits(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__capacity_pairs pairs = pairs_of(layer);
    int status;

    if (!layer->capacity->dropping)
        return 0;
    status = write_limits(layer, error);
    if (!status)
        status = motley__capacity_digits(layer->context->device, &pairs, error);
    return status ? status : motley__buffer_read_later(pairs.bins, 0, layer->capacity->bins,
                                                       INTS(MOTLEY__CAPACITY_BINS * (size_t)pairs.E), error);
}

int motley__drop_share_digits(void *self, struct motley_error *error)
{
    motley_layer *layer = self;

    if (!layer->capacity->dropping)
        return 0;
    motley__capacity_pack_digits(layer->capacity);
    return sum(layer, layer->capacity->sums, layer->capacity->dropping * MOTLEY__CAPACITY_BINS, error);
}

int motley__drop_share_digits_test(void *self, int *done, struct motley_error *error)
{
    motley_layer *layer = self;
    int status = test(layer, done, error);

    if (!status && *done && layer->capacity->dropping)
        motley__capacity_digits_summed(layer->capacity);
    return status;
}

/* Who has no rank before it gets no sum. */
int motley__drop_scan(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__capacity *capacity = layer->capacity;

    if (!capacity->dropping)
        return 0;
    motley__capacity_pack_ties(capacity);
    return motley__fail_mpi(error, MPI_Iexscan(MPI_IN_PLACE, capacity->sums, capacity->dropping, MPI_INT64_T, MPI_SUM,
                                               layer->context->comm, &layer->drop_request), "MPI_Iexscan");
}

int motley__drop_scan_test(void *self, int *done, struct motley_error *error)
{
    motley_layer *layer = self;
    struct motley__capacity *capacity = layer->capacity;
    int status = test(layer, done, error);

    if (status || !*done || !capacity->dropping)
        return status;
    for (int i = 0; layer->context->rank == 0 && i < capacity->dropping; i++)
        capacity->sums[i] = 0;
    motley__capacity_scanned(capacity);
    return 0;
}

int motley__drop(motley_layer *layer, struct motley_error *error)
{
    struct motley__capacity_pairs pairs = pairs_of(layer);
    int status;

    if (!layer->capacity->dropping || !layer->rows.N)
        return 0;
    status = motley__buffer_copy(pairs.indices, 0, layer->saved[MOTLEY__SAVED_CHOSEN], 0, INTS(layer->rows.N), error);
    if (!status)
        status = write_limits(layer, error);
    return status ? status : motley__capacity_drop(layer->context->device, &pairs, error);
}
