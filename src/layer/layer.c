/* The line:  tokens -> gate -> route -> encode -> exchange -> experts -> exchange -> decode -> tokens,
 * forward and backward, as two lists of operators.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "device/tensor.h"
#include "layer/lists.h"

static const struct motley__ops none;

static struct motley__ops compute(motley_layer *layer, struct motley__step *step, const char *name,
                                  enum motley__phase phase, struct motley__ops after, motley__operator *begin)
{
    return motley__list_compute(step, layer, name, phase, after, begin);
}

/* The pairs that cross between nodes; returns their arrival. */
static struct motley__ops list_crossing(motley_layer *layer, struct motley__step *step, struct motley__ops chosen)
{
    struct motley__gateway *gateway = layer->gateway;
    struct motley__ops routed = compute(layer, step, "route to nodes", MOTLEY__PHASE_GATE, chosen,
                                        motley__forward_route_far);
    struct motley__ops counted = motley__list_counts(step, layer, "counts to nodes", routed, motley__forward_count_far,
                                                     gateway->counts);
    struct motley__ops listed = compute(layer, step, "list for nodes", MOTLEY__PHASE_DISPATCH, routed,
                                        motley__forward_list_far);
    struct motley__ops crossed = motley__step_add(step, (struct motley__op){.name = "pairs to nodes",
        .stream = MOTLEY__COMMUNICATION, .phase = MOTLEY__PHASE_DISPATCH, .after = motley__ops_both(counted, listed),
        .begin = motley__forward_lists_far, .self = layer, .test = motley__forward_lists_far_test,
        .missing = motley__forward_lists_far_missing, .request = layer});

    return compute(layer, step, "guests", MOTLEY__PHASE_DISPATCH, crossed, motley__forward_guests);
}

/* Rows and pairs out; returns the pairs, which come first. */
static struct motley__ops list_dispatch(motley_layer *layer, struct motley__pipeline *pipeline,
                                        struct motley__ops routed)
{
    struct motley__step *step = pipeline->step;
    struct motley__ops counted = motley__list_counts(step, layer, "counts", routed, motley__forward_count,
                                                     layer->counts);
    struct motley__ops encoded = motley__pipeline_encode(pipeline, routed);
    struct motley__ops listed = motley__step_add(step, (struct motley__op){.name = "pairs",
        .stream = MOTLEY__COMMUNICATION, .phase = MOTLEY__PHASE_DISPATCH, .after = motley__ops_both(counted, encoded),
        .begin = motley__forward_lists, .self = layer, .test = motley__forward_lists_test,
        .missing = motley__forward_lists_missing, .request = layer});

    motley__pipeline_dispatch(pipeline, counted);
    return listed;
}

static void list_forward(motley_layer *layer, struct motley__step *step)
{
    struct motley__pipeline pipeline = {.layer = layer, .step = step, .way = &motley__forward_rows};
    struct motley__ops chosen = none, routed, listed = none, fetched = none;

    if (motley__layer_fetches(layer))
        fetched = motley__list_fetch(layer, step);
    if (layer->routing.noise > 0 && layer->context->size > 1)
        chosen = motley__list_position(layer, step);
    chosen = compute(layer, step, "gate", MOTLEY__PHASE_GATE, chosen, motley__forward_gate);
    routed = layer->capacity ? motley__list_capacity(layer, step, chosen) : none;
    if (layer->gateway)
        routed = list_crossing(layer, step, routed);
    routed = compute(layer, step, "route", MOTLEY__PHASE_GATE, routed, motley__forward_route);
    if (layer->peers)
        listed = list_dispatch(layer, &pipeline, routed);
    if (motley__layer_has_losses(layer))
        motley__list_losses(layer, step);
    compute(layer, step, "place", MOTLEY__PHASE_EXPERTS, listed, motley__forward_place);
    motley__pipeline_experts(&pipeline, fetched);
    if (layer->next && motley__layer_fetches(layer->next))
        motley__list_prefetch(layer, step, pipeline.multiplied, motley__forward_prefetch);
    compute(layer, step, "decode", MOTLEY__PHASE_COMBINE, pipeline.returned, motley__forward_decode);
    if (layer->gateway)
        compute(layer, step, "decode from nodes", MOTLEY__PHASE_COMBINE, pipeline.crossed_back,
                motley__forward_decode_far);
}

static void list_backward(motley_layer *layer, struct motley__step *step)
{
    struct motley__pipeline pipeline = {.layer = layer, .step = step, .way = &motley__backward_rows};
    struct motley__ops fetched = none;

    if (layer->cache && layer->cache->experts && layer->cache->holds != layer->stored)
        fetched = motley__list_fetch(layer, step);
    if (layer->cache && layer->cache->settle.owner)
        fetched = motley__ops_both(fetched, motley__list_settled(layer, step));
    if (layer->peers) {
        motley__pipeline_encode(&pipeline, none);
        motley__pipeline_dispatch(&pipeline, none);
    }
    motley__pipeline_experts(&pipeline, fetched);
    if (layer->cache)
        motley__list_settle(layer, step, pipeline.multiplied);
    if (layer->cache && layer->cache->experts && layer->previous)
        motley__list_prefetch(layer, step, pipeline.multiplied, motley__backward_prefetch);
    compute(layer, step, "decode dx", MOTLEY__PHASE_COMBINE, pipeline.returned, motley__backward_decode);
    if (layer->gateway)
        compute(layer, step, "decode dx from nodes", MOTLEY__PHASE_COMBINE, pipeline.crossed_back,
                motley__backward_decode_far);
    compute(layer, step, "gate backward", MOTLEY__PHASE_GATE, none, motley__backward_gate);
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

    layer->rows = (struct motley__row_numbers){.T = T, .N = T * layer->shape.K, .tokens = T,
                                               .pairs = T * layer->shape.K};
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
                              forced ? "not forced" : "forced", forced ? "given" : "missing");
    status = motley__context_agree(layer->context, status, error);
    if (!status)
        status = motley__layer_share_news(layer, error);
    if (!status)
        status = motley__layer_forward(layer, (int)x->rows, x->buffer, forced, 0, y->buffer, error);
    return status;
}

int motley_layer_backward(motley_layer *layer, const motley_tensor *dy, motley_tensor *dx, struct motley_error *error)
{
    int status = check_tensors(layer, dy, dx, error);

    status = motley__context_agree(layer->context, status, error);
    if (!status)
        status = motley__layer_backward(layer, (int)dy->rows, dy->buffer, 0, dx->buffer, error);
    return status;
}
