/* Parts of the lists of a step that are the same however rows travel; the contract is lists.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/lists.h"

static const struct motley__ops none;

struct motley__ops motley__list_compute(struct motley__step *step, void *self, const char *name,
                                        enum motley__phase phase, struct motley__ops after, motley__operator *begin)
{
    return motley__step_add(step, (struct motley__op){.name = name, .stream = MOTLEY__COMPUTATION, .phase = phase,
        .after = after, .begin = begin, .self = self});
}

struct motley__ops motley__list_transfer(struct motley__step *step, void *self, enum motley__phase phase,
                                         struct motley__ops after, motley__operator *begin,
                                         struct motley__transfer *transfer)
{
    return motley__step_add(step, (struct motley__op){.name = transfer->name, .stream = MOTLEY__COMMUNICATION,
        .phase = phase, .after = after, .begin = begin, .self = self, .test = motley__transfer_test,
        .missing = motley__transfer_missing, .request = transfer});
}

struct motley__ops motley__list_counts(struct motley__step *step, void *self, const char *name,
                                       struct motley__ops after, motley__operator *begin, struct motley__counts *counts)
{
    return motley__step_add(step, (struct motley__op){.name = name, .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_DISPATCH, .after = after, .begin = begin, .self = self, .test = motley__counts_test,
        .missing = motley__counts_missing, .request = counts});
}

struct motley__ops motley__list_capacity(motley_layer *layer, struct motley__step *step, struct motley__ops counted)
{
    struct motley__op share = {.name = "share counts", .stream = MOTLEY__COMMUNICATION, .phase = MOTLEY__PHASE_GATE,
        .after = counted, .begin = motley__drop_share, .self = layer, .test = motley__drop_share_test,
        .request = layer};
    struct motley__ops shared = motley__step_add(step, share);

    share.name = "share scores";
    share.begin = motley__drop_share_digits;
    share.test = motley__drop_share_digits_test;
    for (int i = 0; i < MOTLEY__CAPACITY_DIGITS && layer->capacity->prioritised; i++) {
        share.after = motley__list_compute(step, layer, "count scores", MOTLEY__PHASE_GATE, shared,
                                           motley__drop_digits);
        shared = motley__step_add(step, share);
    }
    share.name = "scan counts";
    share.after = shared;
    share.begin = motley__drop_scan;
    share.test = motley__drop_scan_test;
    return motley__step_add(step, share);
}

struct motley__ops motley__list_position(motley_layer *layer, struct motley__step *step)
{
    return motley__step_add(step, (struct motley__op){.name = "share positions", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_GATE, .begin = motley__forward_position, .self = layer,
        .test = motley__forward_position_test, .request = layer});
}

void motley__list_losses(motley_layer *layer, struct motley__step *step)
{
    struct motley__ops summed = motley__list_compute(step, layer, "losses", MOTLEY__PHASE_GATE, none,
                                                     motley__forward_losses);

    motley__step_add(step, (struct motley__op){.name = "share losses", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_GATE, .after = summed, .begin = motley__forward_share_losses, .self = layer,
        .test = motley__forward_share_losses_test, .request = layer});
}

struct motley__ops motley__list_fetch(motley_layer *layer, struct motley__step *step)
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

void motley__list_prefetch(motley_layer *layer, struct motley__step *step, struct motley__ops after,
                           motley__operator *begin)
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

static struct motley__op settling(motley_layer *layer)
{
    return (struct motley__op){.name = "sum gradients", .stream = MOTLEY__COMMUNICATION,
        .phase = MOTLEY__PHASE_COMBINE, .self = layer, .missing = motley__weight_cache_settle_missing,
        .request = layer->cache};
}

struct motley__ops motley__list_settled(motley_layer *layer, struct motley__step *step)
{
    struct motley__op op = settling(layer);

    op.begin = go_on;
    op.test = motley__weight_cache_settled;
    return motley__step_add(step, op);
}

void motley__list_settle(motley_layer *layer, struct motley__step *step, struct motley__ops after)
{
    struct motley__op op = settling(layer);

    op.after = after;
    op.begin = motley__backward_settle;
    op.test = layer->previous ? leave_under_way : motley__weight_cache_settled;
    motley__step_add(step, op);
}
