/* Rows out, experts, rows back, chunk by chunk, forward and backward alike; the contract is lists.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/lists.h"

static const struct motley__ops none;

struct named {
    const char *name;
    motley__operator *begin;
};

struct motley__direction {
    int backward;
    struct named encode_far, list, encode, experts, sum, gradients, sum_guests; /* computations; NULL: there is none */
    motley__operator *widen_far, *widen; /* where rows are rounded to travel */
    motley__operator *dispatch_far, *dispatch, *combine, *combine_far;
};

const struct motley__direction motley__forward_rows = {
    .encode_far = {"encode for nodes", motley__forward_encode_far},
    .list = {"list", motley__forward_list},
    .encode = {"encode", motley__forward_encode},
    .experts = {"experts", motley__forward_experts},
    .sum = {"weigh", motley__forward_weigh},
    .sum_guests = {"decode for nodes", motley__forward_decode_guests},
    .widen_far = motley__forward_widen_far,
    .widen = motley__forward_widen,
    .dispatch_far = motley__forward_dispatch_far,
    .dispatch = motley__forward_dispatch,
    .combine = motley__forward_combine,
    .combine_far = motley__forward_combine_far,
};

/* Gradients of weights, for which nobody waits, hide what goes back. */
const struct motley__direction motley__backward_rows = {
    .backward = 1,
    .encode_far = {"encode dy for nodes", motley__backward_encode_far},
    .encode = {"encode dy", motley__backward_encode},
    .experts = {"experts backward", motley__backward_experts},
    .sum = {"gather dx", motley__backward_gather},
    .gradients = {"experts' gradients", motley__backward_gradients},
    .sum_guests = {"decode dx for nodes", motley__backward_decode_guests},
    .widen_far = motley__backward_widen_far,
    .widen = motley__backward_widen,
    .dispatch_far = motley__backward_dispatch_far,
    .dispatch = motley__backward_dispatch,
    .combine = motley__backward_combine,
    .combine_far = motley__backward_combine_far,
};

static struct motley__ops compute(struct motley__pipeline *p, const struct named *what, int number,
                                  enum motley__phase phase, struct motley__ops after)
{
    return motley__list_compute(p->step, &p->layer->number[number], what->name, phase, after, what->begin);
}

/* A chunk's rows, each as soon as they are laid out and the chunk before has arrived; where rows are staged, the one
 * before that, so that copies and messages go at the same time. */
static struct motley__ops dispatch(struct motley__pipeline *p, int chunk, struct motley__ops encoded,
                                   const struct motley__ops *arrived, motley__operator *begin,
                                   struct motley__transfer *const *rows)
{
    const int ahead = p->layer->context->device->zero_copy ? 1 : 2;
    struct motley__ops after = motley__ops_both(p->sized, encoded);

    if (chunk >= ahead)
        after = motley__ops_both(after, arrived[chunk - ahead]);
    return motley__list_transfer(p->step, &p->layer->number[chunk], MOTLEY__PHASE_DISPATCH, after, begin, rows[chunk]);
}

static void dispatch_near(struct motley__pipeline *p, int c)
{
    p->arrived[c] = dispatch(p, c, p->encoded[c], p->arrived, p->way->dispatch,
                             p->way->backward ? p->layer->dispatch_back : p->layer->dispatch);
}

static void dispatch_far(struct motley__pipeline *p, int c)
{
    const struct motley__gateway *gateway = p->layer->gateway;

    p->crossed[c] = dispatch(p, c, p->encoded[0], p->crossed, p->way->dispatch_far,
                             p->way->backward ? gateway->dispatch_back : gateway->dispatch);
}

struct motley__ops motley__pipeline_encode(struct motley__pipeline *p, struct motley__ops after)
{
    const struct motley__direction *way = p->way;

    if (!p->layer->gateway) {
        for (int c = 0; c < p->layer->chunks; c++)
            p->encoded[c] = compute(p, &way->encode, c, MOTLEY__PHASE_DISPATCH, after);
        return p->encoded[0];
    }
    p->encoded[0] = compute(p, &way->encode_far, 0, MOTLEY__PHASE_DISPATCH, after);
    return way->list.begin ? compute(p, &way->list, 0, MOTLEY__PHASE_DISPATCH, none) : none;
}

void motley__pipeline_dispatch(struct motley__pipeline *p, struct motley__ops sized)
{
    p->sized = sized;
    if (p->layer->gateway) {
        dispatch_far(p, 0);
        return;
    }
    for (int c = 0; c < p->layer->chunks; c++)
        dispatch_near(p, c);
}

/* What came in a chunk, as it was before it was rounded to travel. */
static void widen(struct motley__pipeline *p, int c, const char *name, struct motley__ops arrived,
                  motley__operator *begin)
{
    if (motley__layer_narrows(p->layer))
        motley__list_compute(p->step, &p->layer->number[c], name, MOTLEY__PHASE_DISPATCH, arrived, begin);
}

/* What crossed is spread inside the node; the next chunk is on its way meanwhile. */
static void spread(struct motley__pipeline *p, int c)
{
    if (c + 1 < p->layer->chunks)
        dispatch_far(p, c + 1);
    widen(p, c, "widen from nodes", p->crossed[c], p->way->widen_far);
    p->encoded[c] = compute(p, &p->way->encode, c, MOTLEY__PHASE_DISPATCH, p->crossed[c]);
    dispatch_near(p, c);
}

/* Sums for guests, back to their nodes. */
static void cross_back(struct motley__pipeline *p, int c)
{
    const struct motley__gateway *gateway = p->layer->gateway;
    struct motley__ops summed = compute(p, &p->way->sum_guests, c, MOTLEY__PHASE_COMBINE, p->back[c]);
    struct motley__ops crossed = motley__list_transfer(p->step, &p->layer->number[c], MOTLEY__PHASE_COMBINE, summed,
        p->way->combine_far, p->way->backward ? gateway->combine_back[c] : gateway->combine[c]);

    p->crossed_back = motley__ops_both(p->crossed_back, crossed);
}

/* Back inside the node. */
static void combine(struct motley__pipeline *p, int c)
{
    struct motley__ops summed = compute(p, &p->way->sum, c, MOTLEY__PHASE_COMBINE, none);

    p->back[c] = motley__list_transfer(p->step, &p->layer->number[c], MOTLEY__PHASE_COMBINE, summed, p->way->combine,
                                       p->way->backward ? p->layer->combine_back[c] : p->layer->combine[c]);
    p->returned = motley__ops_both(p->returned, p->back[c]);
}

/* The chunk that a batch computes, -1: one of own pairs.  With one chunk they are one. */
static int chunk_of(const motley_layer *layer, int batch)
{
    if (!layer->peers || (layer->chunks > 1 && (batch == 0 || batch > layer->chunks)))
        return -1;
    return layer->chunks > 1 ? batch - 1 : 0;
}

void motley__pipeline_experts(struct motley__pipeline *p, struct motley__ops fetched)
{
    const motley_layer *layer = p->layer;

    for (int b = 0; b < layer->batches; b++) {
        const int c = chunk_of(layer, b);

        if (c >= 0 && layer->gateway)
            spread(p, c);
        if (c >= 0)
            widen(p, c, "widen", p->arrived[c], p->way->widen);
        p->multiplied = compute(p, &p->way->experts, b, MOTLEY__PHASE_EXPERTS,
                                c >= 0 ? motley__ops_both(fetched, p->arrived[c]) : fetched);
        if (c >= 0)
            combine(p, c);
        if (c > 0 && layer->gateway)
            cross_back(p, c - 1);
        if (p->way->gradients.begin)
            p->multiplied = compute(p, &p->way->gradients, b, MOTLEY__PHASE_EXPERTS, none);
        if (c == layer->chunks - 1 && layer->gateway)
            cross_back(p, c);
    }
}
