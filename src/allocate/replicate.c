/* Replicas of hot experts.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/replicate.h"
#include "cost/replica.h"

enum { TARGETS = 4, HALVINGS = 30 };

/* What a replica must win of the slowest group's time. */
static const double WORTH = 0.03;

/* One call of motley__replicate. */
struct work {
    const struct motley__task *task;
    struct motley__division *division;
    motley__replicate_seconds *seconds;
    const void *data;
    const int *most;
    int *held, *lowest;              /* [G] experts with replicas; lowest rank of each; owned together */
    double *load, *moving;           /* [G] seconds of rows; of weights on their way; owned together */
    int room;                        /* of division->replica */
    struct motley__replica *best;    /* the best list so far and, [E], what stays with owners; owned */
    double *best_rest, best_end;
    int best_count;
};

/* The replica of an expert on a group, NULL when there is none. */
static struct motley__replica *find(const struct work *w, int e, int g)
{
    for (int i = 0; i < w->division->replicas; i++)
        if (w->division->replica[i].expert == e && w->division->group_of[w->division->replica[i].rank] == g)
            return &w->division->replica[i];
    return NULL;
}

/* The part of an expert's rows that a group serves. */
static double part_of(const struct work *w, int e, int g)
{
    const struct motley__replica *replica = find(w, e, g);
    return w->division->owner[e] == g ? w->division->rest[e] : replica ? replica->part : 0;
}

static double seconds_of(const struct work *w, int e, int g, double part)
{
    return part > 0 ? w->seconds(w->data, g, w->task->share[e] * part) : 0;
}

static double end_of(const struct work *w, int g)
{
    return w->load[g] + w->moving[g];
}

static int slowest_of(const struct work *w)
{
    int slowest = 0;
    for (int g = 1; g < w->division->G; g++)
        if (end_of(w, g) > end_of(w, slowest))
            slowest = g;
    return slowest;
}

static int hottest_of(const struct work *w, int g)
{
    double most = 0;
    int hottest = -1;
    for (int e = 0; e < w->task->shape.E; e++) {
        const double seconds = seconds_of(w, e, g, part_of(w, e, g));
        if (seconds > most) {
            most = seconds;
            hottest = e;
        }
    }
    return hottest;
}

/* A part of an expert's rows from group `from` to group `to`, and when the later of the two then ends. */
struct shift {
    int expert, from, to;
    double part, end, moving;        /* moving: seconds more of weights under way, for `to` and the owner */
};

/* Both ends of a shift; negative: `from` still ends later. */
static double difference(const struct work *w, const struct shift *s, double part, double *end)
{
    const int e = s->expert, owner = w->division->owner[e];
    const double mine = part_of(w, e, s->from), theirs = part_of(w, e, s->to);
    const double from = end_of(w, s->from) + seconds_of(w, e, s->from, mine - part) - seconds_of(w, e, s->from, mine) +
                        (s->from == owner ? s->moving : 0);
    const double to = end_of(w, s->to) + seconds_of(w, e, s->to, theirs + part) - seconds_of(w, e, s->to, theirs) +
                      s->moving;
    *end = fmax(from, to);
    return to - from;
}

/* The part after which both end at one time. */
static void balance(const struct work *w, struct shift *s)
{
    double low = 0, high = part_of(w, s->expert, s->from), end;
    for (int i = 0; i < HALVINGS; i++) {
        const double middle = (low + high) / 2;
        if (difference(w, s, middle, &end) < 0)
            low = middle;
        else
            high = middle;
    }
    s->part = low;
    difference(w, s, low, &s->end);
}

static void try_group(const struct work *w, int e, int from, int to, struct shift *best)
{
    struct shift shift = {.expert = e, .from = from, .to = to};
    if (!(part_of(w, e, to) > 0) && w->division->owner[e] != to) {
        const struct motley__replica_moves moves =
            motley__replica_moves(w->task, w->division, w->division->owner[e], w->lowest[to]);
        shift.moving = moves.there + moves.back;
    }
    balance(w, &shift);
    if (shift.part > 0 && shift.end < best->end)
        *best = shift;
}

/* To whom: the groups that have the expert, and of the others with room those that end first. */
static struct shift best_shift(const struct work *w, int from, int e)
{
    struct shift best = {.expert = -1, .end = (1 - WORTH) * end_of(w, from)};
    int target[TARGETS], targets = 0;
    for (int g = 0; g < w->division->G; g++) {
        if (g == from)
            continue;
        if (w->division->owner[e] == g || find(w, e, g)) {
            try_group(w, e, from, g, &best);
            continue;
        }
        if (w->held[g] >= w->most[g])
            continue;
        int at = targets;
        for (; at > 0 && end_of(w, g) < end_of(w, target[at - 1]); at--)
            if (at < TARGETS)
                target[at] = target[at - 1];
        if (at < TARGETS)
            target[at] = g;
        targets += targets < TARGETS;
    }
    for (int i = 0; i < targets; i++)
        try_group(w, e, from, target[i], &best);
    return best;
}

static int add_replica(struct work *w, int e, int g, struct motley_error *error)
{
    struct motley__division *division = w->division;
    if (division->replicas == w->room) {
        const int room = 2 * w->room + 4;
        struct motley__replica *more = realloc(division->replica, (size_t)room * sizeof *more);
        if (!more)
            return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d replicas of experts", room);
        division->replica = more;
        w->room = room;
    }
    division->replica[division->replicas++] = (struct motley__replica){.expert = e, .rank = w->lowest[g]};
    w->held[g]++;
    return 0;
}

/* The part of an expert's rows that a group serves grows by so much. */
static void add_part(struct work *w, int e, int g, double part)
{
    struct motley__replica *replica = find(w, e, g);
    const double now = part_of(w, e, g);
    w->load[g] += seconds_of(w, e, g, now + part) - seconds_of(w, e, g, now);
    if (w->division->owner[e] == g)
        w->division->rest[e] += part;
    else
        replica->part += part;
}

static int apply(struct work *w, const struct shift *s, struct motley_error *error)
{
    const int e = s->expert, owner = w->division->owner[e];
    int status = owner == s->to || find(w, e, s->to) ? 0 : add_replica(w, e, s->to, error);
    if (status)
        return status;
    w->moving[s->to] += s->moving;
    w->moving[owner] += s->moving;
    add_part(w, e, s->to, s->part);
    add_part(w, e, s->from, -s->part);
    return 0;
}

/* The list as it is, when it is worth more than the best so far. */
static int keep_if_better(struct work *w, struct motley_error *error)
{
    const struct motley__division *division = w->division;
    const double end = end_of(w, slowest_of(w));
    if (end > (1 - WORTH) * w->best_end)
        return 0;
    struct motley__replica *copy = realloc(w->best, (size_t)w->room * sizeof *copy);
    if (!copy)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d replicas of experts", w->room);
    w->best = copy;
    w->best_end = end;
    w->best_count = division->replicas;
    memcpy(copy, division->replica, (size_t)division->replicas * sizeof *copy);
    memcpy(w->best_rest, division->rest, (size_t)w->task->shape.E * sizeof *w->best_rest);
    return 0;
}

static int open_work(struct work *w, struct motley_error *error)
{
    struct motley__division *division = w->division;
    const int E = w->task->shape.E, G = division->G;
    w->held = calloc(2 * (size_t)G, sizeof *w->held);
    w->load = calloc(2 * (size_t)G, sizeof *w->load);
    w->best_rest = malloc((size_t)E * sizeof *w->best_rest);
    if (!w->held || !w->load || !w->best_rest)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d groups", G);
    w->lowest = w->held + G;
    w->moving = w->load + G;
    for (int r = division->R - 1; r >= 0; r--)
        w->lowest[division->group_of[r]] = r;
    for (int e = 0; e < E; e++) {
        const int g = division->owner[e];
        w->held[g]++;
        w->load[g] += seconds_of(w, e, g, 1);
        w->best_rest[e] = 1;
    }
    w->best_end = end_of(w, slowest_of(w));
    return 0;
}

static int by_expert(const void *first, const void *second)
{
    const struct motley__replica *a = first, *b = second;
    return a->expert != b->expert ? (a->expert > b->expert) - (a->expert < b->expert) : a->rank - b->rank;
}

/* What is handed over is the best list, by expert and rank. */
static void close_work(struct work *w, int status)
{
    struct motley__division *division = w->division;
    division->replicas = status ? 0 : w->best_count;
    for (int i = 0; i < division->replicas; i++)
        division->replica[i] = w->best[i];
    if (division->replicas)
        qsort(division->replica, (size_t)division->replicas, sizeof *division->replica, by_expert);
    for (int e = 0; e < w->task->shape.E && !status; e++)
        division->rest[e] = w->best_rest[e];
    free(w->held);
    free(w->load);
    free(w->best);
    free(w->best_rest);
}

int motley__replicate(const struct motley__task *task, struct motley__division *division,
                      motley__replicate_seconds *seconds, const void *data, const int *most,
                      struct motley_error *error)
{
    struct work w = {.task = task, .division = division, .seconds = seconds, .data = data, .most = most};
    int status = open_work(&w, error);
    for (int steps = 4 * division->G + 16; steps > 0 && !status; steps--) {
        const int slowest = slowest_of(&w), hottest = hottest_of(&w, slowest);
        const struct shift shift = hottest < 0 ? (struct shift){.expert = -1} : best_shift(&w, slowest, hottest);
        if (shift.expert < 0)
            break;
        status = apply(&w, &shift, error);
        if (!status)
            status = keep_if_better(&w, error);
    }
    close_work(&w, status);
    return status;
}
