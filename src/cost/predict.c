/* What a step will take.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cost/phases.h"
#include "cost/pipeline.h"

/* The hierarchical exchange is known less well: it must be faster by so much. */
static const double LEAST_GAIN = 0.05;

static struct motley__phases slowest(const struct motley__phases *a, const struct motley__phases *b)
{
    return (struct motley__phases){fmax(a->gate, b->gate), fmax(a->dispatch, b->dispatch), fmax(a->experts, b->experts),
                                   fmax(a->combine, b->combine), fmax(a->weights, b->weights),
                                   fmax(a->out, b->out), fmax(a->back, b->back), fmax(a->inside, b->inside)};
}

/* The ways open to rows, by what chunks hide of the phases after one another. */
static void find_ways(struct motley__predicting *w)
{
    struct motley__prediction *total = &w->total;
    struct motley__chunked list[MOTLEY__CHUNKINGS];
    const double bare = total->forward_seconds + total->backward_seconds;
    total->ways = motley__pipeline_list(w->task, w->division, w->cost, list);
    for (int i = 0; i < total->ways; i++)
        total->way[i] = (struct motley__way){w->exchange, list[i].chunks,
                                             bare - list[i].forward - list[i].backward};
    total->forward_seconds -= list[0].forward;
    total->backward_seconds -= list[0].backward;
}

/* No rows travel. */
static void stay(struct motley__predicting *w)
{
    w->total.ways = 1;
    w->total.way[0] = (struct motley__way){MOTLEY_EXCHANGE_LINEAR, 1,
                                           w->total.forward_seconds + w->total.backward_seconds};
}

/* The step: phases after one another, less what chunks hide; weights arrive under the gate, so what is left of them
 * counts. */
static void add_up(struct motley__predicting *w)
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

static int open_work(struct motley__predicting *w)
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
static int predict(struct motley__predicting *w)
{
    const struct motley__task *task = w->task;
    const int several = task->links && task->links->nodes > 1;
    int status = motley__division_duties(task, w->division, w->duty, w->error);
    w->total = (struct motley__prediction){.known = 1};
    memset(w->cost, 0, (size_t)task->R * sizeof *w->cost);
    if (!status && task->R > 1 && w->division->mode == MOTLEY_MODE_DATA)
        for (int backward = 0; backward <= !!task->options.backward && !status; backward++)
            status = motley__phases_weights(w, backward);
    else if (!status && task->R > 1 && w->exchange == MOTLEY_EXCHANGE_HIERARCHICAL && several)
        status = motley__phases_hops(w);
    else if (!status && task->R > 1)
        for (int backward = 0; backward <= !!task->options.backward && !status; backward++)
            status = motley__phases_rows(w, backward);
    else if (!status)
        motley__phases_alone(w);
    if (status)
        return status;
    for (int r = 0; r < task->R; r++)
        motley__phases_compute(w, r);
    motley__phases_replicas(w);
    add_up(w);
    return 0;
}

/* Is there a choice?  Duplicates are for comparison. */
static int may_cross(const struct motley__predicting *w)
{
    const struct motley__task *task = w->task;
    return task->options.exchange == MOTLEY_EXCHANGE_AUTO && task->links && task->links->nodes > 1 &&
           w->division->mode != MOTLEY_MODE_DATA && !task->options.duplicate;
}

/* Both exchanges: the ways of the other one come behind those of the better one, which has the costs. */
static int predict_both(struct motley__predicting *w)
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
    struct motley__predicting w = {.task = task, .division = division, .cost = cost, .error = error,
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
