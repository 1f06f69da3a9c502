/* Which experts the groups of a division hold.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "coactivation/coactivation.h"
#include "plan/collocate.h"
#include "plan/place.h"
#include "plan/predict.h"

/* One call of motley__collocate. */
struct work {
    const struct motley__task *task;
    const struct motley__division *division;
    struct motley__choices choices;  /* owned, and so are the next four */
    double *seconds;                 /* [G,E] */
    int *ranks, *most;               /* [G] with a slice of the group's experts; experts of the group */
    int *now;                        /* [E] group of each expert as things are */
    struct motley__place_problem place;
    struct motley_error *error;
};

static void close_work(struct work *w)
{
    motley__choices_clear(&w->choices);
    free(w->seconds);
    free(w->ranks);
    free(w->now);
}

static int open_work(struct work *w, const struct motley__placement *stored)
{
    const struct motley__division *division = w->division;
    const size_t E = (size_t)w->task->shape.E, G = (size_t)division->G;
    w->seconds = calloc(G * E, sizeof *w->seconds);
    w->ranks = calloc(2 * G, sizeof *w->ranks);
    w->now = calloc(E, sizeof *w->now);
    if (!w->seconds || !w->ranks || !w->now)
        return motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory to place %d experts", w->task->shape.E);
    w->most = w->ranks + G;
    for (int r = 0; r < division->R; r++) {
        const struct motley__holding *holding = &stored->rank[r];
        const int g = division->group_of[r];
        w->ranks[g] += holding->experts > 0;
        w->most[g] = holding->experts > w->most[g] ? holding->experts : w->most[g];
        for (int i = 0; i < holding->experts; i++)
            w->now[holding->expert[i]] = g;
    }
    w->place = (struct motley__place_problem){.E = w->task->shape.E, .G = division->G, .most = w->most,
                                              .sets = w->choices.sets, .K = w->choices.K, .set = w->choices.set,
                                              .weight = w->choices.weight, .ranks = w->ranks, .copy_seconds = 1};
    return 0;
}

/* Each expert on each group: the slowest of its ranks, with the rows that the expert really has. */
static void price_experts(struct work *w)
{
    const struct motley__task *task = w->task;
    for (int r = 0; r < task->R; r++)
        for (int e = 0; e < task->shape.E && w->division->width[r] > 0; e++) {
            const double rows = (double)task->options.tokens * w->choices.chosen[e];
            double *seconds = &w->seconds[(size_t)w->division->group_of[r] * (size_t)task->shape.E + (size_t)e];
            struct motley__widths widths;
            motley__cost_widths(task->entry[r], &task->shape, fmax(1, rows), task->options.backward, &widths);
            if (widths.points)
                *seconds = fmax(*seconds, fmin(1, rows) * motley__cost_width(&widths, w->division->width[r]));
        }
}

/* What going to one more rank costs the step when all tokens do: what is predicted for moving rows, for each rank that
 * a token goes to when it chooses at random. */
static int price_copies(struct work *w)
{
    const struct motley__division *division = w->division;
    struct motley__rank_cost *cost = malloc((size_t)division->R * sizeof *cost);
    struct motley__prediction p = {0};
    double copies = 0;
    int status = cost ? motley__predict(w->task, division, cost, &p, w->error)
                      : motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory to predict %d ranks", division->R);
    free(cost);
    for (int g = 0; g < division->G; g++)
        copies += w->ranks[g] * motley__cost_reach(&w->task->shape, w->most[g]);
    if (!status && copies > 0)
        w->place.copy_seconds = (p.forward.dispatch + p.forward.combine + p.backward.dispatch + p.backward.combine) /
                                copies;
    return status;
}

/* Seconds, as far as anything was measured; and a copy always costs something, so that among placements alike in
 * seconds the one with fewer copies is taken. */
static int price(struct work *w)
{
    const double LEAST = 1e-6; /* of the experts' seconds */
    const size_t all = (size_t)w->division->G * (size_t)w->task->shape.E;
    double experts = 0;
    if (w->task->options.shares == MOTLEY_SHARES_EVEN)
        return 0;
    price_experts(w);
    int status = price_copies(w);
    for (size_t i = 0; i < all; i++)
        experts += w->seconds[i] / w->division->G;
    w->place.seconds = w->seconds;
    if (!(w->place.copy_seconds > LEAST * experts))
        w->place.copy_seconds = experts > 0 ? LEAST * experts : 1;
    return status;
}

/* The best placement, unless it is no better than what is. */
static int place(struct work *w, struct motley__collocation *collocation)
{
    const double BETTER = 1 - 1e-9;
    struct motley__place_cost best, now;
    int *home = malloc((size_t)w->task->shape.E * sizeof *home);
    int status = home ? 0 : motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory to place %d experts",
                                         w->task->shape.E);
    if (!status)
        status = motley__place_best(&w->place, home, &best, w->error);
    if (!status)
        status = motley__place_cost(&w->place, w->now, &now, w->error);
    if (!status && best.seconds < BETTER * now.seconds)
        *collocation = (struct motley__collocation){home, best.copies, now.copies};
    else if (!status)
        *collocation = (struct motley__collocation){NULL, now.copies, now.copies};
    if (!collocation->home)
        free(home);
    return status;
}

int motley__collocate(const struct motley__task *task, const struct motley__division *division,
                      const struct motley__placement *stored, int layer, struct motley__collocation *collocation,
                      struct motley_error *error)
{
    struct work w = {.task = task, .division = division, .error = error};
    *collocation = (struct motley__collocation){0};
    if (division->mode == MOTLEY_MODE_DATA || division->G < 2)
        return 0;
    int status = motley__choices_make(task->options.coactivation, layer, task->shape.K, &w.choices, error);
    if (!status && w.choices.sets)
        status = open_work(&w, stored);
    if (!status && w.choices.sets)
        status = price(&w);
    if (!status && w.choices.sets)
        status = place(&w, collocation);
    close_work(&w);
    return status;
}
