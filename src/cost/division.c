/* A division: its memory, and what follows from it for every rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cost/division.h"

int motley__division_alloc(int R, struct motley__division *division, struct motley_error *error)
{
    const size_t ranks = (size_t)R;
    *division = (struct motley__division){.R = R, .G = 1, .mode = MOTLEY_MODE_MODEL};
    division->group_of = calloc(ranks, sizeof(int));
    division->experts = calloc(ranks, sizeof(int));
    division->width = calloc(ranks, sizeof(int));
    division->tokens = calloc(ranks, sizeof *division->tokens);
    if (!division->group_of || !division->experts || !division->width || !division->tokens) {
        motley__division_clear(division);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", R);
    }
    return 0;
}

void motley__division_clear(struct motley__division *division)
{
    free(division->group_of);
    free(division->experts);
    free(division->width);
    free(division->tokens);
    free(division->owner);
    free(division->rest);
    free(division->reach);
    free(division->own_reach);
    free(division->node_reach);
    free(division->replica);
    memset(division, 0, sizeof *division);
}

/* What the groups' tokens come to. */
struct reach {
    double groups, ranks;            /* that a token of another group goes to */
    double *others, *own;            /* [G] of the tokens of other groups, and of its own, those that need it; owned,
                                      * and so are the next three */
    double *part, *tokens;           /* [G] of the pairs, what it serves; tokens its ranks bring */
    double *share;                   /* [E] scratch */
    int *members, *replicas;         /* [G] ranks with a slice; owned together */
};

static int reach_alloc(int G, int E, struct reach *reach, struct motley_error *error)
{
    const size_t groups = (size_t)G;
    *reach = (struct reach){.others = calloc(4 * groups + (size_t)E, sizeof(double)),
                            .members = calloc(2 * groups, sizeof(int))};
    if (!reach->others || !reach->members)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d groups", G);
    reach->own = reach->others + groups;
    reach->part = reach->own + groups;
    reach->tokens = reach->part + groups;
    reach->share = reach->tokens + groups;
    reach->replicas = reach->members + groups;
    return 0;
}

static void reach_clear(struct reach *reach)
{
    free(reach->others);
    free(reach->members);
}

double motley__division_part(double part, double own_tokens, int own)
{
    const double first = own_tokens > 0 ? fmin(1, part / own_tokens) : 0;
    if (own)
        return first;
    return own_tokens < 1 ? fmax(0, part - own_tokens * first) / (1 - own_tokens) : 0;
}

/* The tokens that need group g, of those of others or of its own, where loads are known. */
static double reach_of(const struct motley__task *task, const struct motley__division *division, struct reach *reach,
                       int g, int own)
{
    const double T = (double)task->options.tokens, own_tokens = T > 0 ? reach->tokens[g] / T : 0;
    int count = 0;
    for (int e = 0; e < task->shape.E; e++) {
        if (division->owner[e] != g)
            continue;
        const double rest = division->rest[e];
        reach->share[count++] = task->share[e] * (rest < 1 ? motley__division_part(rest, own_tokens, own) : 1);
    }
    for (int i = 0; i < division->replicas; i++)
        if (division->group_of[division->replica[i].rank] == g)
            reach->share[count++] = task->share[division->replica[i].expert] *
                                    motley__division_part(division->replica[i].part, own_tokens, own);
    return motley__task_reach_of(task, reach->share, count);
}

static void add_reach(const struct motley__task *task, const struct motley__division *division, struct reach *reach)
{
    for (int r = 0; r < division->R; r++) {
        reach->members[division->group_of[r]] += division->width[r] > 0;
        reach->tokens[division->group_of[r]] += (double)division->tokens[r];
    }
    for (int i = 0; i < division->replicas; i++) {
        const int g = division->group_of[division->replica[i].rank];
        reach->replicas[g]++;
        reach->part[g] += task->share[division->replica[i].expert] * division->replica[i].part;
    }
    for (int e = 0; e < task->shape.E && task->share; e++)
        reach->part[division->owner[e]] += task->share[e] * division->rest[e];
    for (int g = 0; g < division->G; g++) {
        if (!task->share)
            reach->part[g] = task->kept * division->experts[g] / task->shape.E;
        if (division->reach) {
            reach->others[g] = division->reach[g];
            reach->own[g] = division->own_reach ? division->own_reach[g] : division->reach[g];
        } else if (task->share) {
            reach->others[g] = reach_of(task, division, reach, g, 0);
            reach->own[g] = division->replicas ? reach_of(task, division, reach, g, 1) : reach->others[g];
        } else {
            reach->others[g] = reach->own[g] = motley__task_reach(task, division->experts[g]);
        }
        reach->groups += reach->others[g];
        reach->ranks += reach->others[g] * reach->members[g];
    }
}

static struct motley__duty duty_of(const struct motley__task *task, const struct motley__division *division,
                                   const struct reach *reach, int r)
{
    const double tokens = (double)division->tokens[r], all = (double)task->options.tokens, K = task->shape.K;
    const int g = division->group_of[r], holds = division->width[r] > 0, data = division->mode == MOTLEY_MODE_DATA;
    const double own = reach->own[g], others = reach->others[g];
    const int alone = holds && reach->members[g] == 1; /* its group's tokens stay */
    struct motley__duty duty = {.experts = holds ? division->experts[g] : 0, .width = division->width[r],
                                .replicas = holds ? reach->replicas[g] : 0,
                                .lots = division->replicas ? MOTLEY__LOTS : 1,
                                .named = division->replicas ? task->shape.E + division->replicas : 0,
                                .caches = data, .tokens = tokens,
                                .reach = holds ? others : 0, .part = holds ? reach->part[g] : 0};
    duty.pairs = data ? task->kept * tokens * K : all * K * duty.part;
    if (data)
        return duty;
    duty.gathered = tokens * fmax(0, reach->groups - (others - (alone ? 0 : own)));
    duty.sent = tokens * fmax(0, reach->ranks - (others - own) * reach->members[g] - (holds ? own : 0));
    duty.received = holds ? (all - tokens) * others + (reach->tokens[g] - tokens) * (own - others) : 0;
    return duty;
}

int motley__division_duties(const struct motley__task *task, const struct motley__division *division,
                            struct motley__duty *duty, struct motley_error *error)
{
    struct reach reach;
    int status = reach_alloc(division->G, task->shape.E, &reach, error);
    if (!status) {
        add_reach(task, division, &reach);
        for (int r = 0; r < division->R; r++)
            duty[r] = duty_of(task, division, &reach, r);
    }
    reach_clear(&reach);
    return status;
}

/* Every expert for itself, as loads are known. */
static double loaded_seconds(const struct motley__task *task, const struct motley__division *division, int rank,
                             int backward)
{
    const int g = division->group_of[rank], width = division->width[rank];
    double seconds = 0;
    for (int e = 0; e < task->shape.E; e++)
        if (division->owner[e] == g)
            seconds += motley__task_expert(task, rank, task->share[e] * division->rest[e], width, backward);
    for (int i = 0; i < division->replicas; i++) {
        const struct motley__replica *replica = &division->replica[i];
        if (division->group_of[replica->rank] == g)
            seconds += motley__task_expert(task, rank, task->share[replica->expert] * replica->part, width, backward);
    }
    return seconds;
}

double motley__division_seconds(const struct motley__task *task, const struct motley__division *division, int rank,
                                int forward)
{
    const struct motley__widths *widths = forward ? &task->forward[rank] : &task->widths[rank];
    const int backward = task->options.backward && !forward;
    if (division->mode == MOTLEY_MODE_DATA)
        return motley__task_all(task, rank, (double)division->tokens[rank], backward);
    if (!widths->points)
        return 0;
    if (task->share)
        return loaded_seconds(task, division, rank, backward);
    return division->experts[division->group_of[rank]] * motley__cost_width(widths, division->width[rank]);
}

void motley__division_owners(const struct motley__division *division, int E, int blocks, int *owner)
{
    const int *given = blocks ? NULL : division->owner;
    for (int e = 0, g = 0, left = division->experts[0]; e < E; e++) {
        while (!given && !left && g + 1 < division->G)
            left = division->experts[++g];
        left--;
        owner[e] = given ? given[e] : g;
    }
}

int motley__division_placement(const struct motley__division *division, struct motley__placement *stored,
                               struct motley_error *error)
{
    const int E = stored->E, G = division->G;
    int *begin = calloc((size_t)G + (size_t)E, sizeof *begin), status = 0;
    if (!begin)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", division->R);
    int *owner = begin + G;
    motley__division_owners(division, E, 0, owner);
    for (int r = 0; r < division->R && !status; r++) {
        const int g = division->group_of[r], width = division->width[r];
        struct motley__holding *holding = &stored->rank[r];
        status = motley__holding_alloc(holding, width ? division->experts[g] : 0, error);
        for (int e = 0, i = 0; e < E && i < holding->experts && !status; e++)
            if (owner[e] == g)
                holding->expert[i++] = e;
        holding->begin = begin[g];
        begin[g] += width;
        holding->end = begin[g];
    }
    free(begin);
    return status;
}
