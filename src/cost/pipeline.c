/* How many chunks a step's rows travel in.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "cost/pipeline.h"
#include "layer/chunks.h"

/* Kernels that each chunk adds: two or three products, two passes over rows; and the host's part of them and of a
 * message each way. */
enum { LAUNCHES = 6 };
static const double TURN_SECONDS = 100e-6;

/* Less is not worth the smaller batches, whose times are known less well. */
static const double LEAST_GAIN = 0.05;

/* Of backward's experts the part that follows: products of gradients, as many as those before them. */
static const double AFTER = 0.5;

double motley__pipeline_seconds(const struct motley__pipeline *p, int chunks)
{
    double experts = p->own + p->own_after, returned = p->out; /* the link is free from then on */

    for (int c = 0; c < chunks; c++) {
        experts = fmax(experts, p->out * (c + 1) / chunks) + p->each + p->chunk;
        returned = fmax(returned, experts) + p->back / chunks;
        experts += p->chunk_after;
    }
    return fmax(experts + p->own + p->own_after, returned);
}

/* One rank, and what its experts take with a part of the rows, against all of them. */
struct rank {
    const struct motley__task *task;
    const struct motley__profile_entry *entry;
    double rows, own;               /* of an expert; the rank's own part of them */
};

static double part_of(const struct rank *rank, double part, int backward)
{
    const double all = motley__cost_expert(rank->entry, &rank->task->shape, fmax(1, rank->rows), backward);

    return all > 0 ? motley__cost_expert(rank->entry, &rank->task->shape, rank->rows * part, backward) / all : part;
}

static double direction_seconds(const struct rank *rank, const struct motley__phases *phases, int backward, int chunks)
{
    const double own = chunks > 1 ? part_of(rank, rank->own / 2, backward) : 0;
    const double chunk = chunks > 1 ? part_of(rank, (1 - rank->own) / chunks, backward) : 1;
    const double after = backward ? AFTER * phases->experts : 0, before = phases->experts - after;
    const double turn = LAUNCHES * rank->entry->move.launch + TURN_SECONDS;
    const int hops = phases->inside > 0 ? 2 : 1;
    const struct motley__pipeline pipeline = {
        .out = phases->out, .back = phases->back, .own = own * before, .chunk = chunk * before,
        .own_after = own * after, .chunk_after = chunk * after,
        .each = phases->inside / chunks + (chunks > 1 ? hops * turn : 0)};

    return phases->dispatch - phases->out + phases->combine - phases->back - phases->inside +
           motley__pipeline_seconds(&pipeline, chunks);
}

/* Seconds of the slowest rank; chunks 0: nothing hidden. */
static double slowest(const struct motley__task *task, const struct motley__division *division,
                      const struct motley__rank_cost *cost, int backward, int chunks)
{
    const double all = (double)task->options.tokens;
    double seconds = 0;

    for (int r = 0; r < task->R; r++) {
        const struct rank rank = {task, task->entry[r],
                                  task->kept * motley__cost_rows(&task->shape, task->options.tokens),
                                  all > 0 ? (double)division->tokens[r] / all : 0};
        const struct motley__phases *phases = backward ? &cost[r].backward : &cost[r].forward;

        seconds = fmax(seconds, chunks ? direction_seconds(&rank, phases, backward, chunks)
                                       : phases->dispatch + phases->experts + phases->combine);
    }
    return seconds;
}

/* Seconds of both directions. */
static struct motley__chunked seconds_in(const struct motley__task *task, const struct motley__division *division,
                                         const struct motley__rank_cost *cost, int chunks)
{
    return (struct motley__chunked){chunks, slowest(task, division, cost, 0, chunks),
                                    task->options.backward ? slowest(task, division, cost, 1, chunks) : 0};
}

/* Seconds that chunks can hide at the most: of the rank with most on its way. */
static double on_the_way(const struct motley__task *task, const struct motley__rank_cost *cost)
{
    double forward = 0, backward = 0;

    for (int r = 0; r < task->R; r++) {
        forward = fmax(forward, cost[r].forward.out + cost[r].forward.back);
        backward = fmax(backward, cost[r].backward.out + cost[r].backward.back);
    }
    return forward + (task->options.backward ? backward : 0);
}

static double sum(const struct motley__chunked *chunked)
{
    return chunked->forward + chunked->backward;
}

/* The number of the one to take. */
static int fastest(const struct motley__chunked *list, int count, double least)
{
    int best = 0;

    for (int i = 1; i < count; i++)
        if (sum(&list[i]) > sum(&list[best]) + (best ? 0 : least))
            best = i;
    return best;
}

int motley__pipeline_list(const struct motley__task *task, const struct motley__division *division,
                          const struct motley__rank_cost *cost, struct motley__chunked list[MOTLEY__CHUNKINGS])
{
    const int first = task->options.pipeline ? task->options.pipeline : 1;
    const struct motley__chunked bare = seconds_in(task, division, cost, 0);
    int last = task->options.pipeline ? task->options.pipeline : MOTLEY__CHUNKS_MOST, count = 0;
    double least = 0;

    for (int chunks = first; chunks <= last; chunks *= 2) {
        const struct motley__chunked taken = seconds_in(task, division, cost, chunks);

        list[count++] = (struct motley__chunked){chunks, bare.forward - taken.forward, bare.backward - taken.backward};
        if (chunks == 1) {
            least = LEAST_GAIN * sum(&taken);
            last = on_the_way(task, cost) > least ? last : 1;
        }
    }
    const int best = fastest(list, count, least);
    const struct motley__chunked chosen = list[best];

    for (int i = best; i > 0; i--)
        list[i] = list[i - 1];
    list[0] = chosen;
    return count;
}
