/* Replicas of hot experts among those that tokens choose together.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/replica_homes.h"
#include "allocate/replicate.h"
#include "allocate/serve.h"
#include "allocate/settle.h"
#include "cost/replica.h"

enum { MOST_PLACES = 1 << 15 };      /* experts times groups, up to which replicas are looked for */

/* What a replica must win of the seconds of the best without any. */
static const double WORTH = 0.01;

/* One call of motley__replica_homes. */
struct work {
    const struct motley__replica_homes *of;
    struct motley__settle_problem problem;
    int *room, *lowest;              /* [G] experts that fit; lowest rank; one array, owned */
    double *own, *price, *moving;    /* [G], [G], [G,G]; one array, owned */
    double *tokens;                  /* [R] owned */
    int *home[2], *part[2];          /* [E], [E,G] of each start; one array, owned */
    struct motley_error *error;
};

static void close_work(struct work *w)
{
    free(w->room);
    free(w->own);
    free(w->tokens);
    free(w->home[0]);
}

/* Units of the rows of an expert on a group: its slowest rank's seconds. */
static double seconds_of(const void *data, int g, int e, int units)
{
    const struct motley__replica_homes *of = data;
    const double share = of->task->share[e] * units / MOTLEY__LOTS;
    double seconds = 0;
    for (int r = 0; r < of->division->R; r++)
        if (of->division->group_of[r] == g)
            seconds = fmax(seconds, motley__task_expert(of->task, r, share, of->division->width[r],
                                                        of->task->options.backward));
    return seconds;
}

/* What groups bring, what rows to them cost, and what replicas on them make travel. */
static void price_groups(struct work *w)
{
    const struct motley__division *division = w->of->division;
    const int G = division->G;
    double all = 0;
    for (int r = division->R - 1; r >= 0; r--) {
        w->lowest[division->group_of[r]] = r;
        w->tokens[r] = (double)division->tokens[r];
        w->own[division->group_of[r]] += w->tokens[r];
        all += w->tokens[r];
    }
    for (int g = 0; g < G; g++)
        w->own[g] = all > 0 ? w->own[g] / all : 0;
    for (int g = 0; g < G; g++) {
        w->price[g] = w->of->row_seconds * fmax(0, w->of->ranks[g] - w->own[g]);
        for (int owner = 0; owner < G && w->of->task->options.backward; owner++) {
            const struct motley__replica_moves moves =
                motley__replica_moves(w->of->task, division, owner, w->lowest[g]);
            w->moving[(size_t)owner * (size_t)G + (size_t)g] = moves.there + moves.back;
        }
    }
}

static int open_work(struct work *w)
{
    const struct motley__replica_homes *of = w->of;
    const size_t G = (size_t)of->division->G, E = (size_t)of->task->shape.E;
    w->room = malloc(2 * G * sizeof *w->room);
    w->own = calloc(2 * G + G * G, sizeof *w->own);
    w->tokens = malloc((size_t)of->division->R * sizeof *w->tokens);
    w->home[0] = calloc(2 * (E + E * G), sizeof *w->home[0]);
    if (!w->room || !w->own || !w->tokens || !w->home[0])
        return motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for replicas of %zu experts", E);
    w->lowest = w->room + G;
    w->price = w->own + G;
    w->moving = w->price + G;
    w->home[1] = w->home[0] + E;
    w->part[0] = w->home[1] + E;
    w->part[1] = w->part[0] + E * G;
    price_groups(w);
    w->problem = (struct motley__settle_problem){
        .E = (int)E, .G = (int)G, .units = MOTLEY__LOTS, .seconds = seconds_of, .data = of, .room = w->room,
        .own = w->own, .price = w->price, .moving = w->moving, .sets = of->choices->sets, .K = of->choices->K,
        .set = of->choices->set, .weight = of->choices->weight};
    return motley__divide_room(of->task, of->division, w->room, w->error);
}

/* Every expert at its home; what the division's replicas serve, to the next unit, taken from there. */
static void start(const struct work *w, const int *owner, int with_replicas, int *home, int *part)
{
    const struct motley__division *division = w->of->division;
    const size_t G = (size_t)division->G;
    memcpy(home, owner, (size_t)w->problem.E * sizeof *home);
    for (int e = 0; e < w->problem.E; e++)
        part[(size_t)e * G + (size_t)owner[e]] = MOTLEY__LOTS;
    for (int i = 0; i < division->replicas && with_replicas; i++) {
        const struct motley__replica *replica = &division->replica[i];
        int *row = part + (size_t)replica->expert * G, *left = &row[owner[replica->expert]];
        const int units = (int)lround(replica->part * MOTLEY__LOTS);
        const int moved = units < *left ? units : *left;
        row[division->group_of[replica->rank]] += moved;
        *left -= moved;
    }
}

/* The replicas that parts [E,G] mean. */
static int list_replicas(const struct work *w, const int *home, const int *part, int replicas,
                         struct motley__collocation *found)
{
    const int E = w->problem.E, R = w->of->division->R;
    found->replica = malloc(((size_t)replicas + 1) * sizeof *found->replica);
    found->rest = malloc((size_t)E * sizeof *found->rest);
    if (!found->replica || !found->rest)
        return motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for %d replicas of experts", replicas);
    memcpy(found->home, home, (size_t)E * sizeof *home);
    for (int e = 0; e < E; e++) {
        const int *row = part + (size_t)e * (size_t)w->problem.G;
        found->rest[e] = (double)row[home[e]] / MOTLEY__LOTS;
        for (int r = 0; r < R; r++) {
            const int g = w->of->division->group_of[r];
            if (r == w->lowest[g] && g != home[e] && row[g])
                found->replica[found->replicas++] =
                    (struct motley__replica){.expert = e, .rank = r, .part = (double)row[g] / MOTLEY__LOTS};
        }
    }
    return 0;
}

/* Scratch of a count, lot by lot. */
struct count {
    int *server;                     /* [lots,E] */
    double *now;                     /* [places] of one lot */
    double *foreign;                 /* [places] tokens of others than the place's own ranks */
};

/* The tokens of each rank that come to each of `places`: groups, or with `has` nodes; ranks are at place_of [R].
 * reach and own [places] become parts of the tokens of others and of its own. */
static int count_lots(const struct work *w, const struct motley__serving *serving, const uint8_t *has,
                      const int *place_of, int places, struct count *count, double *reach, double *own)
{
    const size_t E = (size_t)serving->E;
    double all = 0;
    int status = 0;
    memset(count->foreign, 0, (size_t)places * sizeof *count->foreign);
    for (int p = 0; p < places; p++)
        reach[p] = own[p] = 0;
    for (int r = 0; r < serving->R && !status; r++) {
        const double lot = w->tokens[r] / MOTLEY__LOTS;
        status = motley__serve(serving, r, count->server, w->error);
        for (size_t s = 0; s < MOTLEY__LOTS && !status; s++) {
            const int *server = count->server + s * E;
            if (s == 0 || memcmp(server, server - E, E * sizeof *server))
                motley__choices_reach(w->of->choices, server, has, places, count->now);
            for (int p = 0; p < places; p++)
                *(place_of[r] == p ? &own[p] : &reach[p]) += lot * count->now[p];
        }
        count->foreign[place_of[r]] += w->tokens[r];
        all += w->tokens[r];
    }
    for (int p = 0; p < places; p++) {
        const double mine = count->foreign[p], others = all - mine;
        reach[p] = others > 0 ? reach[p] / others : 0;
        own[p] = mine > 0 ? own[p] / mine : reach[p];
    }
    return status;
}

static int count_reach(const struct work *w, struct motley__collocation *found)
{
    const struct motley__replica_homes *of = w->of;
    const struct motley__division *division = of->division;
    const size_t most = (size_t)(division->G > of->nodes ? division->G : of->nodes);
    const struct motley__serving serving = {.R = division->R, .E = w->problem.E, .group_of = division->group_of,
                                            .owner = found->home, .tokens = w->tokens, .replicas = found->replicas,
                                            .replica = found->replica};
    struct count count = {.server = malloc(MOTLEY__LOTS * (size_t)w->problem.E * sizeof *count.server),
                          .now = malloc(3 * most * sizeof *count.now)};
    found->own_reach = malloc((size_t)division->G * sizeof *found->own_reach);
    int status = count.server && count.now && found->own_reach
                     ? 0 : motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for the rows of replicas");
    if (!status) {
        count.foreign = count.now + most;
        status = count_lots(w, &serving, NULL, division->group_of, division->G, &count, found->reach,
                            found->own_reach);
    }
    if (!status && of->has)
        status = count_lots(w, &serving, of->has, of->task->links->node, of->nodes, &count, found->node_reach,
                            count.now + 2 * most);
    found->copies = 0;
    for (int g = 0; g < division->G && !status; g++)
        found->copies += of->ranks[g] * (found->reach[g] * (1 - w->own[g]) + found->own_reach[g] * w->own[g]);
    free(count.server);
    free(count.now);
    return status;
}

/* Have the devices memory for the division with these replicas? */
static int fit(const struct work *w, const struct motley__collocation *found, int *fits)
{
    struct motley__division trial = *w->of->division; /* nothing of it is freed */
    trial.owner = found->home;
    trial.rest = found->rest;
    trial.replicas = found->replicas;
    trial.replica = found->replica;
    trial.reach = found->reach;
    trial.own_reach = found->own_reach;
    trial.node_reach = found->node_reach;
    return motley__divide_fits(w->of->task, &trial, fits, w->error);
}

/* The better end of the two starts; which: 0 or 1. */
static int search(struct work *w, const int *home, int *which, struct motley__settle_cost *cost)
{
    struct motley__settle_cost before, end[2];
    start(w, home, 0, w->home[0], w->part[0]);
    start(w, w->of->division->owner, 1, w->home[1], w->part[1]);
    int status = motley__settle_cost(&w->problem, w->home[0], w->part[0], &before, w->error);
    w->problem.worth = WORTH * (before.slowest + before.rows);
    for (int i = 0; i < 2 && !status; i++)
        status = motley__settle(&w->problem, w->home[i], w->part[i], &end[i], w->error);
    if (status)
        return status;
    *which = end[1].seconds < end[0].seconds;
    *cost = end[*which];
    return 0;
}

/* What is found with replicas, in memory of its own. */
static int describe(const struct work *w, int which, int replicas, const struct motley__collocation *without,
                    struct motley__collocation *with)
{
    *with = (struct motley__collocation){
        .home = malloc((size_t)w->problem.E * sizeof *with->home), .copies_before = without->copies_before,
        .reach = malloc((size_t)w->problem.G * sizeof *with->reach),
        .node_reach = w->of->has ? malloc((size_t)w->of->nodes * sizeof *with->node_reach) : NULL};
    int status = with->home && with->reach && (!w->of->has || with->node_reach)
                     ? 0 : motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for %d replicas", replicas);
    if (!status)
        status = list_replicas(w, w->home[which], w->part[which], replicas, with);
    return status ? status : count_reach(w, with);
}

int motley__replica_homes(const struct motley__replica_homes *homes, struct motley__collocation *found,
                          struct motley_error *error)
{
    struct work w = {.of = homes, .error = error};
    struct motley__collocation with = {0};
    struct motley__settle_cost cost = {0};
    int which = 0, fits = 0, status;
    if ((int64_t)homes->task->shape.E * homes->division->G > MOST_PLACES)
        return 0;
    status = open_work(&w);
    if (!status)
        status = search(&w, found->home, &which, &cost);
    if (!status && cost.replicas)
        status = describe(&w, which, cost.replicas, found, &with);
    if (!status && cost.replicas)
        status = fit(&w, &with, &fits);
    if (!status && fits) {
        const struct motley__collocation without = *found;
        *found = with;
        with = without;
    }
    motley__collocation_clear(&with);
    close_work(&w);
    return status;
}
