/* The modes, and the fastest of them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/collocate.h"
#include "allocate/group.h"
#include "allocate/mode.h"
#include "allocate/refine.h"
#include "allocate/tokens.h"
#include "profile/names.h"

enum { FEW_RANKS = 16, SOME_RANKS = 256 }; /* up to which every number of groups, and every power of two, is tried */

/* Predictions closer than this are the same: measuring again must not change the mode. */
static const double NEARLY = 0.98;

void motley__mode_text(enum motley_mode mode, int group, char *text, size_t size)
{
    if (mode == MOTLEY_MODE_HYBRID)
        snprintf(text, size, "hybrid:%d", group);
    else
        snprintf(text, size, "%s", motley__mode_names[mode]);
}

int motley__mode_parse(const char *option, const char *text, enum motley_mode *mode, int *group,
                       struct motley_error *error)
{
    int number = 0, end = 0;
    for (int i = 0; i < MOTLEY_MODE_HYBRID; i++)
        if (!strcmp(text, motley__mode_names[i])) {
            *mode = (enum motley_mode)i;
            *group = 0;
            return 0;
        }
    if (sscanf(text, "hybrid:%9d%n", &number, &end) != 1 || text[end] || number < 2)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "%s: expected auto, expert, data, model or hybrid:r with r ranks of a group from 2 on, "
                            "found '%s'", option, text);
    *mode = MOTLEY_MODE_HYBRID;
    *group = number;
    return 0;
}

int motley__mode_possible(enum motley_mode mode, int group, int R, struct motley_error *error)
{
    if ((int)mode < MOTLEY_MODE_AUTO || mode > MOTLEY_MODE_HYBRID)
        return motley__fail(error, MOTLEY_E_INVALID, "mode is %d, expected auto (0), expert (1), data (2), model (3) "
                            "or hybrid (4)", (int)mode);
    if (mode == MOTLEY_MODE_HYBRID && (group < 2 || group >= R))
        return motley__fail(error, MOTLEY_E_INVALID,
                            "hybrid:%d with %d rank%s: a group has at least 2 ranks and not all of them; choose "
                            "%s", group, R, R == 1 ? "" : "s", R < 3 ? "another mode" : "another number, or model");
    return 0;
}

static void add(struct motley__alternative *list, int *count, enum motley_mode mode, int group)
{
    assert(*count < MOTLEY__ALTERNATIVES);
    list[(*count)++] = (struct motley__alternative){.mode = mode, .group = group};
}

int motley__mode_list(int R, struct motley__alternative list[MOTLEY__ALTERNATIVES])
{
    int count = 0;
    add(list, &count, MOTLEY_MODE_EXPERT, 0);
    if (R == 1)
        return count;
    add(list, &count, MOTLEY_MODE_DATA, 0);
    add(list, &count, MOTLEY_MODE_MODEL, 0);
    for (int G = 2; G < R; G = R > SOME_RANKS ? 4 * G : R > FEW_RANKS ? 2 * G : G + 1) {
        const int group = (R + G - 1) / G;
        if ((R + group - 1) / group == G && group > 1) /* else another number of groups has groups of this size */
            add(list, &count, MOTLEY_MODE_HYBRID, group);
    }
    return count;
}

int motley__mode_divide(const struct motley__task *task, enum motley_mode mode, int group,
                        struct motley__division *division, struct motley_error *error)
{
    const int R = task->R;
    struct motley__division made;
    int status = motley__division_alloc(R, &made, error);
    if (status)
        return status;
    status = motley__tokens(task, mode, made.tokens, error);
    made.mode = mode;
    made.group = mode == MOTLEY_MODE_HYBRID ? group : 0;
    if (!status && mode == MOTLEY_MODE_HYBRID) {
        status = motley__group(task, (R + group - 1) / group, &made, error);
    } else if (!status) {
        made.G = mode == MOTLEY_MODE_EXPERT ? R : 1;
        for (int r = 0; r < R; r++)
            made.group_of[r] = mode == MOTLEY_MODE_EXPERT ? r : 0;
        status = motley__divide(task, &made, error);
    }
    if (status)
        motley__division_clear(&made);
    else
        *division = made;
    return status;
}

/* One search through the list. */
struct search {
    const struct motley__task *task;
    struct motley__alternative *list;
    int *count, *chosen;
    struct motley__division division; /* of the chosen; owned until it is handed over */
    struct motley__rank_cost *cost;  /* [R] of the chosen, and scratch for the one under trial */
    struct motley__rank_cost *trial; /* [R] owned */
    struct motley_error why;         /* the one asked for, or the first, does not fit */
    struct motley_error *error;
};

static int asked_for(const struct search *s, const struct motley__alternative *alternative)
{
    const struct motley_plan_options *options = &s->task->options;
    return options->mode == alternative->mode &&
           (options->mode != MOTLEY_MODE_HYBRID || options->group == alternative->group);
}

/* Is this one better than the chosen? */
static int better(const struct search *s, const struct motley__alternative *alternative)
{
    if (s->task->options.mode != MOTLEY_MODE_AUTO)
        return asked_for(s, alternative);
    if (*s->chosen < 0)
        return 1;
    const struct motley__prediction *a = &alternative->predicted, *b = &s->list[*s->chosen].predicted;
    return a->known && b->known &&
           a->forward_seconds + a->backward_seconds < NEARLY * (b->forward_seconds + b->backward_seconds);
}

/* May it be better than the chosen one, once rows go to as few ranks as what is chosen together allows?  Searching for
 * that takes long. */
static int worth_collocating(const struct search *s, const struct motley__alternative *alternative)
{
    const struct motley__prediction *p = &alternative->predicted;
    const double rows = p->forward.dispatch + p->forward.combine + p->backward.dispatch + p->backward.combine;
    if (!s->task->options.coactivation)
        return 0;
    if (s->task->options.mode != MOTLEY_MODE_AUTO)
        return asked_for(s, alternative);
    if (*s->chosen < 0 || !p->known)
        return *s->chosen < 0;
    const struct motley__prediction *chosen = &s->list[*s->chosen].predicted;
    return p->forward_seconds + p->backward_seconds - rows < chosen->forward_seconds + chosen->backward_seconds;
}

/* Divide and predict alternative i; it is the chosen one when it is better. */
static int consider(struct search *s, int i)
{
    struct motley__alternative *alternative = &s->list[i];
    const int any = s->task->options.mode == MOTLEY_MODE_AUTO;
    struct motley_error why = {0};
    struct motley__division division = {0};
    int status = motley__mode_divide(s->task, alternative->mode, alternative->group, &division, &why);
    if (status == MOTLEY_E_DEVICE_MEMORY) {
        if (asked_for(s, alternative) || (any && !s->why.code))
            s->why = why;
        return 0;
    }
    if (status)
        return motley__fail(s->error, status, "%s", why.text);
    status = motley__predict(s->task, &division, s->trial, &alternative->predicted, s->error);
    if (!status)
        status = motley__refine(s->task, &division, s->trial, &alternative->predicted, s->error);
    if (!status && worth_collocating(s, alternative))
        status = motley__collocate_division(s->task, &division, s->trial, &alternative->predicted, s->error);
    alternative->fits = 1;
    if (!status && better(s, alternative)) {
        const struct motley__division before = s->division;
        s->division = division;
        division = before;
        *s->chosen = i;
        memcpy(s->cost, s->trial, (size_t)s->task->R * sizeof *s->cost);
    }
    motley__division_clear(&division);
    return status;
}

int motley__mode_choose(const struct motley__task *task, struct motley__alternative list[MOTLEY__ALTERNATIVES],
                        int *count, int *chosen, struct motley__division *division, struct motley__rank_cost *cost,
                        struct motley_error *error)
{
    const struct motley_plan_options *options = &task->options;
    struct search s = {.task = task, .list = list, .count = count, .chosen = chosen, .cost = cost, .error = error};
    int listed = options->mode == MOTLEY_MODE_AUTO, status;
    *chosen = -1;
    status = motley__mode_possible(options->mode, options->group, task->R, error);
    if (status)
        return status;
    *count = listed || task->R <= SOME_RANKS ? motley__mode_list(task->R, list) : 0;
    for (int i = 0; i < *count; i++)
        listed = listed || asked_for(&s, &list[i]);
    if (!listed)
        add(list, count, options->mode, options->mode == MOTLEY_MODE_HYBRID ? options->group : 0);
    s.trial = malloc((size_t)task->R * sizeof *s.trial);
    if (!s.trial)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", task->R);
    for (int i = 0; i < *count && !status; i++)
        status = consider(&s, i);
    if (!status && *chosen < 0)
        status = motley__fail(error, MOTLEY_E_DEVICE_MEMORY, "%s", s.why.text);
    free(s.trial);
    if (status)
        motley__division_clear(&s.division);
    else
        *division = s.division;
    return status;
}
