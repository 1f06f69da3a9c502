/* What each phase of a step takes each rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "cost/hierarchy.h"
#include "cost/phases.h"
#include "cost/replica.h"
#include "device/storage.h"
#include "layer/expert.h"

enum {
    GATE_KERNELS = 6,                /* logits, softmax and choice, and four of the route */
    MESSAGES = 3,                    /* of rows from rank to rank: counts, rows, their pairs */
    ROW_BYTES = 8, PAIR_BYTES = 6,   /* that go with a row, and with each of its pairs */
    WIRE_MOVES = 5                   /* bytes that a CPU moves in memory for each that it sends or receives over TCP
                                      * (doc/performance.md, Links) */
};

static const struct motley__move *move_of(const struct motley__predicting *w, int r)
{
    return &w->task->entry[r]->move;
}

/* A kernel that reads and writes so many numbers of the storage type in rows of D. */
static double move_rows(const struct motley__predicting *w, int r, double rows)
{
    const struct motley__move *move = move_of(w, r);
    const double bytes = rows * w->task->shape.D * (double)motley__storage_bytes(w->task->shape.dtype);
    return move->launch + (move->bandwidth > 0 ? bytes / move->bandwidth : 0);
}

static double move_bytes(const struct motley__predicting *w, int r, double bytes)
{
    const struct motley__move *move = move_of(w, r);
    return move->bandwidth > 0 ? bytes / move->bandwidth : 0;
}

/* Bytes of a row between ranks. */
static double row_bytes(const struct motley__predicting *w)
{
    const enum motley_dtype type = motley__storage_narrower(w->task->shape.dtype, w->task->options.wire);
    return w->task->shape.D * (double)motley__storage_bytes(type);
}

/* Between the device and host memory, where it has its own: so many bytes out of it, and into it. */
static double stage(const struct motley__predicting *w, int r, double out, double in)
{
    const struct motley__copy *copy = &w->task->entry[r]->copy;
    return copy->out > 0 && copy->in > 0 ? out / copy->out + in / copy->in : 0;
}

/* The same for rows. */
static double stage_rows(const struct motley__predicting *w, int r, double out, double in)
{
    return stage(w, r, row_bytes(w) * out, row_bytes(w) * in);
}

/* Products of [T,D] with [D,E], `count` of them, and passes over [T,E]. */
static double gate_seconds(const struct motley__predicting *w, int r, int count)
{
    const struct motley_layer_shape *shape = &w->task->shape;
    const struct motley__dense_time *dense = &w->task->entry[r]->dense;
    const double tokens = w->duty[r].tokens, flops = 2.0 * count * tokens * shape->D * shape->E;
    const double speed = dense->seconds > 0 ? 6.0 * dense->T * dense->O * dense->I / dense->seconds : INFINITY;
    return flops / speed + move_bytes(w, r, 4.0 * 4 * tokens * shape->E) + GATE_KERNELS * move_of(w, r)->launch;
}

/* What of an exchange's seconds leaves the rank free to compute: on a GPU all, on a CPU what its cores do not spend on
 * the messages. */
static void split_seconds(struct motley__predicting *w)
{
    double give = 0, take = 0;
    for (int r = 0; r < w->task->R; r++) {
        give += w->give[r];
        take += w->take[r];
    }
    for (int r = 0; r < w->task->R; r++) {
        const int cpu = w->task->entry[r]->copy.out <= 0;
        const double bytes = w->give[r] * (take - w->take[r]) + w->take[r] * (give - w->give[r]);
        w->wire[r] = fmax(0, w->seconds[r] - (cpu ? move_bytes(w, r, WIRE_MOVES * bytes) : 0));
    }
}

/* An exchange by give and take, its seconds in w->seconds.  back: the way back. */
static int exchange(struct motley__predicting *w, int back, int messages)
{
    struct motley__traffic traffic = {0};
    int status = 0;
    for (int r = 0; r < w->task->R; r++)
        w->seconds[r] = w->wire[r] = 0;
    if (!w->task->links)
        return 0;
    status = motley__link_exchange(w->task->links, back ? w->take : w->give, back ? w->give : w->take, messages,
                                   w->seconds, &traffic, w->error);
    w->total.moved += traffic.bytes;
    w->total.node_moved += traffic.node_bytes;
    split_seconds(w);
    return status;
}

/* Bytes of a row to a rank, as an exchange's give and take: tokens of the sender, and what each brings to the receiver.
 * pairs: bytes that go with each pair. */
static void fill_rows(struct motley__predicting *w, int row, int pair)
{
    const struct motley_layer_shape *shape = &w->task->shape;
    const double bytes = row_bytes(w) + row;
    for (int r = 0; r < w->task->R; r++) {
        w->give[r] = w->duty[r].tokens;
        w->take[r] = w->duty[r].reach * bytes + (double)pair * shape->K * w->duty[r].part;
    }
}

int motley__phases_rows(struct motley__predicting *w, int backward)
{
    int status;
    fill_rows(w, backward ? 0 : ROW_BYTES, backward ? 0 : PAIR_BYTES);
    status = exchange(w, 0, backward ? 1 : MESSAGES);
    for (int r = 0; r < w->task->R && !status; r++) {
        struct motley__phases *phases = backward ? &w->cost[r].backward : &w->cost[r].forward;
        const double staged = stage_rows(w, r, w->duty[r].gathered, w->duty[r].received);
        phases->dispatch = move_rows(w, r, 2 * w->duty[r].gathered) + w->seconds[r] + staged;
        phases->out = w->wire[r] + staged;
    }
    fill_rows(w, 0, backward ? (int)sizeof(float) : 0);
    if (!status)
        status = exchange(w, 1, backward ? 2 : 1);
    for (int r = 0; r < w->task->R && !status; r++) {
        struct motley__phases *phases = backward ? &w->cost[r].backward : &w->cost[r].forward;
        const struct motley__duty *duty = &w->duty[r];
        const double all = (double)w->task->options.tokens;
        const double apart = all > 0 ? duty->pairs * (1 - duty->tokens / all) : 0; /* pairs of received rows */
        const double staged = stage_rows(w, r, duty->received, duty->sent);
        phases->back = w->wire[r] + staged;
        phases->combine = w->seconds[r] + staged + move_rows(w, r, apart + duty->received) +
                          move_rows(w, r, duty->pairs - apart + duty->sent + duty->tokens);
    }
    return status;
}

/* Of so many seconds between nodes, in which rows of so many bytes cross, those that leave the rank free to compute;
 * with what goes between host and device meanwhile. */
static double between_nodes(const struct motley__predicting *w, int r, double seconds, double row, int back)
{
    const struct motley__duty *d = &w->duty[r];
    const int cpu = w->task->entry[r]->copy.out <= 0;
    const double busy = cpu ? move_bytes(w, r, WIRE_MOVES * row * (d->crossing + d->guests)) : 0;
    return fmax(0, seconds - busy) + (back ? stage_rows(w, r, d->guests, d->crossing)
                                           : stage_rows(w, r, d->crossing, d->guests));
}

/* The same through gateways; what kernels move more are the rows between nodes. */
static int hops_direction(struct motley__predicting *w, const struct motley__hierarchy *h, int backward)
{
    const double row = row_bytes(w);
    const double K = w->task->shape.K;
    int status = 0;
    for (int back = 0; back < 2 && !status; back++) {
        struct motley__traffic traffic = {0};
        const double with_row = back || backward ? 0 : ROW_BYTES;
        const double with_pair = !back ? (backward ? 0 : PAIR_BYTES) : backward ? (double)sizeof(float) : 0;
        const int messages = back ? (backward ? 2 : 1) : backward ? 1 : MESSAGES;
        status = motley__hierarchy_exchange(h, row + with_row, with_pair * K, back, messages, w->seconds, &traffic,
                                            w->error);
        w->total.moved += traffic.bytes;
        w->total.node_moved += traffic.node_bytes;
        for (int r = 0; r < w->task->R && !status; r++) {
            struct motley__phases *phases = backward ? &w->cost[r].backward : &w->cost[r].forward;
            const struct motley__duty *d = &w->duty[r];
            const double far = between_nodes(w, r, w->seconds[r] - h->seconds[r], row + with_row, back);
            if (back) {
                phases->back = far;
                phases->combine = w->seconds[r] + stage_rows(w, r, d->guests + d->received, d->crossing + d->sent) +
                                  move_rows(w, r, d->pairs + 2 * d->received + 2 * d->guests) +
                                  move_rows(w, r, d->sent + d->crossing + 2 * d->tokens);
                phases->inside += h->seconds[r] + stage_rows(w, r, d->received, d->sent);
            } else {
                phases->out = far;
                phases->dispatch = move_rows(w, r, 2 * (d->crossing + d->gathered)) + w->seconds[r] +
                                   stage_rows(w, r, d->crossing + d->gathered, d->guests + d->received);
                phases->inside = h->seconds[r] + stage_rows(w, r, d->gathered, d->received);
            }
        }
    }
    return status;
}

int motley__phases_hops(struct motley__predicting *w)
{
    struct motley__hierarchy h;
    int status = motley__hierarchy_open(w->task, w->division, w->duty, &h, w->error);
    if (status)
        return status;
    for (int r = 0; r < w->task->R; r++) {
        const struct motley__hops own = motley__hierarchy_hops(&h, r);
        w->duty[r].crossing = own.crossing;
        w->duty[r].guests = own.guests;
        w->duty[r].gathered = w->duty[r].sent = own.sent;
        w->duty[r].received = own.received;
        w->duty[r].sets = w->task->links->nodes - 1;
    }
    for (int backward = 0; backward <= !!w->task->options.backward && !status; backward++)
        status = hops_direction(w, &h, backward);
    motley__hierarchy_close(&h);
    return status;
}

int motley__phases_weights(struct motley__predicting *w, int backward)
{
    const struct motley_layer_shape *shape = &w->task->shape;
    const int copies = backward ? 1 : 0; /* gradients are f32 */
    const double whole = (double)motley__experts_bytes(shape, shape->E, 0, 1, copies, 0) -
                         (backward ? (double)motley__experts_bytes(shape, shape->E, 0, 1, 0, 0) : 0);
    const double again = backward && w->task->options.layers > 1 ? /* the cache has held other layers since */
                         (double)motley__experts_bytes(shape, shape->E, 0, 1, 0, 0) : 0;
    int status;
    for (int r = 0; r < w->task->R; r++) {
        w->give[r] = (whole + again) * w->division->width[r] / shape->F;
        w->take[r] = 1;
    }
    status = exchange(w, 0, 2 * shape->E); /* gradients go the other way round, which costs the same */
    for (int r = 0; r < w->task->R && !status; r++) {
        struct motley__phases *phases = backward ? &w->cost[r].backward : &w->cost[r].forward;
        phases->weights = w->seconds[r] + stage(w, r, w->give[r], whole + again) +
                          move_bytes(w, r, 2 * (w->give[r] + whole + again));
        phases->combine = move_rows(w, r, w->duty[r].pairs + w->duty[r].tokens);
    }
    return status;
}

void motley__phases_replicas(struct motley__predicting *w)
{
    const struct motley__division *division = w->division;
    for (int i = 0; i < division->replicas; i++) {
        const struct motley__replica *replica = &division->replica[i];
        const int g = division->group_of[replica->rank], owner = division->owner[replica->expert];
        const struct motley__replica_moves moves = motley__replica_moves(w->task, division, owner, replica->rank);
        for (int r = 0; r < division->R; r++)
            if (division->group_of[r] == g || division->group_of[r] == owner) {
                w->cost[r].forward.weights += moves.there;
                w->cost[r].backward.weights += moves.back;
            }
        w->total.moved += moves.bytes;
        w->total.node_moved += moves.nodes ? moves.bytes : 0;
    }
}

void motley__phases_compute(struct motley__predicting *w, int r)
{
    struct motley__rank_cost *cost = &w->cost[r];
    const double all = motley__division_seconds(w->task, w->division, r, 0);
    const double forward = motley__division_seconds(w->task, w->division, r, 1);
    cost->forward.gate = gate_seconds(w, r, 1);
    cost->forward.experts = w->duty[r].pairs > 0 ? forward + 2 * move_of(w, r)->launch : 0;
    if (w->task->options.backward) {
        cost->backward.gate = gate_seconds(w, r, 2);
        cost->backward.experts = fmax(0, all - forward); /* curves of both directions are bounded apart */
    }
    if (w->duty[r].pairs > 0 && !(all > 0))
        w->total.known = 0;
    cost->bytes = motley__cost_bytes(&w->task->shape, &w->task->options, w->task->R, &w->duty[r],
                                     w->task->entry[r]->panel);
    w->total.bytes = cost->bytes > w->total.bytes ? cost->bytes : w->total.bytes;
}

void motley__phases_alone(struct motley__predicting *w)
{
    w->cost[0].forward.combine = move_rows(w, 0, w->duty[0].pairs + w->duty[0].tokens);
    w->cost[0].backward.combine = w->task->options.backward ? w->cost[0].forward.combine : 0;
}
