/* Dividing a layer's work among groups of ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/allocate.h"
#include "allocate/divide.h"
#include "allocate/replicate.h"
#include "allocate/spread.h"

/* One call of motley__divide. */
struct work {
    const struct motley__task *task;
    struct motley__division *division;
    int units;                       /* grains in F, the last one may be short */
    int *first, *member;             /* [G+1], [R]: ranks of each group, ascending; owned, and so are the next two */
    int *most, *share;               /* [R], [R]: bounds and outcome of one allocation */
    double *seconds;                 /* [G] of one expert; owned */
    const int *group;                /* the members that slices are allocated to, for slice_seconds */
};

static int close_work(struct work *w, int status)
{
    free(w->first);
    free(w->member);
    free(w->most);
    free(w->share);
    free(w->seconds);
    return status;
}

static int open_work(struct work *w, struct motley_error *error)
{
    const struct motley__division *division = w->division;
    const size_t R = (size_t)division->R, G = (size_t)division->G;
    w->units = (w->task->shape.F + w->task->grain - 1) / w->task->grain;
    w->first = calloc(G + 1, sizeof *w->first);
    w->member = calloc(R, sizeof *w->member);
    w->most = calloc(R, sizeof *w->most);
    w->share = calloc(R, sizeof *w->share);
    w->seconds = calloc(G, sizeof *w->seconds);
    if (!w->first || !w->member || !w->most || !w->share || !w->seconds)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", division->R);
    for (int r = 0; r < division->R; r++)
        w->first[division->group_of[r] + 1]++;
    for (int g = 0; g < division->G; g++)
        w->first[g + 1] += w->first[g];
    for (int r = 0; r < division->R; r++)
        w->member[w->first[division->group_of[r]] + w->share[division->group_of[r]]++] = r;
    return 0;
}

static int known(const struct work *w, int r)
{
    return w->task->widths[r].points > 0;
}

static int width_of(const struct work *w, int units)
{
    const int width = units * w->task->grain;
    return width < w->task->shape.F ? width : w->task->shape.F;
}

static double slice_seconds(const void *data, int i, int units)
{
    const struct work *w = data;
    const int r = w->group[i];
    return known(w, r) ? motley__cost_width(&w->task->widths[r], width_of(w, units)) : INFINITY;
}

static double group_seconds(const void *data, int g, int experts)
{
    return experts * ((const struct work *)data)->seconds[g];
}

/* Equal shares for memory; for what is stored in data mode. */
static double equal_seconds(const void *data, int rank, int items)
{
    (void)data;
    (void)rank;
    return items;
}

/* Device bytes of a rank with so many experts of such a width, at most: however the others divide the rest. */
static uint64_t most_bytes(const struct work *w, int r, int experts, int width)
{
    const struct motley__task *task = w->task;
    const struct motley__division *division = w->division;
    const int g = division->group_of[r], size = w->first[g + 1] - w->first[g];
    const int data = division->mode == MOTLEY_MODE_DATA;
    const double tokens = (double)division->tokens[r], all = (double)task->options.tokens;
    const double reach = motley__task_reach(task, experts);
    const double rest = division->G > 1 ? (double)(task->shape.E - experts) / (division->G - 1) : 0;
    const double others = (division->G - 1) * motley__task_reach(task, rest); /* groups that a token goes to */
    const int largest = (division->R + division->G - 1) / division->G;
    const struct motley__duty duty = {
        .experts = experts, .width = width, .caches = data, .tokens = tokens,
        .pairs = task->kept * task->shape.K * (data ? tokens : all * experts / task->shape.E),
        .gathered = data ? 0 : tokens * (others + (size > 1 ? reach : 0)),
        .sent = data ? 0 : tokens * (others * largest + (size - 1) * reach),
        .received = data ? 0 : (all - tokens) * reach,
    };
    return motley__cost_bytes(&task->shape, &task->options, task->R, &duty, task->entry[r]->panel);
}

/* The most of `count` items for which `fits`. */
static int most_that_fit(const struct work *w, int count, int (*fits)(const struct work *, int, int), int of)
{
    int low = 0, high = count; /* nothing is asked of 0 */
    while (low < high) {
        const int middle = low + (high - low + 1) / 2;
        if (fits(w, of, middle))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static int slice_fits(const struct work *w, int r, int units)
{
    const int E = w->task->shape.E, G = w->division->G;
    return most_bytes(w, r, (E + G - 1) / G, width_of(w, units)) <= w->task->entry[r]->key.memory_bytes;
}

static int experts_fit(const struct work *w, int g, int experts)
{
    int fit = 1;
    for (int i = w->first[g]; i < w->first[g + 1] && fit; i++) {
        const int r = w->member[i], width = w->division->width[r];
        fit = !width || most_bytes(w, r, experts, width) <= w->task->entry[r]->key.memory_bytes;
    }
    return fit;
}

static int even(const struct work *w)
{
    return w->task->options.shares == MOTLEY_SHARES_EVEN;
}

/* The slices of a group.  bounded: by memory. */
static int cut_slices(struct work *w, int g, int bounded, struct motley_error *error)
{
    struct motley__division *division = w->division;
    const int size = w->first[g + 1] - w->first[g], data = division->mode == MOTLEY_MODE_DATA;
    int left = w->task->shape.F, known_ranks = 0, status = 0;
    w->group = w->member + w->first[g];
    for (int i = 0; i < size; i++) {
        const int takes = even(w) || data || known(w, w->group[i]);
        w->most[i] = !takes ? 0 : bounded ? most_that_fit(w, w->units, slice_fits, w->group[i]) : w->units;
        known_ranks += takes;
    }
    w->seconds[g] = 0;
    if (!known_ranks) /* the group gets no expert */
        memset(w->share, 0, (size_t)size * sizeof *w->share);
    else
        status = motley__allocate(w->units, size, even(w) || data ? equal_seconds : slice_seconds, w, w->most, "slices",
                                  w->share, error);
    for (int i = 0; i < size && !status; i++) {
        const int r = w->group[i], width = width_of(w, w->share[i]);
        division->width[r] = width < left ? width : left;
        left -= division->width[r];
        if (known(w, r))
            w->seconds[g] = fmax(w->seconds[g], motley__cost_width(&w->task->widths[r], division->width[r]));
    }
    return status;
}

static int fail_even(const struct work *w, int g, struct motley_error *error)
{
    const int r = w->member[w->first[g]];
    return motley__fail(error, MOTLEY_E_DEVICE_MEMORY,
                        "even shares give rank %d %d experts%s but its device has memory for %d: use measured shares, "
                        "more ranks, fewer tokens per step, or a higher --memory-limit", r, w->share[g],
                        w->division->width[r] < w->task->shape.F ? ", in slices," : "", w->most[g]);
}

/* Seconds of a group for an expert with so much of the pairs: its slowest rank's.  Infinite: one is not known. */
static double loaded_seconds(const struct work *w, int g, double share)
{
    const struct motley__task *task = w->task;
    double seconds = 0;
    for (int i = w->first[g]; i < w->first[g + 1]; i++) {
        const int r = w->member[i], width = w->division->width[r];
        seconds = fmax(seconds, motley__task_expert(task, r, share, width, task->options.backward));
    }
    return seconds;
}

/* Which experts a group has: blocks of as many as w->share says, or by their loads. */
static int assign_experts(struct work *w, struct motley_error *error)
{
    const struct motley__task *task = w->task;
    struct motley__division *division = w->division;
    const int E = task->shape.E, G = division->G;
    double *seconds;
    int status = 0;
    for (int e = 0, g = 0, left = w->share[0]; e < E; e++, left--) {
        while (!left)
            left = w->share[++g];
        division->owner[e] = g;
        division->rest[e] = 1;
    }
    if (even(w) || G == 1)
        return 0;
    seconds = malloc((size_t)G * (size_t)E * sizeof *seconds);
    if (!seconds)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the loads of %d experts", E);
    for (int g = 0; g < G; g++)
        for (int e = 0; e < E; e++)
            seconds[(size_t)g * (size_t)E + (size_t)e] = loaded_seconds(w, g, task->share[e]);
    status = motley__spread(E, G, seconds, w->most, division->owner, error);
    memset(w->share, 0, (size_t)G * sizeof *w->share);
    for (int e = 0; e < E && !status; e++)
        w->share[division->owner[e]]++;
    free(seconds);
    return status;
}

static double replica_seconds(const void *data, int g, double share)
{
    return loaded_seconds(data, g, share);
}

int motley__divide_replicates(const struct motley__task *task, const struct motley__division *division)
{
    const struct motley_plan_options *options = &task->options;
    const motley_coactivation *c = options->coactivation;
    const int layers = c && !options->coactivation_layer ? motley_coactivation_layers(c) : 1;
    return task->share && options->shares == MOTLEY_SHARES_MEASURED && division->G > 1 && layers == 1;
}

/* Replicas of what is then the slowest group's, where ranks have memory for them. */
static int replicate(struct work *w, struct motley_error *error)
{
    const int E = w->task->shape.E, G = w->division->G;
    for (int g = 0; g < G; g++)
        w->most[g] = w->seconds[g] > 0 ? most_that_fit(w, E, experts_fit, g) : 0;
    return motley__replicate(w->task, w->division, replica_seconds, w, w->most, error);
}

/* The experts of each group. */
static int share_experts(struct work *w, int bounded, struct motley_error *error)
{
    struct motley__division *division = w->division;
    const int E = w->task->shape.E, G = division->G;
    int status = 0;
    for (int g = 0; g < G; g++) {
        const int takes = even(w) || w->seconds[g] > 0;
        w->most[g] = !takes ? 0 : bounded ? most_that_fit(w, E, experts_fit, g) : E;
    }
    if (even(w))
        motley__allocate_even(E, G, w->share);
    else
        status = motley__allocate(E, G, group_seconds, w, w->most, "experts", w->share, error);
    for (int g = 0; g < G && !status; g++)
        if (w->share[g] > w->most[g])
            status = fail_even(w, g, error);
    if (!status && w->task->share)
        status = assign_experts(w, error);
    if (!status)
        memcpy(division->experts, w->share, (size_t)G * sizeof *w->share);
    if (!status && motley__divide_replicates(w->task, division))
        status = replicate(w, error);
    for (int i = 0; i < division->replicas; i++) /* what serves replicas alone keeps its slices */
        w->share[division->group_of[division->replica[i].rank]] = 1;
    for (int r = 0; r < division->R && !status; r++)
        if (!w->share[division->group_of[r]])
            division->width[r] = 0;
    return status;
}

/* With loads as each rank's duty says. */
static int loaded_fits(const struct work *w, int *fits, struct motley_error *error)
{
    const struct motley__task *task = w->task;
    struct motley__duty *duty = calloc((size_t)task->R, sizeof *duty);
    int status = duty ? motley__division_duties(task, w->division, duty, error)
                      : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", task->R);
    *fits = 1;
    for (int r = 0; r < task->R && *fits && !status; r++)
        *fits = motley__cost_bytes(&task->shape, &task->options, task->R, &duty[r], task->entry[r]->panel) <=
                task->entry[r]->key.memory_bytes;
    free(duty);
    return status;
}

static int fits_memory(const struct work *w, int *fits, struct motley_error *error)
{
    const struct motley__division *division = w->division;
    if (w->task->share)
        return loaded_fits(w, fits, error);
    *fits = 1;
    for (int r = 0; r < division->R && *fits; r++)
        *fits = most_bytes(w, r, division->experts[division->group_of[r]], division->width[r]) <=
                w->task->entry[r]->key.memory_bytes;
    return 0;
}

/* Room for what is known of every expert; what an earlier division left goes. */
static int open_experts(struct work *w, struct motley_error *error)
{
    struct motley__division *division = w->division;
    const size_t E = (size_t)w->task->shape.E;
    free(division->replica);
    division->replica = NULL;
    division->replicas = 0;
    if (!w->task->share || division->owner)
        return 0;
    division->owner = calloc(E, sizeof *division->owner);
    division->rest = calloc(E, sizeof *division->rest);
    if (!division->owner || !division->rest)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %zu experts", E);
    return 0;
}

static int share_out(struct work *w, int bounded, struct motley_error *error)
{
    int status = open_experts(w, error);
    for (int g = 0; g < w->division->G && !status; g++)
        status = cut_slices(w, g, bounded && w->division->G < w->division->R, error);
    return status ? status : share_experts(w, bounded, error);
}

int motley__divide_fits(const struct motley__task *task, const struct motley__division *division, int *fits,
                        struct motley_error *error)
{
    struct motley__division as_given = *division; /* nothing is divided here */
    struct work w = {.task = task, .division = &as_given};
    int status = open_work(&w, error);
    if (!status)
        status = fits_memory(&w, fits, error);
    return close_work(&w, status);
}

int motley__divide_room(const struct motley__task *task, const struct motley__division *division, int *most,
                        struct motley_error *error)
{
    struct motley__division as_given = *division; /* nothing is divided here */
    struct work w = {.task = task, .division = &as_given};
    int status = open_work(&w, error);
    for (int g = 0; g < division->G && !status; g++)
        most[g] = loaded_seconds(&w, g, 1.0 / task->shape.E) > 0 ? most_that_fit(&w, task->shape.E, experts_fit, g) : 0;
    return close_work(&w, status);
}

int motley__divide(const struct motley__task *task, struct motley__division *division, struct motley_error *error)
{
    struct work w = {.task = task, .division = division};
    int fits = 0, status = open_work(&w, error);
    if (!status)
        status = share_out(&w, 0, error);
    if (!status)
        status = fits_memory(&w, &fits, error);
    if (!status && !fits)
        status = share_out(&w, 1, error);
    if (!status && !fits)
        status = fits_memory(&w, &fits, error);
    if (!status && !fits)
        status = motley__fail(error, MOTLEY_E_DEVICE_MEMORY, "the devices have no memory for %d experts: use more "
                              "ranks, fewer tokens per step, or a higher --memory-limit", task->shape.E);
    return close_work(&w, status);
}
