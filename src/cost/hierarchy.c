/* What rows cost with the hierarchical exchange.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cost/hierarchy.h"

static int alloc(const struct motley__links *links, struct motley__hierarchy *h, struct motley_error *error)
{
    const size_t R = (size_t)links->R, nodes = (size_t)links->nodes, kinds = (size_t)links->kinds;

    h->nothing = calloc(kinds * kinds, sizeof *h->nothing);
    h->head = calloc(2 * nodes, sizeof *h->head);
    h->reach = calloc(4 * nodes + 4 * R, sizeof *h->reach);
    if (!h->nothing || !h->head || !h->reach)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the exchange of %d nodes", links->nodes);
    h->ranks = h->head + nodes;
    h->part = h->reach + nodes;
    h->node_tokens = h->part + nodes;
    h->node_reach = h->node_tokens + nodes;
    h->tokens = h->node_reach + nodes;
    h->give = h->tokens + R;
    h->take = h->give + R;
    h->seconds = h->take + R;
    return 0;
}

/* Where loads are known.  on [G]: groups that have a rank on the node; tokens [G] the part of all that each brings;
 * share [E] scratch. */
struct shares {
    const struct motley__task *task;
    const struct motley__division *division;
    int *on;
    double *tokens, *share;
};

/* Of an expert's pairs those that a group of the node serves, and of what other nodes have for it. */
static void add_part(const struct shares *w, int group, double part, double *served, double *others)
{
    *served += w->on[group] ? part : 0;
    *others += w->on[group] ? motley__division_part(part, w->tokens[group], 0) : 0;
}

static void add_shares(const struct shares *w, int node, struct motley__hierarchy *h)
{
    const struct motley__division *division = w->division;
    int count = 0, next = 0;

    h->part[node] = 0;
    for (int e = 0; e < w->task->shape.E; e++) {
        const double rest = division->rest[e];
        double served = 0, others = 0;

        if (rest < 1)
            add_part(w, division->owner[e], rest, &served, &others);
        else
            served = others = w->on[division->owner[e]];
        for (; next < division->replicas && division->replica[next].expert == e; next++)
            add_part(w, division->group_of[division->replica[next].rank], division->replica[next].part, &served,
                     &others);
        h->part[node] += w->task->share[e] * served;
        if (others > 0)
            w->share[count++] = w->task->share[e] * fmin(1, others);
    }
    h->reach[node] = motley__task_reach_of(w->task, w->share, count);
}

/* Lists of each node's ranks, ascending: first [nodes], next [R]; -1 ends one. */
static void list_ranks(const struct motley__links *links, int *first, int *next)
{
    for (int n = 0; n < links->nodes; n++)
        first[n] = -1;
    for (int r = links->R - 1; r >= 0; r--) {
        next[r] = first[links->node[r]];
        first[links->node[r]] = r;
    }
}

/* One node; on is 0 before and after. */
static void find_node(const struct shares *w, int node, const int *next, struct motley__hierarchy *h)
{
    const struct motley__task *task = w->task;
    const struct motley__division *division = w->division;
    double experts = 0;

    for (int r = h->head[node]; r >= 0; r = next[r]) {
        const int g = division->group_of[r], counts = division->width[r] > 0 && !w->on[g];

        w->on[g] |= counts;
        experts += counts ? division->experts[g] : 0;
        h->ranks[node]++;
    }
    h->part[node] = task->kept * experts / task->shape.E;
    h->reach[node] = motley__task_reach(task, experts);
    if (task->share && division->owner)
        add_shares(w, node, h);
    if (division->node_reach)
        h->reach[node] = division->node_reach[node];
    for (int r = h->head[node]; r >= 0; r = next[r])
        w->on[division->group_of[r]] = 0;
}

/* What each node serves. */
static int find_reach(const struct motley__task *task, const struct motley__division *division,
                      struct motley__hierarchy *h, struct motley_error *error)
{
    const struct motley__links *links = h->links;
    const size_t G = (size_t)division->G;
    struct shares w = {.task = task, .division = division, .on = calloc(G, sizeof *w.on),
                       .tokens = calloc(G + (size_t)task->shape.E, sizeof *w.tokens)};
    int *next = malloc((size_t)links->R * sizeof *next), status = 0;

    if (!w.on || !w.tokens || !next) {
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the exchange of %d nodes", links->nodes);
    } else {
        w.share = w.tokens + G;
        for (int r = 0; r < links->R && task->options.tokens > 0; r++)
            w.tokens[division->group_of[r]] += (double)division->tokens[r] / (double)task->options.tokens;
        list_ranks(links, h->head, next);
        for (int n = 0; n < links->nodes; n++)
            find_node(&w, n, next, h);
    }
    free(w.on);
    free(w.tokens);
    free(next);
    return status;
}

/* Own tokens and foreign ones of each rank, and the sums by which hops are found. */
static void add_up(struct motley__hierarchy *h)
{
    const struct motley__links *links = h->links;
    double all = 0;

    for (int r = 0; r < links->R; r++) { /* tokens of each node, to begin with */
        h->node_tokens[links->node[r]] += h->duty[r].tokens;
        h->node_reach[links->node[r]] += h->duty[r].reach;
        all += h->duty[r].tokens;
    }
    for (int r = 0; r < links->R; r++) {
        const int n = links->node[r];

        h->tokens[r] = h->duty[r].tokens + (all - h->node_tokens[n]) / h->ranks[n];
    }
    for (int n = 0; n < links->nodes; n++) {
        h->node_tokens[n] = all; /* own ones of all its ranks, and of the others as many foreign ones */
        h->all_reach += h->reach[n];
    }
}

int motley__hierarchy_open(const struct motley__task *task, const struct motley__division *division,
                           const struct motley__duty *duty, struct motley__hierarchy *hierarchy,
                           struct motley_error *error)
{
    int status;

    *hierarchy = (struct motley__hierarchy){.links = task->links, .duty = duty};
    status = alloc(task->links, hierarchy, error);
    if (!status)
        status = find_reach(task, division, hierarchy, error);
    if (status) {
        motley__hierarchy_close(hierarchy);
        return status;
    }
    add_up(hierarchy);
    return 0;
}

void motley__hierarchy_close(struct motley__hierarchy *hierarchy)
{
    free(hierarchy->nothing);
    free(hierarchy->head);
    free(hierarchy->reach);
    memset(hierarchy, 0, sizeof *hierarchy);
}

struct motley__hops motley__hierarchy_hops(const struct motley__hierarchy *h, int rank)
{
    const int n = h->links->node[rank];
    const double own = h->duty[rank].tokens, reach = h->duty[rank].reach;

    return (struct motley__hops){
        .crossing = own * (h->all_reach - h->reach[n]), .guests = (h->tokens[rank] - own) * h->reach[n],
        .sent = h->tokens[rank] * (h->node_reach[n] - reach),
        .received = reach * (h->node_tokens[n] - h->tokens[rank])};
}

/* give and take [R] are filled. */
static int exchange(const struct motley__hierarchy *h, const struct motley__links *links, int back, int messages,
                    double *seconds, struct motley__traffic *traffic, struct motley_error *error)
{
    return motley__link_exchange(links, back ? h->take : h->give, back ? h->give : h->take, messages, seconds, traffic,
                                 error);
}

int motley__hierarchy_exchange(const struct motley__hierarchy *h, double row, double pairs, int back, int messages,
                               double *seconds, struct motley__traffic *traffic, struct motley_error *error)
{
    struct motley__links far = *h->links, near = *h->links;
    struct motley__traffic between = {0}, inside = {0};
    int status;

    far.inside = near.between = h->nothing;
    for (int r = 0; r < far.R; r++) {
        const int n = far.node[r];

        h->give[r] = h->duty[r].tokens;
        h->take[r] = r == h->head[n] ? h->reach[n] * row + pairs * h->part[n] : 0;
    }
    status = exchange(h, &far, back, messages, seconds, &between, error);
    for (int r = 0; r < far.R; r++) {
        h->give[r] = h->tokens[r];
        h->take[r] = h->duty[r].reach * row + pairs * h->duty[r].part;
    }
    if (!status)
        status = exchange(h, &near, back, messages, h->seconds, &inside, error);
    *traffic = (struct motley__traffic){.bytes = between.node_bytes + inside.bytes - inside.node_bytes,
                                        .node_bytes = between.node_bytes};
    for (int r = 0; r < far.R && !status; r++) {
        seconds[r] += h->seconds[r];
        traffic->seconds = fmax(traffic->seconds, seconds[r]);
    }
    return status;
}
