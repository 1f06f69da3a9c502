/* The most that a layer can take of a device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <math.h>

#include "device/storage.h"
#include "exchange/redistribution.h"
#include "layer/gate.h"
#include "plan/cost.h"
#include "plan/room.h"

/* Groups and ranks that a token of this rank can go to. */
static void count_takers(const motley_plan *plan, int rank, double *groups, double *ranks)
{
    const int K = plan->shape.K;
    int serving = 0, takers = 0, largest = 0;
    for (int g = 0; g < plan->G; g++) {
        int members = 0;
        for (int i = plan->first_member[g]; i < plan->first_member[g + 1]; i++) {
            const int takes = plan->stored.rank[plan->member[i]].experts > 0;
            members += takes;
            takers += takes && plan->member[i] != rank;
        }
        serving += members > 0;
        largest = members > largest ? members : largest;
    }
    *groups = fmin(K, serving);
    *ranks = fmin((double)K * largest, takers);
}

static struct motley__duty most_of(const motley_plan *plan, int rank)
{
    const int data = plan->mode == MOTLEY_MODE_DATA;
    const struct motley__holding *own = data ? &plan->stored.rank[rank] : &plan->computed.rank[rank];
    const double tokens = (double)plan->rank[rank].tokens, all = (double)plan->options.tokens, K = plan->shape.K;
    struct motley__duty duty = {.experts = own->experts, .width = own->end - own->begin, .caches = data,
                                .tokens = tokens, .pairs = tokens * K};
    double groups, ranks;
    if (data)
        return duty;
    count_takers(plan, rank, &groups, &ranks);
    duty.pairs = all * fmin(K, own->experts);
    duty.gathered = tokens * groups;
    duty.sent = tokens * ranks;
    duty.received = own->experts ? all - tokens : 0;
    return duty;
}

/* The pieces in which weights come into data mode's cache, and gradients leave it. */
static uint64_t pieces_bytes(const motley_plan *plan)
{
    const uint64_t way = (uint64_t)MOTLEY__REDISTRIBUTION_SLOTS * MOTLEY__PIECE_BYTES;
    const uint64_t lists = 4 * sizeof(int) * ((uint64_t)plan->shape.E * (uint64_t)plan->R + 1); /* experts in common */
    return (plan->options.backward ? 2 : 1) * (2 * way + lists);
}

struct motley__room motley__room_of_layer(const motley_plan *plan, int rank, int panel)
{
    const struct motley_layer_shape *shape = &plan->shape;
    const struct motley_plan_options alone = {.tokens = plan->options.tokens, .backward = plan->options.backward};
    const struct motley__duty duty = most_of(plan, rank);
    const double number = (double)motley__storage_bytes(shape->dtype), D = shape->D;
    const double rows = fmax(fmax(duty.received, duty.sent), fmax(duty.gathered, duty.tokens));
    const double hidden = duty.pairs * fmax(D, duty.caches ? shape->F : duty.width);
    const uint64_t scores = motley__gate_scratch_bytes(NULL, (int)fmin(duty.tokens, INT_MAX), shape->E);
    struct motley__room room = {
        .bytes = motley__cost_bytes(shape, &alone, plan->R, &duty, panel) + (uint64_t)(2 * number * duty.tokens * D),
        .largest = (uint64_t)(number * fmax(hidden, rows * D)),
    };
    room.bytes += duty.caches ? pieces_bytes(plan) : 0;
    room.largest = scores > room.largest ? scores : room.largest;
    return room;
}
