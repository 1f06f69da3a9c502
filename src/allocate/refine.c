/* Experts moved between groups as long as the predicted step gets shorter.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "allocate/refine.h"

enum { MOST_RANKS = 32 };

/* A move must shorten the step at least so much: predictions are not better than that. */
static const double GAIN = 0.02;

/* One call of motley__refine. */
struct search {
    const struct motley__task *task;
    struct motley__division *division;
    struct motley__rank_cost *cost, *trial;  /* [R]; trial: owned */
    struct motley__prediction *best;         /* of the division */
    struct motley_error *error;
};

static double seconds(const struct motley__prediction *prediction)
{
    return prediction->forward_seconds + prediction->backward_seconds;
}

static void shift(struct search *s, int from, int to, int experts)
{
    s->division->experts[from] -= experts;
    s->division->experts[to] += experts;
}

/* What the step would take after a move; that does not fit: nothing better than now. */
static int try_move(struct search *s, int from, int to, int experts, struct motley__prediction *predicted)
{
    int fits = 0, status;
    *predicted = *s->best;
    shift(s, from, to, experts);
    status = motley__divide_fits(s->task, s->division, &fits, s->error);
    if (!status && fits)
        status = motley__predict(s->task, s->division, s->trial, predicted, s->error);
    shift(s, to, from, experts);
    return status;
}

/* The best move of so many experts is made.  *moved: there was one.  Every group keeps an expert, or has none still:
 * slices were cut for those that have. */
static int move_best(struct search *s, int experts, int *moved)
{
    const int G = s->division->G;
    double least = (1 - GAIN) * seconds(s->best);
    int from = -1, to = -1, status = 0;
    for (int a = 0; a < G; a++) {
        for (int b = 0; b < G && !status; b++) {
            struct motley__prediction predicted;
            if (a == b || s->division->experts[a] <= experts || !s->division->experts[b])
                continue;
            status = try_move(s, a, b, experts, &predicted);
            if (!status && seconds(&predicted) < least) {
                least = seconds(&predicted);
                from = a;
                to = b;
            }
        }
    }
    *moved = from >= 0;
    if (status || !*moved)
        return status;
    shift(s, from, to, experts);
    return motley__predict(s->task, s->division, s->cost, s->best, s->error);
}

int motley__refine(const struct motley__task *task, struct motley__division *division, struct motley__rank_cost *cost,
                   struct motley__prediction *prediction, struct motley_error *error)
{
    struct search s = {.task = task, .division = division, .cost = cost, .best = prediction, .error = error};
    int status = 0;
    if (division->G < 2 || task->R > MOST_RANKS || !task->links || !prediction->known ||
        task->options.shares == MOTLEY_SHARES_EVEN)
        return 0;
    if (task->share)
        return motley__refine_loaded(task, division, cost, prediction, error);
    s.trial = malloc((size_t)task->R * sizeof *s.trial);
    if (!s.trial)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", task->R);
    for (int experts = task->shape.E / 8 > 0 ? task->shape.E / 8 : 1; experts > 0 && !status; experts /= 2)
        for (int moved = 1; moved && !status;)
            status = move_best(&s, experts, &moved);
    free(s.trial);
    return status;
}
