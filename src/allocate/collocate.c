/* Which experts the groups of a division hold.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/collocate.h"
#include "allocate/place.h"
#include "allocate/replica_homes.h"
#include "coactivation/coactivation.h"

/* One call of motley__collocate. */
struct work {
    const struct motley__task *task;
    const struct motley__division *division;
    struct motley__choices choices;  /* owned, and so are the next three */
    double *seconds;                 /* [G,E] of each expert's rows on each group */
    int *ranks;                      /* [G] with a slice of the group's experts */
    int *now, *blocks;               /* [E] group of each expert as things are, and in blocks; one array */
    struct motley__place_problem place;
    double row_seconds;              /* of a row to another rank, as the step feels it, when all tokens send one */
    struct motley_error *error;
};

static void close_work(struct work *w)
{
    motley__choices_clear(&w->choices);
    free(w->seconds);
    free(w->ranks);
    free(w->now);
}

static int open_work(struct work *w)
{
    const struct motley__division *division = w->division;
    const int E = w->task->shape.E;
    const size_t G = (size_t)division->G;
    w->seconds = calloc(G * (size_t)E, sizeof *w->seconds);
    w->ranks = calloc(G, sizeof *w->ranks);
    w->now = malloc(2 * (size_t)E * sizeof *w->now);
    if (!w->seconds || !w->ranks || !w->now)
        return motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory to place %d experts", E);
    w->blocks = w->now + E;
    for (int r = 0; r < division->R; r++)
        w->ranks[division->group_of[r]] += division->width[r] > 0;
    motley__division_owners(division, E, 0, w->now);
    motley__division_owners(division, E, 1, w->blocks);
    w->place = (struct motley__place_problem){.E = E, .G = division->G, .most = division->experts,
                                              .sets = w->choices.sets, .K = w->choices.K, .set = w->choices.set,
                                              .weight = w->choices.weight, .ranks = w->ranks, .copy_seconds = 1};
    return 0;
}

/* What a capacity drops of the choices. */
static int keep_choices(struct work *w)
{
    const struct motley__task *task = w->task;
    const int E = task->shape.E;
    const double *load = task->options.load;
    double all = 0, *kept = malloc((size_t)E * sizeof *kept);
    if (!kept)
        return motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory to place %d experts", E);
    for (int e = 0; e < E; e++)
        all += load ? load[e] : w->choices.chosen[e];
    for (int e = 0; e < E; e++) {
        const double share = all > 0 ? (load ? load[e] : w->choices.chosen[e]) / all : 0;
        kept[e] = share > 0 ? motley__cost_kept(&task->shape, &task->options, share) / share : 1;
    }
    int status = motley__choices_keep(&w->choices, E, kept, w->error);
    free(kept);
    return status;
}

/* Seconds of rank r for an expert with the rows that it really has: those of its load, or those recorded. */
static double seconds_of(const struct work *w, int r, int e)
{
    const struct motley__task *task = w->task;
    const int width = w->division->width[r], backward = task->options.backward;
    const double rows = (double)task->options.tokens * w->choices.chosen[e];
    struct motley__widths widths;
    if (task->share)
        return motley__task_expert(task, r, task->share[e], width, backward);
    motley__cost_widths(task->entry[r], &task->shape, fmax(1, rows), backward, &widths);
    return widths.points ? fmin(1, rows) * motley__cost_width(&widths, width) : 0;
}

/* Each expert on each group: the slowest of its ranks. */
static void price_experts(struct work *w)
{
    const int E = w->task->shape.E;
    for (int r = 0; r < w->task->R; r++)
        for (int e = 0; e < E && w->division->width[r] > 0; e++) {
            double *seconds = &w->seconds[(size_t)w->division->group_of[r] * (size_t)E + (size_t)e];
            *seconds = fmax(*seconds, seconds_of(w, r, e));
        }
}

/* What a row to another rank costs the step when all tokens send one: what is predicted for moving rows, for each that
 * a token is predicted to send. */
static int price_rows(struct work *w)
{
    const struct motley__division *division = w->division;
    const size_t R = (size_t)division->R;
    struct motley__rank_cost *cost = malloc(R * sizeof *cost);
    struct motley__duty *duty = malloc(R * sizeof *duty);
    struct motley__prediction p = {0};
    double sent = 0;
    int status = cost && duty ? motley__predict(w->task, division, cost, &p, w->error)
                              : motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory to predict %zu ranks", R);
    if (!status)
        status = motley__division_duties(w->task, division, duty, w->error);
    for (size_t r = 0; r < R && !status; r++)
        sent += duty[r].sent;
    if (!status && sent > 0)
        w->row_seconds = (p.forward.dispatch + p.forward.combine + p.backward.dispatch + p.backward.combine) /
                         (sent / (double)w->task->options.tokens);
    free(cost);
    free(duty);
    return status;
}

/* Seconds, as far as anything was measured; and a row always costs something, so that among placements alike in
 * seconds the one with fewer is taken.  Of the copies of a token one stays at home. */
static int price(struct work *w)
{
    const double LEAST = 1e-6; /* of the experts' seconds */
    const size_t all = (size_t)w->division->G * (size_t)w->task->shape.E;
    double experts = 0;
    int ranks = 0;
    if (w->task->options.shares == MOTLEY_SHARES_EVEN)
        return 0;
    price_experts(w);
    int status = price_rows(w);
    for (size_t i = 0; i < all; i++)
        experts += w->seconds[i] / w->division->G;
    for (int g = 0; g < w->division->G; g++)
        ranks += w->ranks[g];
    w->place.seconds = w->seconds;
    if (!(w->row_seconds > LEAST * experts))
        w->row_seconds = experts > 0 ? LEAST * experts : 1;
    w->place.copy_seconds = ranks > 1 ? w->row_seconds * (ranks - 1) / ranks : w->row_seconds;
    return status;
}

/* Which nodes have a rank of each group: has [G,nodes], NULL where there is one node.  Owned by the caller. */
static int find_nodes(const struct work *w, uint8_t **has)
{
    const struct motley__links *links = w->task->links;
    const struct motley__division *division = w->division;
    *has = NULL;
    if (!links || links->nodes < 2)
        return 0;
    const size_t nodes = (size_t)links->nodes;
    *has = calloc((size_t)division->G * nodes, sizeof **has);
    if (!*has)
        return motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for the rows of %zu nodes", nodes);
    for (int r = 0; r < division->R; r++)
        (*has)[(size_t)division->group_of[r] * nodes + (size_t)links->node[r]] |= division->width[r] > 0;
    return 0;
}

/* What reaches groups and nodes where every expert has one home. */
static int reach_homes(const struct work *w, struct motley__collocation *found)
{
    uint8_t *has;
    int status = find_nodes(w, &has);
    const int nodes = has ? w->task->links->nodes : 0;
    found->reach = malloc((size_t)w->division->G * sizeof *found->reach);
    found->node_reach = has ? malloc((size_t)nodes * sizeof *found->node_reach) : NULL;
    if (!status && (!found->reach || (has && !found->node_reach)))
        status = motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for the rows of %d groups",
                              w->division->G);
    if (!status)
        motley__choices_reach(&w->choices, found->home, NULL, w->division->G, found->reach);
    if (!status && has)
        motley__choices_reach(&w->choices, found->home, has, nodes, found->node_reach);
    free(has);
    return status;
}

/* The best placement, unless it is no better than what is. */
static int place(struct work *w, struct motley__collocation *found)
{
    const double BETTER = 1 - 1e-9;
    const int E = w->task->shape.E;
    struct motley__place_cost best, now, blocks;
    int status = motley__place_best(&w->place, found->home, &best, w->error);
    if (!status)
        status = motley__place_cost(&w->place, w->now, &now, w->error);
    if (!status)
        status = motley__place_cost(&w->place, w->blocks, &blocks, w->error);
    if (status)
        return status;
    if (!(best.seconds < BETTER * now.seconds)) {
        memcpy(found->home, w->now, (size_t)E * sizeof *found->home);
        best = now;
    }
    found->copies = best.copies;
    found->copies_before = blocks.copies;
    return reach_homes(w, found);
}

void motley__collocation_clear(struct motley__collocation *collocation)
{
    free(collocation->home);
    free(collocation->replica);
    free(collocation->rest);
    free(collocation->reach);
    free(collocation->own_reach);
    free(collocation->node_reach);
    *collocation = (struct motley__collocation){0};
}

/* Replicas, where there may be any. */
static int add_replicas(const struct work *w, struct motley__collocation *found)
{
    struct motley__replica_homes homes = {.task = w->task, .division = w->division, .choices = &w->choices,
                                          .ranks = w->ranks, .row_seconds = w->row_seconds};
    uint8_t *has = NULL;
    if (!motley__divide_replicates(w->task, w->division))
        return 0;
    int status = find_nodes(w, &has);
    homes.has = has;
    homes.nodes = has ? w->task->links->nodes : 0;
    if (!status)
        status = motley__replica_homes(&homes, found, w->error);
    free(has);
    return status;
}

int motley__collocate(const struct motley__task *task, const struct motley__division *division, int layer,
                      struct motley__collocation *collocation, struct motley_error *error)
{
    const int E = task->shape.E;
    struct work w = {.task = task, .division = division, .error = error};
    struct motley__collocation found = {.home = malloc((size_t)E * sizeof *found.home)};
    int status = found.home ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to place %d experts", E);
    if (!status)
        motley__division_owners(division, E, 0, found.home);
    if (!status && division->mode != MOTLEY_MODE_DATA && division->G > 1)
        status = motley__choices_make(task->options.coactivation, layer, task->shape.K, &w.choices, error);
    if (!status && w.choices.sets && task->options.capacity != 0)
        status = keep_choices(&w);
    if (!status && w.choices.sets)
        status = open_work(&w);
    if (!status && w.choices.sets)
        status = price(&w);
    if (!status && w.choices.sets)
        status = place(&w, &found);
    if (!status && w.choices.sets)
        status = add_replicas(&w, &found);
    close_work(&w);
    if (status)
        motley__collocation_clear(&found);
    else
        *collocation = found;
    return status;
}

/* The division becomes what was found. */
static void take_over(const struct motley__task *task, struct motley__division *division,
                      struct motley__collocation *found)
{
    free(division->owner);
    free(division->reach);
    free(division->own_reach);
    free(division->node_reach);
    free(division->replica);
    division->owner = found->home;
    division->reach = found->reach;
    division->own_reach = found->own_reach;
    division->node_reach = found->node_reach;
    division->replicas = found->replicas;
    division->replica = found->replica;
    division->copies = found->copies;
    division->copies_before = found->copies_before;
    for (int e = 0; e < task->shape.E && division->rest; e++)
        division->rest[e] = found->rest ? found->rest[e] : 1;
    free(found->rest);
    *found = (struct motley__collocation){0};
}

int motley__collocate_division(const struct motley__task *task, struct motley__division *division,
                               struct motley__rank_cost *cost, struct motley__prediction *prediction,
                               struct motley_error *error)
{
    const int only = task->options.coactivation_layer;
    struct motley__collocation found = {0};
    int status = motley__collocate(task, division, only ? only - 1 : MOTLEY__ALL_LAYERS, &found, error);
    if (!status && found.reach) {
        take_over(task, division, &found);
        status = motley__predict(task, division, cost, prediction, error);
    }
    motley__collocation_clear(&found);
    return status;
}
