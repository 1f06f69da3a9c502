/* Experts with loads moved between groups, and replicas given up, for the sake of the step.
 *
 * Of each group the hottest expert, the coolest and the one nearest to the mean of the two are tried on each other
 * group, and each replicated expert without its replicas; what shortens the prediction most is done, until nothing
 * does.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/refine.h"

enum {
    MOST_GROUPS = 8, PICKS = 3, STEPS = 32,
    WORK = 200000                            /* seconds of experts on ranks that predictions may ask for */
};

/* A step must shorten the prediction at least so much: predictions are not better than that. */
static const double GAIN = 0.02;

/* One call of motley__refine_loaded. */
struct search {
    const struct motley__task *task;
    struct motley__division *division;
    struct motley__rank_cost *cost, *trial;  /* [R]; trial: owned */
    struct motley__replica *left;            /* [replicas] those of other experts; scratch, owned */
    struct motley__prediction *best;         /* of the division */
    int trials;                              /* that are left */
    struct motley_error *error;
};

/* An expert goes to another group, or, with to -1, loses its replicas. */
struct step {
    int expert, to;
    double seconds;                          /* of the whole step then */
};

static double seconds(const struct motley__prediction *prediction)
{
    return prediction->forward_seconds + prediction->backward_seconds;
}

static int replicas_of(const struct motley__division *division, int e)
{
    int count = 0;
    for (int i = 0; i < division->replicas; i++)
        count += division->replica[i].expert == e;
    return count;
}

static void hand_over(struct motley__division *division, int e, int to)
{
    division->experts[division->owner[e]]--;
    division->experts[to]++;
    division->owner[e] = to;
}

/* The replicas of other experts than e: left written, returns how many. */
static int list_others(const struct search *s, int e)
{
    int count = 0;
    for (int i = 0; i < s->division->replicas; i++)
        if (s->division->replica[i].expert != e)
            s->left[count++] = s->division->replica[i];
    return count;
}

/* What the step would take; one that does not fit is no better than now. */
static int try_step(struct search *s, int e, int to, struct step *best)
{
    struct motley__division trial = *s->division; /* nothing of it is freed */
    struct motley__prediction predicted = *s->best;
    const int owner = trial.owner[e];
    const double rest = trial.rest[e];
    int fits = 0;
    if (s->trials-- <= 0)
        return 0;
    if (to < 0) {
        trial.replicas = list_others(s, e);
        trial.replica = s->left;
        trial.rest[e] = 1;
    } else {
        hand_over(&trial, e, to);
    }
    int status = motley__divide_fits(s->task, &trial, &fits, s->error);
    if (!status && fits)
        status = motley__predict(s->task, &trial, s->trial, &predicted, s->error);
    trial.rest[e] = rest;
    if (to >= 0)
        hand_over(&trial, e, owner);
    if (!status && seconds(&predicted) < best->seconds)
        *best = (struct step){e, to, seconds(&predicted)};
    return status;
}

/* The hottest, the coolest and the middle one of a group's experts without replicas; returns how many. */
static int pick(const struct search *s, int g, int picked[PICKS])
{
    const double *share = s->task->share;
    int hottest = -1, coolest = -1, middle = -1;
    for (int e = 0; e < s->task->shape.E; e++) {
        if (s->division->owner[e] != g || replicas_of(s->division, e))
            continue;
        hottest = hottest < 0 || share[e] > share[hottest] ? e : hottest;
        coolest = coolest < 0 || share[e] < share[coolest] ? e : coolest;
    }
    if (hottest < 0)
        return 0;
    const double mean = (share[hottest] + share[coolest]) / 2;
    for (int e = 0; e < s->task->shape.E; e++)
        if (s->division->owner[e] == g && !replicas_of(s->division, e) &&
            (middle < 0 || fabs(share[e] - mean) < fabs(share[middle] - mean)))
            middle = e;
    picked[0] = hottest;
    picked[1] = coolest;
    picked[2] = middle;
    return coolest == hottest ? 1 : middle == hottest || middle == coolest ? 2 : 3;
}

/* The best of all steps.  Every group keeps an expert, or has none still: slices were cut for those that have. */
static int find_best(struct search *s, struct step *best)
{
    const struct motley__division *division = s->division;
    int status = 0;
    for (int a = 0; a < division->G && !status; a++) {
        int picked[PICKS];
        const int picks = division->experts[a] > 1 ? pick(s, a, picked) : 0;
        for (int b = 0; b < division->G; b++)
            for (int i = 0; i < picks && a != b && division->experts[b] && !status; i++)
                status = try_step(s, picked[i], b, best);
    }
    for (int i = 0; i < division->replicas && !status; i++)
        if (i == 0 || division->replica[i - 1].expert != division->replica[i].expert)
            status = try_step(s, division->replica[i].expert, -1, best);
    return status;
}

static int take_step(struct search *s, const struct step *step)
{
    struct motley__division *division = s->division;
    if (step->to >= 0) {
        hand_over(division, step->expert, step->to);
    } else {
        division->replicas = list_others(s, step->expert);
        memcpy(division->replica, s->left, (size_t)division->replicas * sizeof *s->left);
        division->rest[step->expert] = 1;
    }
    return motley__predict(s->task, division, s->cost, s->best, s->error);
}

int motley__refine_loaded(const struct motley__task *task, struct motley__division *division,
                          struct motley__rank_cost *cost, struct motley__prediction *prediction,
                          struct motley_error *error)
{
    struct search s = {.task = task, .division = division, .cost = cost, .best = prediction, .error = error};
    int status = 0;
    if (division->G > MOST_GROUPS)
        return 0;
    s.trials = WORK / (task->shape.E * task->R);
    s.trial = malloc((size_t)task->R * sizeof *s.trial);
    s.left = malloc(((size_t)division->replicas + 1) * sizeof *s.left);
    if (!s.trial || !s.left)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", task->R);
    for (int steps = 0, found = 1; steps < STEPS && found && !status; steps++) {
        struct step best = {.expert = -1, .seconds = (1 - GAIN) * seconds(prediction)};
        status = find_best(&s, &best);
        found = best.expert >= 0;
        if (found && !status)
            status = take_step(&s, &best);
    }
    free(s.trial);
    free(s.left);
    return status;
}
