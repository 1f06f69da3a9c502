/* How many chunks a step's rows travel in.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/chunks.h"
#include "plan/pipeline.h"

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
    const struct motley__pipeline pipeline = {
        .out = phases->out, .back = phases->back, .own = own * before, .chunk = chunk * before,
        .own_after = own * after, .chunk_after = chunk * after,
        .each = chunks > 1 ? LAUNCHES * rank->entry->move.launch + TURN_SECONDS : 0};

    return phases->dispatch - phases->out + phases->combine - phases->back +
           motley__pipeline_seconds(&pipeline, chunks);
}

/* Seconds of the slowest rank; chunks 0: nothing hidden. */
static double slowest(const struct motley__task *task, const struct motley__division *division,
                      const struct motley__rank_cost *cost, int backward, int chunks)
{
    const double all = (double)task->options.tokens;
    double seconds = 0;

    for (int r = 0; r < task->R; r++) {
        const struct rank rank = {task, task->entry[r], motley__cost_rows(&task->shape, task->options.tokens),
                                  all > 0 ? (double)division->tokens[r] / all : 0};
        const struct motley__phases *phases = backward ? &cost[r].backward : &cost[r].forward;

        seconds = fmax(seconds, chunks ? direction_seconds(&rank, phases, backward, chunks)
                                       : phases->dispatch + phases->experts + phases->combine);
    }
    return seconds;
}

static struct motley__chunked hide(const struct motley__task *task, const struct motley__division *division,
                                   const struct motley__rank_cost *cost, int chunks)
{
    struct motley__chunked chunked = {.chunks = chunks};

    chunked.forward = slowest(task, division, cost, 0, 0) - slowest(task, division, cost, 0, chunks);
    if (task->options.backward)
        chunked.backward = slowest(task, division, cost, 1, 0) - slowest(task, division, cost, 1, chunks);
    return chunked;
}

struct motley__chunked motley__pipeline_choose(const struct motley__task *task, const struct motley__division *division,
                                               const struct motley__rank_cost *cost)
{
    struct motley__chunked best = hide(task, division, cost, task->options.pipeline ? task->options.pipeline : 1);
    double whole = slowest(task, division, cost, 0, 1), least = 0;

    if (task->options.pipeline)
        return best;
    whole += task->options.backward ? slowest(task, division, cost, 1, 1) : 0;
    least = best.forward + best.backward + LEAST_GAIN * whole;
    for (int chunks = 2; chunks <= MOTLEY__CHUNKS_MOST; chunks *= 2) {
        const struct motley__chunked chunked = hide(task, division, cost, chunks);

        if (chunked.forward + chunked.backward > least) {
            least = chunked.forward + chunked.backward;
            best = chunked;
        }
    }
    return best;
}
