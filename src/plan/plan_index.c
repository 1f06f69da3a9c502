/* The plan as a value: its memory, and what follows from where experts are stored.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

/* The plan's own copy of what each rank brings, where that was said. */
static int copy_tokens(motley_plan *plan, struct motley_error *error)
{
    const size_t bytes = (size_t)plan->R * sizeof *plan->options.tokens_of;
    const int64_t *given = plan->options.tokens_of;
    if (!given)
        return 0;
    int64_t *tokens = malloc(bytes);
    plan->options.tokens_of = tokens;
    if (!tokens)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", plan->R);
    memcpy(tokens, given, bytes);
    return 0;
}

int motley__plan_alloc(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                       motley_plan **plan, struct motley_error *error)
{
    const size_t ranks = (size_t)R, experts = (size_t)shape->E;
    motley_plan *made = calloc(1, sizeof *made);
    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", R);
    *made = (motley_plan){.shape = *shape, .options = *options, .R = R, .mode = MOTLEY_MODE_EXPERT,
                            .exchange = MOTLEY_EXCHANGE_LINEAR, .pipeline = 1};
    made->rank = calloc(ranks, sizeof *made->rank);
    made->group_of = calloc(ranks, sizeof(int));
    made->first_member = calloc(ranks + 1, sizeof(int));
    made->member = calloc(ranks, sizeof(int));
    made->server = calloc(experts, sizeof(int));
    int status = copy_tokens(made, error);
    if (options->load && (made->load = malloc(experts * sizeof *made->load)))
        memcpy(made->load, options->load, experts * sizeof *made->load);
    made->options.load = made->load;
    if (!status && (!made->rank || !made->group_of || !made->first_member || !made->member || !made->server ||
                    (options->load && !made->load)))
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks and %d experts", R,
                              shape->E);
    if (!status)
        status = motley__placement_alloc(R, shape->E, shape->F, &made->stored, error);
    if (status) {
        motley_plan_destroy(made);
        return status;
    }
    *plan = made;
    return 0;
}

void motley_plan_destroy(motley_plan *plan)
{
    if (!plan)
        return;
    motley__placement_clear(&plan->stored);
    motley__placement_clear(&plan->computed);
    free((int64_t *)plan->options.tokens_of);
    motley__plan_layers_clear(plan);
    free(plan->alternative);
    free(plan->load);
    free(plan->replica);
    free(plan->rank);
    free(plan->group_of);
    free(plan->first_member);
    free(plan->member);
    free(plan->server);
    free(plan);
}

/* The lowest rank that holds each expert leads a group; every rank joins the group of its experts' leader, when it
 * holds the same list.  A rank without experts is a group of its own. */
static int find_groups(motley_plan *plan, struct motley_error *error)
{
    const struct motley__placement *stored = &plan->stored;
    int *first = plan->server; /* leaders, until groups have their numbers */
    plan->G = 0;
    for (int e = 0; e < stored->E; e++)
        first[e] = -1;
    for (int r = 0; r < plan->R; r++) {
        const struct motley__holding *holding = &stored->rank[r];
        const int alone = plan->mode == MOTLEY_MODE_DATA || !holding->experts;
        const int leader = alone || first[holding->expert[0]] < 0 ? r : first[holding->expert[0]];
        const struct motley__holding *other = &stored->rank[leader];
        for (int i = 0; i < holding->experts && !alone; i++) {
            if (leader != r && (other->experts != holding->experts || other->expert[i] != holding->expert[i]))
                return motley__fail(error, MOTLEY_E_INVALID,
                                    "ranks %d and %d share expert %d but do not hold the same experts", leader, r,
                                    holding->expert[0]);
            if (leader == r && first[holding->expert[i]] >= 0)
                return motley__fail(error, MOTLEY_E_INVALID,
                                    "ranks %d and %d share expert %d but do not hold the same experts",
                                    first[holding->expert[i]], r, holding->expert[i]);
            if (leader == r)
                first[holding->expert[i]] = r;
        }
        plan->group_of[r] = leader == r ? plan->G++ : plan->group_of[leader];
    }
    for (int e = 0; e < stored->E; e++) /* in data mode nobody leads */
        plan->server[e] = first[e] < 0 ? -1 : plan->group_of[first[e]];
    return 0;
}

struct place {
    int group, begin, rank;
};

static int by_place(const void *first, const void *second)
{
    const struct place *a = first, *b = second;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return a->begin != b->begin ? (a->begin > b->begin) - (a->begin < b->begin) : a->rank - b->rank;
}

/* Members of each group, by the place of their slices. */
static int list_members(motley_plan *plan, struct motley_error *error)
{
    struct place *place = malloc((size_t)plan->R * sizeof *place);
    if (!place)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", plan->R);
    for (int r = 0; r < plan->R; r++)
        place[r] = (struct place){plan->group_of[r], plan->stored.rank[r].begin, r};
    qsort(place, (size_t)plan->R, sizeof *place, by_place);
    for (int i = plan->R - 1; i >= 0; i--) {
        plan->member[i] = place[i].rank;
        plan->first_member[place[i].group] = i;
    }
    plan->first_member[plan->G] = plan->R;
    free(place);
    return 0;
}

/* Replicas are in order, of known experts, on the lowest ranks of groups that can have them. */
static int check_replicas(const motley_plan *plan, struct motley_error *error)
{
    double part = 0;
    for (int i = 0; i < plan->replicas; i++) {
        const struct motley__replica *replica = &plan->replica[i], *before = i ? replica - 1 : NULL;
        const int e = replica->expert, r = replica->rank;
        if (e < 0 || e >= plan->shape.E || r < 0 || r >= plan->R || !(replica->part > 0))
            return motley__fail(error, MOTLEY_E_INVALID, "replica %d is of expert %d of %d on rank %d of %d with the "
                                "part %g", i, e, plan->shape.E, r, plan->R, replica->part);
        if (before && (before->expert > e || (before->expert == e && before->rank >= r)))
            return motley__fail(error, MOTLEY_E_INVALID, "replica %d comes before replica %d", i, i - 1);
        part = before && before->expert == e ? part + replica->part : replica->part;
        const struct motley__holding *stored = &plan->stored.rank[r];
        if (plan->mode == MOTLEY_MODE_DATA || plan->group_of[r] == plan->server[e] || part > 1 + 1e-9)
            return motley__fail(error, MOTLEY_E_INVALID, "rank %d cannot serve a part %g of expert %d", r,
                                replica->part, e);
        if (!stored->experts && (stored->begin != 0 || stored->end != plan->shape.F))
            return motley__fail(error, MOTLEY_E_INVALID, "rank %d serves part of expert %d alone, but not the whole "
                                "hidden dimension", r, e);
        for (int q = 0; q < r; q++)
            if (plan->group_of[q] == plan->group_of[r])
                return motley__fail(error, MOTLEY_E_INVALID, "a replica of expert %d is on rank %d, but the lowest of "
                                    "its group is %d", e, r, q);
    }
    return 0;
}

/* What is stored, and behind it the replicas of the rank's group. */
static int add_replicas(motley_plan *plan, int r, struct motley_error *error)
{
    const struct motley__holding *stored = &plan->stored.rank[r];
    struct motley__holding *holding = &plan->computed.rank[r];
    int count = 0;
    for (int i = 0; i < plan->replicas; i++)
        count += plan->group_of[plan->replica[i].rank] == plan->group_of[r];
    if (!count)
        return 0;
    int status = motley__holding_alloc(holding, stored->experts + count, error);
    if (status)
        return status;
    memcpy(holding->expert, stored->expert, (size_t)stored->experts * sizeof *stored->expert);
    holding->stored = stored->experts;
    for (int i = 0, at = stored->experts; i < plan->replicas; i++)
        if (plan->group_of[plan->replica[i].rank] == plan->group_of[r])
            holding->expert[at++] = plan->replica[i].expert;
    return 0;
}

int motley__plan_index(motley_plan *plan, struct motley_error *error)
{
    int status = motley__placement_partition(&plan->stored, error);
    if (!status)
        status = find_groups(plan, error);
    if (!status)
        status = list_members(plan, error);
    if (!status)
        status = check_replicas(plan, error);
    if (status)
        return status;
    motley__placement_clear(&plan->computed);
    if (plan->mode == MOTLEY_MODE_DATA)
        return motley__placement_everything(plan->R, plan->shape.E, plan->shape.F, &plan->computed, error);
    status = motley__placement_copy(&plan->stored, &plan->computed, error);
    for (int r = 0; r < plan->R && plan->replicas && !status; r++)
        status = add_replicas(plan, r, error);
    return status;
}

int motley__plan_group(const motley_plan *plan)
{
    int most = 0;
    for (int g = 0; g < plan->G && plan->mode == MOTLEY_MODE_HYBRID; g++) {
        const int size = plan->first_member[g + 1] - plan->first_member[g];
        most = size > most ? size : most;
    }
    return most;
}
