/* Experts that take unequal times, shared out among unlike groups.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/spread.h"
#include "base/order.h"

enum { TRIALS = 100000 };            /* single steps of the search at the end */

/* One assignment, and the best known. */
struct work {
    int E, G;
    const double *seconds;
    const int *most;
    int *order;                      /* [E] experts, the heaviest first; owned, as are all below */
    int *owner, *best;               /* [E] */
    int *count;                      /* [G] experts of each group */
    double *load;                    /* [G] seconds */
    double best_slowest;
    int trials;                      /* left */
};

static double seconds_of(const struct work *w, int g, int e)
{
    return w->seconds[(size_t)g * (size_t)w->E + (size_t)e];
}

static void put(struct work *w, int e, int g)
{
    w->owner[e] = g;
    w->count[g]++;
    w->load[g] += seconds_of(w, g, e);
}

static void take(struct work *w, int e)
{
    const int g = w->owner[e];
    w->count[g]--;
    w->load[g] = w->count[g] ? w->load[g] - seconds_of(w, g, e) : 0;
}

static void change(struct work *w, int e, int g)
{
    take(w, e);
    put(w, e, g);
}

/* By what an expert takes where it takes least. */
static int sort_experts(struct work *w, struct motley_error *error)
{
    double *least = malloc((size_t)w->E * sizeof *least);
    if (!least)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to share out %d experts", w->E);
    for (int e = 0; e < w->E; e++) {
        least[e] = INFINITY;
        for (int g = 0; g < w->G; g++)
            if (w->most[g] > 0)
                least[e] = fmin(least[e], seconds_of(w, g, e));
    }
    int status = motley__order(least, w->E, w->order, error);
    free(least);
    return status;
}

/* Each to the group that would be done first with it. */
static void place_heaviest_first(struct work *w)
{
    for (int i = 0; i < w->E; i++) {
        const int e = w->order[i];
        int chosen = -1;
        double end = INFINITY;
        for (int g = 0; g < w->G; g++) {
            const double with = w->load[g] + seconds_of(w, g, e);
            if (w->count[g] < w->most[g] &&
                (chosen < 0 || with < end || (with == end && w->count[g] < w->count[chosen]))) {
                chosen = g;
                end = with;
            }
        }
        put(w, e, chosen);
    }
}

static int slowest_of(const struct work *w)
{
    int slowest = 0;
    for (int g = 1; g < w->G; g++)
        if (w->load[g] > w->load[slowest])
            slowest = g;
    return slowest;
}

/* A move of an expert to a group, or its exchange with another, and the later end of the two groups. */
struct step {
    int expert, group, other;        /* other -1: a move */
    double end;
};

static void consider(const struct work *w, int s, int e, int g, int other, struct step *best)
{
    const double here = w->load[s] - seconds_of(w, s, e) + (other < 0 ? 0 : seconds_of(w, s, other));
    const double there = w->load[g] + seconds_of(w, g, e) - (other < 0 ? 0 : seconds_of(w, g, other));
    const double end = fmax(here, there);
    if (end < best->end)
        *best = (struct step){e, g, other, end};
}

/* The best step that makes group s faster; returns whether there was one. */
static int improve(struct work *w, int s)
{
    struct step best = {.end = w->load[s] * (1 - 1e-9)};
    best.expert = -1;
    for (int e = 0; e < w->E; e++) {
        if (w->owner[e] != s)
            continue;
        for (int g = 0; g < w->G; g++)
            if (g != s && w->count[g] < w->most[g])
                consider(w, s, e, g, -1, &best);
        for (int other = 0; other < w->E; other++)
            if (w->owner[other] != s)
                consider(w, s, e, w->owner[other], other, &best);
    }
    if (best.expert < 0)
        return 0;
    change(w, best.expert, best.group);
    if (best.other >= 0)
        change(w, best.other, s);
    return 1;
}

static void keep_if_better(struct work *w)
{
    const double slowest = w->load[slowest_of(w)];
    if (slowest >= w->best_slowest * (1 - 1e-9))
        return;
    w->best_slowest = slowest;
    memcpy(w->best, w->owner, (size_t)w->E * sizeof *w->best);
}

/* Experts order[i..] in every way that could still be better than the best, while there are trials left. */
static void try_all(struct work *w, int i)
{
    if (i == w->E) {
        keep_if_better(w);
        return;
    }
    const int e = w->order[i];
    for (int g = 0; g < w->G && w->trials > 0; g++) {
        w->trials--;
        if (w->count[g] >= w->most[g] || w->load[g] + seconds_of(w, g, e) >= w->best_slowest * (1 - 1e-9))
            continue;
        const double before = w->load[g];
        put(w, e, g);
        try_all(w, i + 1);
        take(w, e);
        w->load[g] = before;         /* without the rounding of there and back */
    }
}

static void search(struct work *w)
{
    const size_t G = (size_t)w->G;
    place_heaviest_first(w);
    keep_if_better(w);
    for (int64_t steps = 4 * (int64_t)w->E; steps > 0 && improve(w, slowest_of(w)); steps--)
        keep_if_better(w);
    memset(w->load, 0, G * sizeof *w->load);
    memset(w->count, 0, G * sizeof *w->count);
    try_all(w, 0);
}

static int check_room(int E, int G, const int *most, struct motley_error *error)
{
    int64_t room = 0;
    for (int g = 0; g < G; g++)
        room += most[g];
    if (room >= E)
        return 0;
    return motley__fail(error, MOTLEY_E_DEVICE_MEMORY,
                        "%d experts are to be placed but the devices have memory for %lld: use more ranks, fewer "
                        "tokens per step, or a higher --memory-limit", E, (long long)room);
}

int motley__spread(int E, int G, const double *seconds, const int *most, int *owner, struct motley_error *error)
{
    const size_t experts = (size_t)E, groups = (size_t)G;
    struct work w = {.E = E, .G = G, .seconds = seconds, .most = most, .best_slowest = INFINITY, .trials = TRIALS};
    int status = check_room(E, G, most, error);
    if (status)
        return status;
    w.order = malloc(3 * experts * sizeof *w.order);
    w.count = calloc(groups, sizeof *w.count);
    w.load = calloc(groups, sizeof *w.load);
    if (!w.order || !w.count || !w.load) {
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to share out %d experts", E);
    } else {
        w.owner = w.order + experts;
        w.best = w.owner + experts;
        status = sort_experts(&w, error);
    }
    if (!status) {
        search(&w);
        memcpy(owner, w.best, experts * sizeof *owner);
    }
    free(w.order);
    free(w.count);
    free(w.load);
    return status;
}
