/* The line:  tokens -> gate -> route -> encode -> exchange -> experts -> exchange -> decode -> tokens,
 * forward and backward, as two lists of operators.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "device/tensor.h"
#include "layer/state.h"

/* A computation; returns its bit.  self: the layer, or one of its numbers. */
static uint64_t compute(void *self, struct motley__step *step, const char *name, enum motley__phase phase,
                        uint64_t after, int (*begin)(void *, struct motley_error *))
{
    return motley__step_add(step, (struct motley__op){.name = name, .stream = MOTLEY__COMPUTATION, .phase = phase,
        .after = after, .begin = begin, .self = self});
}

/* An exchange of a chunk's rows; returns its bit. */
static uint64_t transfer(motley_layer *layer, int chunk, struct motley__step *step, enum motley__phase phase,
                         uint64_t after, int (*begin)(void *, struct motley_error *),
                         struct motley__transfer *const *rows)
{
    return motley__step_add(step, (struct motley__op){.name = rows[chunk]->name, .stream = MOTLEY__COMMUNICATION,
        .phase = phase, .after = after, .begin = begin, .self = &layer->number[chunk], .test = motley__transfer_test,
        .missing = motley__transfer_missing, .request = rows[chunk]});
}

/* Which choices are beyond the experts' capacity: a sum over ranks, prioritised some more, and a scan.  Returns the
 * last one's bit. */
static uint64_t list_capacity(motley_layer *layer, struct motley__step *step, uint64_t counted)
{
    struct motley__op share = {.name = "share counts", .stream = MOTLEY__COMMUNICATION, .phase = MOTLEY__PHASE_GATE,
        .after = counted, .begin = motley__drop_share, .self = layer, .test = motley__drop_share_test,
        .request = layer};
    uint64_t shared = motley__step_add(step, share);

    share.name = "share scores";
    share.begin = motley__drop_share_digits;
    share.test = motley__drop_share_digits_test;
    for (int i = 0; i < MOTLEY__CAPACITY_DIGITS && layer->capacity->prioritised; i++) {
        share.after = compute(layer, step, "count scores", MOTLEY__PHASE_GATE, shared, motley__drop_digits);
        shared = motley__step_add(step, share);
    }
    share.name = "scan counts";
    share.after = shared;
    share.begin = motley__drop_scan;
    share.test = motley__drop_scan_test;
    return motley__step_add(step, share);
}

/* Where this rank's tokens are among all: the noise of each follows from that. */
static uint64_t list_position(motley_layer *layer, struct motley__step *step)
{
    return motley__step_add(step, (struct motley__op){.name = "share positions", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_GATE, .begin = motley__forward_position, .self = layer,
        .test = motley__forward_position_test, .request = layer});
}

static void list_losses(motley_layer *layer, struct motley__step *step)
{
    uint64_t summed = compute(layer, step, "losses", MOTLEY__PHASE_GATE, 0, motley__forward_losses);

    motley__step_add(step, (struct motley__op){.name = "share losses", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_GATE, .after = summed, .begin = motley__forward_share_losses, .self = layer,
        .test = motley__forward_share_losses_test, .request = layer});
}

/* The layer's weights that others store.  Nothing but the experts waits for them. */
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

/* The gradients of what others store to them; with begin go_on those of the layer before. */
static uint64_t settle(motley_layer *layer, struct motley__step *step, uint64_t after, int under_way,
                       int (*begin)(void *, struct motley_error *))
{
    return motley__step_add(step, (struct motley__op){.name = "sum gradients", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_COMBINE, .after = after, .begin = begin, .self = layer,
        .test = under_way ? leave_under_way : motley__weight_cache_settled,
        .missing = motley__weight_cache_settle_missing, .request = layer->cache});
}

/* The rows of all chunks to other ranks, each as soon as it is laid out and the one before has arrived; where rows are
 * staged, the one before that, so that copies and messages go at the same time.  arrived [chunks] written. */
static void dispatch(motley_layer *layer, struct motley__step *step, uint64_t after, const uint64_t *encoded,
                     int (*begin)(void *, struct motley_error *), struct motley__transfer *const *rows,
                     uint64_t *arrived)
{
    const int ahead = layer->context->device->zero_copy ? 1 : 2;

    for (int c = 0; c < layer->chunks; c++)
        arrived[c] = transfer(layer, c, step, MOTLEY__PHASE_DISPATCH,
                              after | encoded[c] | (c >= ahead ? arrived[c - ahead] : 0), begin, rows);
}

/* Between nodes: something of their exchange that is waited for; returns its bit. */
static uint64_t far_transfer(motley_layer *layer, struct motley__step *step, enum motley__phase phase, uint64_t after,
                             int (*begin)(void *, struct motley_error *), struct motley__transfer *rows)
{
    return motley__step_add(step, (struct motley__op){.name = rows->name, .stream = MOTLEY__COMMUNICATION,
        .phase = phase, .after = after, .begin = begin, .self = layer, .test = motley__transfer_test,
        .missing = motley__transfer_missing, .request = rows});
}

/* The pairs that cross between nodes; returns the bit of their arrival. */
static uint64_t list_crossing(motley_layer *layer, struct motley__step *step, uint64_t chosen)
{
    struct motley__gateway *gateway = layer->gateway;
    uint64_t routed = compute(layer, step, "route to nodes", MOTLEY__PHASE_GATE, chosen, motley__forward_route_far);
    uint64_t counted = motley__step_add(step, (struct motley__op){.name = "counts to nodes",
        .stream = MOTLEY__COMMUNICATION, .phase = MOTLEY__PHASE_DISPATCH, .after = routed,
        .begin = motley__forward_count_far, .self = layer, .test = motley__counts_test,
        .missing = motley__counts_missing, .request = gateway->counts});
    uint64_t listed = compute(layer, step, "list for nodes", MOTLEY__PHASE_DISPATCH, routed, motley__forward_list_far);
    uint64_t crossed = far_transfer(layer, step, MOTLEY__PHASE_DISPATCH, counted | listed, motley__forward_lists_far,
                                    gateway->lists);

    return compute(layer, step, "guests", MOTLEY__PHASE_DISPATCH, crossed, motley__forward_guests);
}

/* The rows; returns the bit of their arrival. */
static uint64_t dispatch_far(motley_layer *layer, struct motley__step *step, uint64_t after, const char *name,
                             int (*encode)(void *, struct motley_error *), int (*begin)(void *, struct motley_error *),
                             struct motley__transfer *rows)
{
    uint64_t encoded = compute(layer, step, name, MOTLEY__PHASE_DISPATCH, after, encode);

    return far_transfer(layer, step, MOTLEY__PHASE_DISPATCH, after | encoded, begin, rows);
}

/* What guests get, back to their nodes; returns the bit of what other nodes gave. */
static uint64_t combine_far(motley_layer *layer, struct motley__step *step, uint64_t returned, const char *name,
                            int (*decode)(void *, struct motley_error *), int (*begin)(void *, struct motley_error *),
                            struct motley__transfer *rows)
{
    uint64_t decoded = compute(layer, step, name, MOTLEY__PHASE_COMBINE, returned, decode);

    return far_transfer(layer, step, MOTLEY__PHASE_COMBINE, decoded, begin, rows);
}

/* Rows and pairs out; returns the bit of the pairs, which come first. */
static uint64_t list_dispatch(motley_layer *layer, struct motley__step *step, uint64_t routed, uint64_t *arrived)
{
    uint64_t encoded[MOTLEY__CHUNKS_MOST], listed;
    uint64_t counted = motley__step_add(step, (struct motley__op){.name = "counts", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_DISPATCH, .after = routed, .begin = motley__forward_count, .self = layer,
        .test = motley__counts_test, .missing = motley__counts_missing, .request = layer->counts});

    if (layer->gateway)
        routed |= dispatch_far(layer, step, routed | counted, "encode for nodes", motley__forward_encode_far,
                               motley__forward_dispatch_far, layer->gateway->dispatch);
    for (int c = 0; c < layer->chunks; c++)
        encoded[c] = compute(&layer->number[c], step, "encode", MOTLEY__PHASE_DISPATCH, routed, motley__forward_encode);
    listed = motley__step_add(step, (struct motley__op){.name = "pairs", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_DISPATCH, .after = counted | encoded[0], .begin = motley__forward_lists, .self = layer,
        .test = motley__forward_lists_test, .missing = motley__forward_lists_missing, .request = layer});
    dispatch(layer, step, counted, encoded, motley__forward_dispatch, layer->dispatch, arrived);
    return listed;
}

/* The chunk that a batch computes, -1: one of own pairs.  With one chunk they are one. */
static int chunk_of(const motley_layer *layer, int batch)
{
    if (!layer->peers || (layer->chunks > 1 && (batch == 0 || batch > layer->chunks)))
        return -1;
    return layer->chunks > 1 ? batch - 1 : 0;
}

/* Experts batch after batch; what is due to other ranks goes back at once.  Returns what came back, *multiplied the
 * last batch. */
static uint64_t list_experts(motley_layer *layer, struct motley__step *step, uint64_t fetched, const uint64_t *arrived,
                             uint64_t *multiplied)
{
    uint64_t returned = 0;

    for (int b = 0; b < layer->batches; b++) {
        const int c = chunk_of(layer, b);

        *multiplied = compute(&layer->number[b], step, "experts", MOTLEY__PHASE_EXPERTS,
                              fetched | (c >= 0 ? arrived[c] : 0), motley__forward_experts);
        if (c >= 0) {
            uint64_t weighed = compute(&layer->number[c], step, "weigh", MOTLEY__PHASE_COMBINE, 0,
                                       motley__forward_weigh);

            returned |= transfer(layer, c, step, MOTLEY__PHASE_COMBINE, weighed, motley__forward_combine,
                                 layer->combine);
        }
    }
    return returned;
}

static void list_forward(motley_layer *layer, struct motley__step *step)
{
    uint64_t arrived[MOTLEY__CHUNKS_MOST], chosen, placed = 0, counted = 0, routed, listed = 0, fetched = 0;
    uint64_t multiplied = 0, returned, far = 0;

    if (motley__layer_fetches(layer))
        fetched = fetch(layer, step);
    if (layer->routing.noise > 0 && layer->context->size > 1)
        placed = list_position(layer, step);
    chosen = compute(layer, step, "gate", MOTLEY__PHASE_GATE, placed, motley__forward_gate);
    if (layer->capacity)
        counted = list_capacity(layer, step, chosen);
    if (layer->gateway)
        counted = list_crossing(layer, step, counted);
    routed = compute(layer, step, "route", MOTLEY__PHASE_GATE, counted, motley__forward_route);
    if (layer->peers)
        listed = list_dispatch(layer, step, routed, arrived);
    if (motley__layer_has_losses(layer))
        list_losses(layer, step);
    compute(layer, step, "place", MOTLEY__PHASE_EXPERTS, listed, motley__forward_place);
    returned = list_experts(layer, step, fetched, arrived, &multiplied);
    if (layer->next && motley__layer_fetches(layer->next))
        prefetch(layer, step, multiplied, motley__forward_prefetch);
    if (layer->gateway)
        far = combine_far(layer, step, returned, "decode for nodes", motley__forward_decode_guests,
                          motley__forward_combine_far, layer->gateway->combine);
    compute(layer, step, "decode", MOTLEY__PHASE_COMBINE, returned, motley__forward_decode);
    if (layer->gateway)
        compute(layer, step, "decode from nodes", MOTLEY__PHASE_COMBINE, far, motley__forward_decode_far);
}

/* The same for backward: gradients of weights, for which nobody waits, hide what goes back. */
static uint64_t list_experts_backward(motley_layer *layer, struct motley__step *step, uint64_t fetched,
                                      const uint64_t *arrived, uint64_t *multiplied)
{
    uint64_t returned = 0;

    for (int b = 0; b < layer->batches; b++) {
        const int c = chunk_of(layer, b);

        compute(&layer->number[b], step, "experts backward", MOTLEY__PHASE_EXPERTS,
                fetched | (c >= 0 ? arrived[c] : 0), motley__backward_experts);
        if (c >= 0) {
            uint64_t gathered = compute(&layer->number[c], step, "gather dx", MOTLEY__PHASE_COMBINE, 0,
                                        motley__backward_gather);

            returned |= transfer(layer, c, step, MOTLEY__PHASE_COMBINE, gathered, motley__backward_combine,
                                 layer->combine_back);
        }
        *multiplied = compute(&layer->number[b], step, "experts' gradients", MOTLEY__PHASE_EXPERTS, 0,
                              motley__backward_gradients);
    }
    return returned;
}

static void list_backward(motley_layer *layer, struct motley__step *step)
{
    uint64_t arrived[MOTLEY__CHUNKS_MOST], encoded[MOTLEY__CHUNKS_MOST], fetched = 0, returned, multiplied = 0;
    uint64_t far = 0;

    if (layer->cache && layer->cache->experts && layer->cache->holds != layer->stored)
        fetched = fetch(layer, step);
    if (layer->cache && layer->cache->settle.owner)
        fetched |= settle(layer, step, 0, 0, go_on);
    if (layer->gateway)
        far = dispatch_far(layer, step, 0, "encode dy for nodes", motley__backward_encode_far,
                           motley__backward_dispatch_far, layer->gateway->dispatch_back);
    for (int c = 0; layer->peers && c < layer->chunks; c++)
        encoded[c] = compute(&layer->number[c], step, "encode dy", MOTLEY__PHASE_DISPATCH, far,
                             motley__backward_encode);
    if (layer->peers)
        dispatch(layer, step, 0, encoded, motley__backward_dispatch, layer->dispatch_back, arrived);
    returned = list_experts_backward(layer, step, fetched, arrived, &multiplied);
    if (layer->cache)
        settle(layer, step, multiplied, layer->previous != NULL, motley__backward_settle);
    if (layer->cache && layer->cache->experts && layer->previous)
        prefetch(layer, step, multiplied, motley__backward_prefetch);
    if (layer->gateway)
        far = combine_far(layer, step, returned, "decode dx for nodes", motley__backward_decode_guests,
                          motley__backward_combine_far, layer->gateway->combine_back);
    compute(layer, step, "decode dx", MOTLEY__PHASE_COMBINE, returned, motley__backward_decode);
    if (layer->gateway)
        compute(layer, step, "decode dx from nodes", MOTLEY__PHASE_COMBINE, far, motley__backward_decode_far);
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
    status = motley__agree_within(layer->context->comm, layer->context->time_limit, status, error);
    if (!status)
        status = motley__layer_share_news(layer, error);
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
