/* The line:  tokens -> gate -> route -> encode -> exchange -> experts -> exchange -> decode -> tokens,
 * forward and backward, as two lists of operators.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "device/tensor.h"
#include "layer/state.h"

/* A computation; returns its bit. */
static uint64_t compute(motley_layer *layer, struct motley__step *step, const char *name, enum motley__phase phase,
                        uint64_t after, int (*begin)(void *, struct motley_error *))
{
    return motley__step_add(step, (struct motley__op){.name = name, .stream = MOTLEY__COMPUTATION, .phase = phase,
        .after = after, .begin = begin, .self = layer});
}

/* An exchange of rows; returns its bit. */
static uint64_t transfer(motley_layer *layer, struct motley__step *step, enum motley__phase phase, uint64_t after,
                         int (*begin)(void *, struct motley_error *), struct motley__transfer *rows)
{
    return motley__step_add(step, (struct motley__op){.name = rows->name, .stream = MOTLEY__COMMUNICATION,
        .phase = phase, .after = after, .begin = begin, .self = layer, .test = motley__transfer_test,
        .missing = motley__transfer_missing, .request = rows});
}

static void list_losses(motley_layer *layer, struct motley__step *step)
{
    uint64_t summed = compute(layer, step, "losses", MOTLEY__PHASE_GATE, 0, motley__forward_losses);

    motley__step_add(step, (struct motley__op){.name = "share losses", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_GATE, .after = summed, .begin = motley__forward_share_losses, .self = layer,
        .test = motley__forward_share_losses_test, .request = layer});
}

/* Data mode: the layer's weights into the cache.  Nothing but the experts waits for them. */
static uint64_t fetch(motley_layer *layer, struct motley__step *step)
{
    return motley__step_add(step, (struct motley__op){.name = "fetch weights", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_DISPATCH, .begin = motley__forward_fetch, .self = layer,
        .test = motley__weight_cache_fetched, .missing = motley__weight_cache_fetch_missing, .request = layer->cache});
}

/* Begun here, waited for by the next layer's list. */
static int leave_under_way(void *request, int *done, struct motley_error *error)
{
    (void)request;
    (void)error;
    *done = 1;
    return 0;
}

static void prefetch(motley_layer *layer, struct motley__step *step, uint64_t after,
                     int (*begin)(void *, struct motley_error *))
{
    motley__step_add(step, (struct motley__op){.name = "prefetch weights", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_DISPATCH, .after = after, .begin = begin, .self = layer, .test = leave_under_way});
}

/* Nothing: what the list before left under way has only to end. */
static int go_on(void *self, struct motley_error *error)
{
    (void)self;
    (void)error;
    return 0;
}

/* The gradients in the cache to those who store them; with begin go_on those of the layer before. */
static uint64_t settle(motley_layer *layer, struct motley__step *step, uint64_t after, int under_way,
                       int (*begin)(void *, struct motley_error *))
{
    return motley__step_add(step, (struct motley__op){.name = "sum gradients", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_COMBINE, .after = after, .begin = begin, .self = layer,
        .test = under_way ? leave_under_way : motley__weight_cache_settled,
        .missing = motley__weight_cache_settle_missing, .request = layer->cache});
}

static void list_forward(motley_layer *layer, struct motley__step *step)
{
    const int travels = layer->peers != NULL;
    uint64_t routed, arrived = 0, returned = 0, multiplied;

    if (layer->cache)
        arrived = fetch(layer, step);
    compute(layer, step, "gate", MOTLEY__PHASE_GATE, 0, motley__forward_gate);
    routed = compute(layer, step, "route", MOTLEY__PHASE_GATE, 0, motley__forward_route);
    if (travels) {
        uint64_t counted = motley__step_add(step, (struct motley__op){.name = "counts", .stream = MOTLEY__COMMUNICATION,
            .phase = MOTLEY__PHASE_DISPATCH, .after = routed, .begin = motley__forward_count, .self = layer,
            .test = motley__counts_test, .missing = motley__counts_missing, .request = layer->counts});
        uint64_t encoded = compute(layer, step, "encode", MOTLEY__PHASE_DISPATCH, routed, motley__forward_encode);

        arrived = transfer(layer, step, MOTLEY__PHASE_DISPATCH, counted | encoded, motley__forward_dispatch,
                           layer->dispatch);
    }
    if (motley__layer_has_losses(layer))
        list_losses(layer, step);
    compute(layer, step, "place", MOTLEY__PHASE_EXPERTS, travels ? arrived : 0, motley__forward_place);
    multiplied = compute(layer, step, "experts", MOTLEY__PHASE_EXPERTS, arrived, motley__forward_experts);
    if (layer->cache && layer->next)
        prefetch(layer, step, multiplied, motley__forward_prefetch);
    if (travels) {
        uint64_t weighed = compute(layer, step, "weigh", MOTLEY__PHASE_COMBINE, 0, motley__forward_weigh);

        returned = transfer(layer, step, MOTLEY__PHASE_COMBINE, weighed, motley__forward_combine, layer->combine);
    }
    compute(layer, step, "decode", MOTLEY__PHASE_COMBINE, returned, motley__forward_decode);
}

static void list_backward(motley_layer *layer, struct motley__step *step)
{
    const int travels = layer->peers != NULL;
    uint64_t arrived = 0, returned = 0, multiplied;

    if (layer->cache && layer->cache->holds != layer->stored)
        arrived = fetch(layer, step);
    if (layer->cache && layer->cache->settle.owner)
        arrived |= settle(layer, step, 0, 0, go_on);
    if (travels) {
        uint64_t encoded = compute(layer, step, "encode dy", MOTLEY__PHASE_DISPATCH, 0, motley__backward_encode);

        arrived = transfer(layer, step, MOTLEY__PHASE_DISPATCH, encoded, motley__backward_dispatch,
                           layer->dispatch_back);
    }
    multiplied = compute(layer, step, "experts backward", MOTLEY__PHASE_EXPERTS, arrived, motley__backward_experts);
    if (layer->cache)
        settle(layer, step, multiplied, layer->previous != NULL, motley__backward_settle);
    if (layer->cache && layer->previous)
        prefetch(layer, step, multiplied, motley__backward_prefetch);
    if (travels) {
        uint64_t gathered = compute(layer, step, "gather dx", MOTLEY__PHASE_COMBINE, 0, motley__backward_gather);

        returned = transfer(layer, step, MOTLEY__PHASE_COMBINE, gathered, motley__backward_combine,
                            layer->combine_back);
    }
    compute(layer, step, "decode dx", MOTLEY__PHASE_COMBINE, returned, motley__backward_decode);
    compute(layer, step, "gate backward", MOTLEY__PHASE_GATE, 0, motley__backward_gate);
}

static int run(motley_layer *layer, const struct motley__step *step, struct motley__step_times *times,
               struct motley_error *error)
{
    const struct motley__executor executor = {layer->context->device, layer->context->trace,
                                              layer->context->time_limit};

    return motley__execute(&executor, step, times, error);
}

int motley__layer_forward(motley_layer *layer, int T, const struct motley__buffer *x, const int32_t *forced,
                          int accumulate, struct motley__buffer *y, struct motley_error *error)
{
    int status;

    layer->rows = (struct motley__row_numbers){.T = T, .N = T * layer->shape.K};
    layer->x = x;
    layer->y = y;
    layer->forced = forced;
    layer->accumulate = accumulate;
    layer->forward.count = 0;
    list_forward(layer, &layer->forward);
    status = run(layer, &layer->forward, &layer->forward_times, error);
    layer->forward_done = !status;
    return status;
}

int motley__layer_backward(motley_layer *layer, int T, const struct motley__buffer *dy, int accumulate,
                           struct motley__buffer *dx, struct motley_error *error)
{
    if (!layer->trained)
        return motley__fail(error, MOTLEY_E_INVALID, "backward of a layer that was made for inference");
    if (!layer->forward_done || T != layer->rows.T)
        return motley__fail(error, MOTLEY_E_INVALID, "backward needs a forward of the same %d tokens before it", T);
    layer->dy = dy;
    layer->dx = dx;
    layer->accumulate = accumulate;
    layer->backward.count = 0;
    list_backward(layer, &layer->backward);
    layer->forward_done = 0; /* backward consumes what forward kept */
    layer->backward_ran = 1;
    return run(layer, &layer->backward, &layer->backward_times, error);
}

/* Shapes of the caller's tensors; every rank checks its own. */
static int check_tensors(const motley_layer *layer, const motley_tensor *in, const motley_tensor *out,
                         struct motley_error *error)
{
    const int64_t D = layer->shape.D;

    if (in->width != D || out->width != D || in->rows != out->rows)
        return motley__fail(error, MOTLEY_E_INVALID, "tensors [%lld,%lld] and [%lld,%lld] where both must be [T,%lld]",
                            (long long)in->rows, (long long)in->width, (long long)out->rows, (long long)out->width,
                            (long long)D);
    if (in->dtype != layer->shape.dtype || out->dtype != layer->shape.dtype)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "tensors of %s and %s where both must be %s, as the plan's shape says",
                            motley__storage_name(in->dtype), motley__storage_name(out->dtype),
                            motley__storage_name(layer->shape.dtype));
    if (in->rows * layer->shape.K > INT32_MAX)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED,
                            "%lld tokens with %d experts each pass 2^31 routed rows on one rank; use more ranks or "
                            "smaller batches", (long long)in->rows, layer->shape.K);
    return 0;
}

int motley_layer_forward(motley_layer *layer, const motley_tensor *x, const int32_t *forced, motley_tensor *y,
                         struct motley_error *error)
{
    int status = check_tensors(layer, x, y, error);

    if (!status && !forced != (layer->shape.gate != MOTLEY_GATE_FORCED) && x->rows)
        status = motley__fail(error, MOTLEY_E_INVALID, "the gate is %s, but forced experts are %s",
                              forced ? "softmax" : "forced", forced ? "given" : "missing");
    status = motley__agree_within(layer->context->comm, layer->context->time_limit, status, error);
    if (!status)
        status = motley__layer_forward(layer, (int)x->rows, x->buffer, forced, 0, y->buffer, error);
    return status;
}

int motley_layer_backward(motley_layer *layer, const motley_tensor *dy, motley_tensor *dx, struct motley_error *error)
{
    int status = check_tensors(layer, dy, dx, error);

    status = motley__agree_within(layer->context->comm, layer->context->time_limit, status, error);
    if (!status)
        status = motley__layer_backward(layer, (int)dy->rows, dy->buffer, 0, dx->buffer, error);
    return status;
}
