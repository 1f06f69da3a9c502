/* What the operators of gate noise and of auxiliary losses do, and the coefficients that the caller gives.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/losses.h"
#include "layer/state.h"

#define FLOATS(n) ((size_t)(n) * sizeof(float))

/* Numbers that ranks add up: the sums of one kernel, with the importance loss of two. */
static int sums(const motley_layer *layer)
{
    return 2 * layer->shape.E + 2;
}

static int all_sums(const motley_layer *layer)
{
    return sums(layer) * (motley__layer_wants_importance(layer) ? 2 : 1);
}

int motley__forward_position(void *self, struct motley_error *error)
{
    motley_layer *layer = self;

    layer->position[0] = layer->rows.T;
    return motley__fail_mpi(error, MPI_Iexscan(layer->position, layer->position + 1, 1, MPI_INT64_T, MPI_SUM,
                                               layer->context->comm, &layer->position_request), "MPI_Iexscan");
}

/* The first rank gets no sum. */
int motley__forward_position_test(void *self, int *done, struct motley_error *error)
{
    motley_layer *layer = self;
    int status = motley__fail_mpi(error, MPI_Test(&layer->position_request, done, MPI_STATUS_IGNORE), "MPI_Test");

    if (!status && *done && layer->context->rank == 0)
        layer->position[1] = 0;
    return status;
}

int motley__layer_noise(motley_layer *layer, struct motley__noise *noise, struct motley_error *error)
{
    const int wanted = motley__layer_wants_importance(layer);
    const size_t T = (size_t)layer->rows.T, E = (size_t)layer->shape.E;
    struct motley__buffer **saved = layer->saved;
    int status = 0;

    if (wanted)
        status = motley__layer_saved_reserve(layer, MOTLEY__SAVED_CLEAN, FLOATS(T * E), error);
    if (!status && wanted)
        status = motley__layer_saved_reserve(layer, MOTLEY__SAVED_CLEAN_LSE, FLOATS(T), error);
    if (!status && wanted)
        status = motley__layer_saved_reserve(layer, MOTLEY__SAVED_LAST, FLOATS(T), error);
    *noise = (struct motley__noise){.sigma = layer->routing.noise / layer->shape.E, .seed = layer->routing.seed,
        .first = layer->position[1], .clean = wanted ? saved[MOTLEY__SAVED_CLEAN] : NULL,
        .lse = wanted ? saved[MOTLEY__SAVED_CLEAN_LSE] : NULL, .last = wanted ? saved[MOTLEY__SAVED_LAST] : NULL};
    return status;
}

static struct motley__importance importance_of(const motley_layer *layer)
{
    struct motley__buffer *const *saved = layer->saved;

    return (struct motley__importance){.T = layer->rows.T, .E = layer->shape.E, .K = layer->shape.K,
        .sigma = layer->routing.noise / layer->shape.E, .clean = saved[MOTLEY__SAVED_CLEAN],
        .lse = saved[MOTLEY__SAVED_CLEAN_LSE], .last = saved[MOTLEY__SAVED_LAST],
        .indices = motley__layer_chosen(layer)};
}

static int sum_importance(motley_layer *layer, struct motley_error *error)
{
    struct motley__buffer **scratch = layer->scratch->buffer;
    const struct motley__importance importance = importance_of(layer);
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_IMPORTANCE, FLOATS(sums(layer)), error);

    if (!status)
        status = motley__importance_sums(layer->context->device, &importance, scratch[MOTLEY__SCRATCH_IMPORTANCE],
                                         error);
    return status ? status : motley__buffer_read_later(scratch[MOTLEY__SCRATCH_IMPORTANCE], 0,
                                                       layer->loss_host + sums(layer), FLOATS(sums(layer)), error);
}

int motley__forward_losses(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const int E = layer->shape.E;
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_SUMS, FLOATS(sums(layer)), error);

    if (!status)
        status = motley__losses_sums(layer->context->device, layer->rows.T, E, layer->shape.K,
                                     layer->saved[MOTLEY__SAVED_P], layer->saved[MOTLEY__SAVED_LSE],
                                     motley__layer_chosen(layer), layer->scratch->buffer[MOTLEY__SCRATCH_SUMS], error);
    if (!status)
        status = motley__buffer_read_later(layer->scratch->buffer[MOTLEY__SCRATCH_SUMS], 0, layer->loss_host,
                                           FLOATS(sums(layer)), error);
    if (!status && motley__layer_wants_importance(layer))
        status = sum_importance(layer, error);
    return status;
}

int motley__forward_share_losses(void *self, struct motley_error *error)
{
    motley_layer *layer = self;
    const int n = all_sums(layer);

    for (int i = 0; i < n; i++)
        layer->loss_sums[i] = layer->loss_host[i];
    return motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, layer->loss_sums, n, MPI_DOUBLE, MPI_SUM,
                                                  layer->context->comm, &layer->loss_request), "MPI_Iallreduce");
}

int motley__forward_share_losses_test(void *self, int *done, struct motley_error *error)
{
    motley_layer *layer = self;
    int status = motley__fail_mpi(error, MPI_Test(&layer->loss_request, done, MPI_STATUS_IGNORE), "MPI_Test");

    if (status || !*done)
        return status;
    motley__losses_value(layer->shape.E, layer->loss_sums, layer->coefficients.balance, &layer->losses.balance,
                         &layer->losses.z, layer->balance_host);
    if (motley__layer_wants_importance(layer))
        layer->losses.importance = motley__importance_value(layer->shape.E, layer->loss_sums + sums(layer),
                                                            layer->coefficients.importance, layer->importance_host);
    return 0;
}

/* GShard's part of the gradient goes through the scores, the importance loss's through the logits without noise. */
int motley__layer_balance(motley_layer *layer, struct motley_error *error)
{
    const size_t bytes = FLOATS(layer->shape.E);
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_BALANCE, bytes, error);

    return status ? status : motley__buffer_write_later(layer->scratch->buffer[MOTLEY__SCRATCH_BALANCE], 0,
                                                        layer->balance_host, bytes, error);
}

int motley__layer_importance_backward(motley_layer *layer, struct motley_error *error)
{
    struct motley__buffer **scratch = layer->scratch->buffer;
    const struct motley__importance importance = importance_of(layer);
    const size_t bytes = FLOATS(2 * (size_t)layer->shape.E);
    int status = motley__layer_scratch_reserve(layer, MOTLEY__SCRATCH_IMPORTANCE_SLOPES, bytes, error);

    if (!status)
        status = motley__buffer_write_later(scratch[MOTLEY__SCRATCH_IMPORTANCE_SLOPES], 0, layer->importance_host,
                                            bytes, error);
    return status ? status : motley__importance_backward(layer->context->device, &importance,
                                                         scratch[MOTLEY__SCRATCH_IMPORTANCE_SLOPES],
                                                         scratch[MOTLEY__SCRATCH_DLOGITS], error);
}

int motley__layer_check_losses(const motley_layer *layer, const struct motley_losses *coefficients, double noise,
                               struct motley_error *error)
{
    const enum motley_gate gate = layer->shape.gate;

    if (!isfinite(coefficients->balance) || !isfinite(coefficients->z) || !isfinite(coefficients->importance))
        return motley__fail(error, MOTLEY_E_INVALID, "the losses' coefficients are %g, %g and %g, expected finite "
                            "numbers", coefficients->balance, coefficients->z, coefficients->importance);
    if (coefficients->z != 0 && gate == MOTLEY_GATE_SIGMOID)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "a z-loss of %g with a sigmoid gate, whose scores do not share their logits' sum; leave it "
                            "out", coefficients->z);
    if (coefficients->importance != 0 && gate != MOTLEY_GATE_SOFTMAX && gate != MOTLEY_GATE_COSINE)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "an importance loss of %g, expected a softmax or cosine gate with it",
                            coefficients->importance);
    if (coefficients->importance != 0 && !(noise > 0))
        return motley__fail(error, MOTLEY_E_INVALID,
                            "an importance loss of %g without gate noise, by which it measures; expected noise above 0",
                            coefficients->importance);
    return 0;
}

int motley_layer_set_losses(motley_layer *layer, const struct motley_losses *coefficients, struct motley_error *error)
{
    const struct motley__alike numbers[] = {{"the balance loss's coefficient", coefficients->balance},
        {"the z-loss's coefficient", coefficients->z}, {"the importance loss's coefficient", coefficients->importance}};
    int status = motley__context_agree(layer->context,
                               motley__layer_check_losses(layer, coefficients, layer->routing.noise, error), error);

    if (!status)
        status = motley__layer_alike(layer, numbers, 3, error);
    if (status)
        return status;
    layer->coefficients = *coefficients;
    layer->losses = (struct motley_losses){0};
    layer->forward_done = 0;
    return 0;
}

struct motley_losses motley_layer_losses(const motley_layer *layer)
{
    return layer->losses;
}
