/* What a step will take.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/storage.h"
#include "layer/expert.h"
#include "plan/hierarchy.h"
#include "plan/pipeline.h"
#include "plan/predict.h"
#include "plan/replicate.h"

enum {
    GATE_KERNELS = 6,                /* logits, softmax and choice, and four of the route */
    MESSAGES = 3,                    /* of rows from rank to rank: counts, rows, their pairs */
    ROW_BYTES = 8, PAIR_BYTES = 6,   /* that go with a row, and with each of its pairs */
    WIRE_MOVES = 5                   /* bytes that a CPU moves in memory for each that it sends or receives over TCP
                                      * (doc/performance.md, Links) */
};

/* The hierarchical exchange is known less well: it must be faster by so much. */
static const double LEAST_GAIN = 0.05;

/* One call of motley__predict. */
struct work {
    const struct motley__task *task;
    const struct motley__division *division;
    struct motley__rank_cost *cost;
    struct motley__duty *duty;       /* [R] owned, and so are the next three */
    double *give, *take;             /* [R] of an exchange */
    double *seconds, *wire;          /* [R] what it takes, and the part in which the rank can compute */
    enum motley_exchange exchange;   /* how rows travel in this prediction */
    struct motley__prediction total;
    struct motley_error *error;
};

static const struct motley__move *move_of(const struct work *w, int r)
{
    return &w->task->entry[r]->move;
}

/* A kernel that reads and writes so many numbers of the storage type in rows of D. */
static double move_rows(const struct work *w, int r, double rows)
{
    const struct motley__move *move = move_of(w, r);
    const double bytes = rows * w->task->shape.D * (double)motley__storage_bytes(w->task->shape.dtype);
    return move->launch + (move->bandwidth > 0 ? bytes / move->bandwidth : 0);
}

static double move_bytes(const struct work *w, int r, double bytes)
{
    const struct motley__move *move = move_of(w, r);
    return move->bandwidth > 0 ? bytes / move->bandwidth : 0;
}

/* Between the device and host memory, where it has its own: so many bytes out of it, and into it. */
static double stage(const struct work *w, int r, double out, double in)
{
    const struct motley__copy *copy = &w->task->entry[r]->copy;
    return copy->out > 0 && copy->in > 0 ? out / copy->out + in / copy->in : 0;
}

/* The same for rows. */
static double stage_rows(const struct work *w, int r, double out, double in)
{
    const double bytes = w->task->shape.D * (double)motley__storage_bytes(w->task->shape.dtype);
    return stage(w, r, bytes * out, bytes * in);
}

/* Products of [T,D] with [D,E], `count` of them, and passes over [T,E]. */
static double gate_seconds(const struct work *w, int r, int count)
{
    const struct motley_layer_shape *shape = &w->task->shape;
    const struct motley__dense_time *dense = &w->task->entry[r]->dense;
    const double tokens = w->duty[r].tokens, flops = 2.0 * count * tokens * shape->D * shape->E;
    const double speed = dense->seconds > 0 ? 6.0 * dense->T * dense->O * dense->I / dense->seconds : INFINITY;
    return flops / speed + move_bytes(w, r, 4.0 * 4 * tokens * shape->E) + GATE_KERNELS * move_of(w, r)->launch;
}

/* What of an exchange's seconds leaves the rank free to compute: on a GPU all, on a CPU what its cores do not spend on
 * the messages. */
static void split_seconds(struct work *w)
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
static int exchange(struct work *w, int back, int messages)
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
static void fill_rows(struct work *w, int row, int pair)
{
    const struct motley_layer_shape *shape = &w->task->shape;
    const double bytes = (double)shape->D * (double)motley__storage_bytes(shape->dtype) + row;
    for (int r = 0; r < w->task->R; r++) {
        w->give[r] = w->duty[r].tokens;
        w->take[r] = w->duty[r].reach * bytes + (double)pair * shape->K * w->duty[r].part;
    }
}

/* Rows out and rows back in one direction of the step. */
static int rows_direction(struct work *w, int backward)
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

/* The same through gateways; what kernels move more are the rows between nodes. */
static int hops_direction(struct work *w, const struct motley__hierarchy *h, int backward)
{
    const double row = w->task->shape.D * (double)motley__storage_bytes(w->task->shape.dtype);
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
            const double out = d->crossing + d->gathered, in = d->guests + d->received;
            if (back)
                phases->combine = w->seconds[r] + stage_rows(w, r, in, d->crossing + d->sent) +
                                  move_rows(w, r, d->pairs + 2 * d->received + 2 * d->guests) +
                                  move_rows(w, r, d->sent + d->crossing + 2 * d->tokens);
            else
                phases->dispatch = move_rows(w, r, 2 * out) + w->seconds[r] + stage_rows(w, r, out, in);
        }
    }
    return status;
}

static int hops(struct work *w)
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

/* Weights of the whole layer to every rank, or their gradients back to who stores them. */
static int weights_direction(struct work *w, int backward)
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

/* What replicas make travel, for those who have them and for their owners. */
static void add_replicas(struct work *w)
{
    const struct motley__division *division = w->division;
    for (int i = 0; i < division->replicas; i++) {
        const struct motley__replica *replica = &division->replica[i];
        const struct motley__replica_moves moves = motley__replica_moves(w->task, division, replica);
        const int g = division->group_of[replica->rank], owner = division->owner[replica->expert];
        for (int r = 0; r < division->R; r++)
            if (division->group_of[r] == g || division->group_of[r] == owner) {
                w->cost[r].forward.weights += moves.there;
                w->cost[r].backward.weights += moves.back;
            }
        w->total.moved += moves.bytes;
        w->total.node_moved += moves.nodes ? moves.bytes : 0;
    }
}

static void experts_and_gate(struct work *w, int r)
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

static struct motley__phases slowest(const struct motley__phases *a, const struct motley__phases *b)
{
    return (struct motley__phases){fmax(a->gate, b->gate), fmax(a->dispatch, b->dispatch), fmax(a->experts, b->experts),
                                   fmax(a->combine, b->combine), fmax(a->weights, b->weights),
                                   fmax(a->out, b->out), fmax(a->back, b->back)};
}

/* The ways open to rows, by what chunks hide of the phases after one another. */
static void find_ways(struct work *w)
{
    struct motley__prediction *total = &w->total;
    struct motley__chunked list[MOTLEY__CHUNKINGS];
    const double bare = total->forward_seconds + total->backward_seconds;
    if (w->exchange == MOTLEY_EXCHANGE_HIERARCHICAL) { /* sums cross when all is computed */
        total->ways = 1;
        total->way[0] = (struct motley__way){MOTLEY_EXCHANGE_HIERARCHICAL, 1, bare};
        return;
    }
    total->ways = motley__pipeline_list(w->task, w->division, w->cost, list);
    for (int i = 0; i < total->ways; i++)
        total->way[i] = (struct motley__way){MOTLEY_EXCHANGE_LINEAR, list[i].chunks,
                                             bare - list[i].forward - list[i].backward};
    total->forward_seconds -= list[0].forward;
    total->backward_seconds -= list[0].backward;
}

/* No rows travel. */
static void stay(struct work *w)
{
    w->total.ways = 1;
    w->total.way[0] = (struct motley__way){MOTLEY_EXCHANGE_LINEAR, 1,
                                           w->total.forward_seconds + w->total.backward_seconds};
}

/* The step: phases after one another, less what chunks hide; weights arrive under the gate, so what is left of them
 * counts. */
static void add_up(struct work *w)
{
    struct motley__prediction *total = &w->total;
    double alone_forward = 0, alone_backward = 0; /* of the slowest rank, where ranks do not wait for each other */
    for (int r = 0; r < w->task->R; r++) {
        const struct motley__phases *f = &w->cost[r].forward, *b = &w->cost[r].backward;
        total->forward = slowest(&total->forward, f);
        total->backward = slowest(&total->backward, b);
        alone_forward = fmax(alone_forward, f->experts + f->combine);
        alone_backward = fmax(alone_backward, b->experts + b->combine + b->gate);
    }
    const struct motley__phases *f = &total->forward, *b = &total->backward;
    if (w->division->mode == MOTLEY_MODE_DATA) {
        total->forward_seconds = fmax(f->gate, f->weights) + alone_forward;
        total->backward_seconds = b->weights + alone_backward;
    } else {
        total->forward_seconds = fmax(f->gate + f->dispatch, f->weights) + f->experts + f->combine;
        total->backward_seconds = b->gate + b->dispatch + b->experts + fmax(b->combine, b->weights);
    }
    if (w->division->mode != MOTLEY_MODE_DATA && w->task->R > 1)
        find_ways(w);
    else
        stay(w);
}

static int open_work(struct work *w)
{
    const size_t R = (size_t)w->task->R;
    w->duty = calloc(R, sizeof *w->duty);
    w->give = calloc(4 * R, sizeof *w->give);
    if (!w->duty || !w->give)
        return motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory to predict %d ranks", w->task->R);
    w->take = w->give + R;
    w->seconds = w->take + R;
    w->wire = w->seconds + R;
    return 0;
}

/* The prediction with w->exchange. */
static int predict(struct work *w)
{
    const struct motley__task *task = w->task;
    const int several = task->links && task->links->nodes > 1;
    int status = motley__division_duties(task, w->division, w->duty, w->error);
    w->total = (struct motley__prediction){.known = 1};
    memset(w->cost, 0, (size_t)task->R * sizeof *w->cost);
    if (!status && task->R > 1 && w->division->mode == MOTLEY_MODE_DATA)
        for (int backward = 0; backward <= !!task->options.backward && !status; backward++)
            status = weights_direction(w, backward);
    else if (!status && task->R > 1 && w->exchange == MOTLEY_EXCHANGE_HIERARCHICAL && several)
        status = hops(w);
    else if (!status && task->R > 1)
        for (int backward = 0; backward <= !!task->options.backward && !status; backward++)
            status = rows_direction(w, backward);
    for (int r = 0; r < task->R && task->R == 1 && !status; r++) { /* one rank: nothing moves */
        w->cost[r].forward.combine = move_rows(w, r, w->duty[r].pairs + w->duty[r].tokens);
        w->cost[r].backward.combine = task->options.backward ? w->cost[r].forward.combine : 0;
    }
    if (status)
        return status;
    for (int r = 0; r < task->R; r++)
        experts_and_gate(w, r);
    add_replicas(w);
    add_up(w);
    return 0;
}

/* Is there a choice?  Replicas know no hierarchical exchange, duplicates are for comparison. */
static int may_cross(const struct work *w)
{
    const struct motley__task *task = w->task;
    return task->options.exchange == MOTLEY_EXCHANGE_AUTO && task->links && task->links->nodes > 1 &&
           w->division->mode != MOTLEY_MODE_DATA && !w->division->replicas && !task->options.duplicate &&
           task->options.pipeline <= 1;
}

/* Both exchanges: the ways of the other one come behind those of the better one, which has the costs. */
static int predict_both(struct work *w)
{
    const size_t bytes = (size_t)w->task->R * sizeof *w->cost;
    struct motley__rank_cost *linear_cost = malloc(bytes);
    int status = linear_cost ? predict(w) : motley__fail(w->error, MOTLEY_E_MEMORY,
                                                         "out of host memory to predict %d ranks", w->task->R);
    if (!status) {
        const struct motley__prediction linear = w->total;
        memcpy(linear_cost, w->cost, bytes);
        w->exchange = MOTLEY_EXCHANGE_HIERARCHICAL;
        status = predict(w);
        const struct motley__prediction *better = &w->total, *other = &linear;
        if (!status && w->total.way[0].seconds > (1 - LEAST_GAIN) * linear.way[0].seconds) {
            memcpy(w->cost, linear_cost, bytes);
            better = &linear;
            other = &w->total;
        }
        struct motley__prediction both = *better;
        for (int i = 0; i < other->ways && both.ways < MOTLEY__WAYS; i++)
            both.way[both.ways++] = other->way[i];
        w->total = both;
    }
    free(linear_cost);
    return status;
}

int motley__predict(const struct motley__task *task, const struct motley__division *division,
                    struct motley__rank_cost *cost, struct motley__prediction *prediction, struct motley_error *error)
{
    struct work w = {.task = task, .division = division, .cost = cost, .error = error,
        .exchange = task->options.exchange == MOTLEY_EXCHANGE_HIERARCHICAL ? MOTLEY_EXCHANGE_HIERARCHICAL
                                                                           : MOTLEY_EXCHANGE_LINEAR};
    int status = open_work(&w);
    if (!status)
        status = may_cross(&w) ? predict_both(&w) : predict(&w);
    if (!status)
        *prediction = w.total;
    free(w.duty);
    free(w.give);
    return status;
}
