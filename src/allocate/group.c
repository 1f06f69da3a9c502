/* Which ranks form a group.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/group.h"

/* Neighbours may be so much slower and still form groups: what a node moves inside itself is worth that. */
static const double NEIGHBOURS = 0.99;

/* Group g of G has so many of R ranks. */
static int size_of(int R, int G, int g)
{
    return R / G + (g < R % G);
}

/* One search through all ways. */
struct search {
    const struct motley__task *task;
    struct motley__division *division; /* the way under trial */
    int filled[MOTLEY__GROUP_EXACT]; /* ranks in each group so far */
    int best[MOTLEY__GROUP_EXACT];   /* group_of of the best way; best_seconds infinite: none yet */
    double best_seconds;
    struct motley_error *error;
};

/* The slowest rank's expert phase of the way under trial. */
static int try_way(struct search *s)
{
    const int R = s->task->R;
    struct motley_error why = {0};
    double slowest = 0;
    int status = motley__divide(s->task, s->division, &why);
    if (status)
        return status == MOTLEY_E_DEVICE_MEMORY ? 0 : motley__fail(s->error, status, "%s", why.text); /* another may */
    for (int r = 0; r < R; r++)
        slowest = fmax(slowest, motley__division_seconds(s->task, s->division, r, 0));
    if (slowest < s->best_seconds) {
        s->best_seconds = slowest;
        memcpy(s->best, s->division->group_of, (size_t)R * sizeof *s->best);
    }
    return 0;
}

/* Rank r into each group with room; of groups of one size that are still empty only the first. */
static int place_rank(struct search *s, int r)
{
    const int R = s->task->R, G = s->division->G;
    int status = 0;
    if (r == R)
        return try_way(s);
    for (int g = 0; g < G && !status; g++) {
        if (s->filled[g] == size_of(R, G, g))
            continue;
        if (g > 0 && !s->filled[g] && !s->filled[g - 1] && size_of(R, G, g) == size_of(R, G, g - 1))
            continue;
        s->filled[g]++;
        s->division->group_of[r] = g;
        status = place_rank(s, r + 1);
        s->filled[g]--;
    }
    return status;
}

/* A group with room; the heap has the one with the least speed on top. */
struct room {
    double speed;
    int group, left;
};

static int before(const struct room *a, const struct room *b)
{
    return a->speed < b->speed || (a->speed == b->speed && a->group < b->group);
}

static void sink(struct room *heap, int count)
{
    for (int at = 0, child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &heap[at]))
            return;
        const struct room moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
    }
}

/* From the fastest to the slowest; returns the speed of the slowest group. */
static double deal(const struct motley__task *task, int G, struct room *heap, int *group_of)
{
    const int R = task->R;
    double slowest = INFINITY;
    int count = G;
    for (int g = 0; g < G; g++) /* all alike, so they are a heap */
        heap[g] = (struct room){0, g, size_of(R, G, g)};
    for (int i = 0; i < R; i++) {
        group_of[task->fastest[i]] = heap[0].group;
        heap[0].speed += task->speed[task->fastest[i]];
        if (!--heap[0].left) {
            slowest = fmin(slowest, heap[0].speed);
            heap[0] = heap[--count];
        }
        sink(heap, count);
    }
    return slowest;
}

/* Ranks that follow one another; the same. */
static double line_up(const struct motley__task *task, int G, int *group_of)
{
    double slowest = INFINITY;
    for (int g = 0, r = 0; g < G; g++) {
        double speed = 0;
        for (int i = 0; i < size_of(task->R, G, g); i++, r++) {
            speed += task->speed[r];
            group_of[r] = g;
        }
        slowest = fmin(slowest, speed);
    }
    return slowest;
}

static int deal_out(const struct motley__task *task, struct motley__division *division, struct motley_error *error)
{
    const int G = division->G, even = task->options.shares == MOTLEY_SHARES_EVEN;
    struct room *heap = malloc((size_t)G * sizeof *heap);
    if (!heap)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for groups of %d ranks", task->R);
    const double dealt = deal(task, G, heap, division->group_of);
    if (line_up(task, G, division->group_of) < NEIGHBOURS * dealt && !even)
        deal(task, G, heap, division->group_of);
    free(heap);
    return 0;
}

int motley__group(const struct motley__task *task, int G, struct motley__division *division,
                  struct motley_error *error)
{
    const int searches = task->R <= MOTLEY__GROUP_EXACT && task->options.shares != MOTLEY_SHARES_EVEN && G > 1 &&
                         G < task->R;
    struct search s = {.task = task, .division = division, .best_seconds = INFINITY, .error = error};
    int status;
    division->G = G;
    status = searches ? place_rank(&s, 0) : deal_out(task, division, error);
    if (!status && searches && isfinite(s.best_seconds))
        memcpy(division->group_of, s.best, (size_t)task->R * sizeof *s.best);
    return status ? status : motley__divide(task, division, error);
}
