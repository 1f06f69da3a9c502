/* The most that a layer can take of a device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <math.h>

#include "cost/cost.h"
#include "device/storage.h"
#include "exchange/redistribution.h"
#include "layer/gate.h"
#include "layer/gateway.h"
#include "plan/room.h"

/* One rank among others.  inside: rows go by gateways (layer/gateway.h), so directly only within its node. */
struct place {
    const motley_plan *plan;
    int rank, inside;
    const int *node_of;              /* [R] */
};

static int reaches(const struct place *p, int other)
{
    return !p->inside || p->node_of[other] == p->node_of[p->rank];
}

/* Rows that a token on this rank can send: in its buffer, one for a group, and to other ranks. */
static void count_takers(const struct place *p, double *groups, double *ranks)
{
    const motley_plan *plan = p->plan;
    const int K = plan->shape.K;
    int serving = 0, takers = 0, largest = 0;
    for (int g = 0; g < plan->G; g++) {
        int members = 0;
        for (int i = plan->first_member[g]; i < plan->first_member[g + 1]; i++) {
            const int takes = plan->computed.rank[plan->member[i]].experts > 0 && reaches(p, plan->member[i]);
            members += takes;
            takers += takes && plan->member[i] != p->rank;
        }
        serving += members > 0;
        largest = members > largest ? members : largest;
    }
    *groups = plan->options.duplicate ? K : fmin(K, serving);
    *ranks = plan->options.duplicate ? (double)K * largest : fmin((double)K * largest, takers);
}

/* Other nodes, and the tokens of their ranks for which this rank is the gateway. */
static int count_guests(const struct place *p, double *guests)
{
    const motley_plan *plan = p->plan;
    int nodes = 0;
    *guests = 0;
    for (int r = 0; r < plan->R; r++) {
        int seen = reaches(p, r);
        if (!seen && motley__gateway_of(p->node_of, plan->R, r, p->node_of[p->rank]) == p->rank)
            *guests += (double)plan->rank[r].tokens;
        for (int before = 0; before < r && !seen; before++)
            seen = p->node_of[before] == p->node_of[r];
        nodes += !seen;
    }
    return nodes;
}

static struct motley__duty most_of(const struct place *p)
{
    const motley_plan *plan = p->plan;
    const int data = plan->mode == MOTLEY_MODE_DATA;
    const struct motley__holding *own = data ? &plan->stored.rank[p->rank] : &plan->computed.rank[p->rank];
    const double tokens = (double)plan->rank[p->rank].tokens, all = (double)plan->options.tokens, K = plan->shape.K;
    const double times = plan->options.duplicate ? K : 1; /* that a token goes to a rank */
    struct motley__duty duty = {.experts = own->stored, .replicas = own->experts - own->stored,
                                .lots = motley__plan_lots(plan),
                                .named = plan->replicas ? plan->shape.E + plan->replicas : 0,
                                .width = own->end - own->begin, .caches = data, .tokens = tokens, .pairs = tokens * K};
    double groups, ranks, guests = 0;
    if (data)
        return duty;
    count_takers(p, &groups, &ranks);
    if (p->inside)
        duty.sets = count_guests(p, &guests);
    duty.guests = times * guests;
    duty.crossing = times * tokens * duty.sets;
    duty.pairs = all * fmin(K, own->experts);
    duty.gathered = (tokens + duty.guests) * groups;
    duty.sent = (tokens + duty.guests) * ranks;
    duty.received = own->experts ? times * (all - tokens - guests) : 0;
    return duty;
}

/* The pieces in which weights come into data mode's cache, and gradients leave it. */
static uint64_t pieces_bytes(const motley_plan *plan)
{
    const uint64_t way = (uint64_t)MOTLEY__REDISTRIBUTION_SLOTS * MOTLEY__PIECE_BYTES;
    const uint64_t lists = 4 * sizeof(int) * ((uint64_t)plan->shape.E * (uint64_t)plan->R + 1); /* experts in common */
    return (plan->options.backward ? 2 : 1) * (2 * way + lists);
}

struct motley__room motley__room_of_layer(const motley_plan *plan, int rank, const int *node_of, int panel)
{
    const struct motley_layer_shape *shape = &plan->shape;
    const struct place place = {plan, rank, plan->exchange == MOTLEY_EXCHANGE_HIERARCHICAL, node_of};
    const struct motley_plan_options alone = {.tokens = plan->options.tokens, .backward = plan->options.backward,
                                               .wire = plan->options.wire, .capacity = plan->options.capacity};
    const struct motley__duty duty = most_of(&place);
    const double number = (double)motley__storage_bytes(shape->dtype), D = shape->D;
    const double rows = fmax(fmax(duty.received + duty.guests, fmax(duty.sent, duty.crossing)),
                             fmax(duty.gathered, duty.tokens));
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
