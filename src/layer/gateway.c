/* Who is whose gateway, and what a rank keeps for it; the contract is gateway.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "layer/encode.h"
#include "layer/gateway.h"
#include "layer/state.h"

/* Tags of messages between nodes; a transfer uses two for each chunk. */
enum { TAG_COUNTS = 2, TAG_LISTS = 192, TAG_DISPATCH = 224, TAG_COMBINE = 256, TAG_DISPATCH_BACK = 288,
       TAG_COMBINE_BACK = 320 };

int motley__gateway_of(const int *node_of, int R, int source, int node)
{
    int place = 0, ranks = 0;

    for (int r = 0; r < R; r++) {
        place += r < source && node_of[r] == node_of[source];
        ranks += node_of[r] == node;
    }
    place %= ranks;
    for (int r = 0; r < R; r++)
        if (node_of[r] == node && place-- == 0)
            return r;
    return -1;
}

/* Sets of nodes that groups of the plan join, as one rank sees the other nodes. */
struct sets {
    const motley_plan *plan;
    const int *node_of;
    int rank, nodes, count;
    int *of;                        /* [nodes] the set of each; -1: the own node, or nobody there has experts */
};

static int is_far(const struct sets *s, int rank)
{
    return s->node_of[rank] != s->node_of[s->rank] && s->plan->computed.rank[rank].experts > 0;
}

/* The other nodes of one group are in one set: theirs so far become the first one's. */
static void join(struct sets *s, int group)
{
    int first = -1;

    for (int i = s->plan->first_member[group]; i < s->plan->first_member[group + 1]; i++) {
        const int rank = s->plan->member[i], node = s->node_of[rank];

        if (!is_far(s, rank))
            continue;
        first = first < 0 ? node : first;
        if (s->of[node] < 0)
            s->of[node] = s->of[first] < 0 ? node : s->of[first];
        for (int n = 0, old = s->of[node]; old != s->of[first] && n < s->nodes; n++)
            if (s->of[n] == old)
                s->of[n] = s->of[first];
    }
}

/* Sets are numbered from 0 on. */
static void number_sets(struct sets *s)
{
    for (int n = 0; n < s->nodes; n++) {
        const int name = s->of[n];

        if (name < s->nodes)
            for (int m = n; name >= 0 && m < s->nodes; m++)
                s->of[m] = s->of[m] == name ? s->nodes + s->count : s->of[m];
        s->count += name >= 0 && name < s->nodes;
    }
    for (int n = 0; n < s->nodes; n++)
        s->of[n] -= s->of[n] >= 0 ? s->nodes : 0;
}

static int find_sets(struct sets *s, struct motley_error *error)
{
    for (int r = 0; r < s->plan->R; r++)
        s->nodes = s->node_of[r] >= s->nodes ? s->node_of[r] + 1 : s->nodes;
    s->of = malloc((size_t)s->nodes * sizeof *s->of);
    if (!s->of)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange of %d nodes", s->nodes);
    for (int n = 0; n < s->nodes; n++)
        s->of[n] = -1;
    for (int g = 0; g < s->plan->G; g++)
        join(s, g);
    number_sets(s);
    return 0;
}

/* The set that has a group's part on other nodes: that of its first member there. */
static int set_of_group(const struct sets *s, int group)
{
    for (int i = s->plan->first_member[group]; i < s->plan->first_member[group + 1]; i++)
        if (is_far(s, s->plan->member[i]))
            return s->of[s->node_of[s->plan->member[i]]];
    return -1;
}

/* What a pair of an expert that a group serves is called between nodes. */
static int name_of(const motley_plan *plan, int expert, int group)
{
    int i = 0;

    if (group == plan->server[expert])
        return expert;
    while (plan->replica[i].expert != expert || plan->group_of[plan->replica[i].rank] != group)
        i++;
    return plan->shape.E + i;
}

/* Of each choice of this rank's tokens the set that serves it, and its name. */
static int find_servers(const struct sets *s, struct motley__peers *p, struct motley_error *error)
{
    const int E = p->E;
    int status = motley__plan_serve(s->plan, s->rank, p->server + (p->lots > 1 ? E : 0), error);

    for (int e = 0; e < E && p->lots > 1; e++)
        p->server[e] = s->plan->server[e];
    for (int i = 0; i < motley__peers_choices(p) && !status; i++) {
        p->name[i] = name_of(s->plan, i % E, p->server[i]);
        p->server[i] = set_of_group(s, p->server[i]);
    }
    return status;
}

static void fill_peers(const struct sets *s, struct motley__peers *p)
{
    const int own = s->node_of[s->rank], *node_of = s->node_of;
    int taken = 0;                  /* somebody on the own node has experts */

    for (int r = 0; r < p->R; r++)
        taken |= node_of[r] == own && s->plan->computed.rank[r].experts > 0;
    for (int r = 0; r < p->R; r++) {
        const int set = s->of[node_of[r]], far = node_of[r] != own;

        p->group[r] = set < 0 ? p->G - 1 : set;
        p->to[r] = far && set >= 0 && motley__gateway_of(node_of, p->R, s->rank, node_of[r]) == r;
        p->from[r] = far && taken && motley__gateway_of(node_of, p->R, r, own) == s->rank;
    }
    for (int set = 0; set < s->count; set++)
        for (int r = 0; r < p->R; r++)
            if (p->to[r] && p->group[r] == set)
                motley__peers_add(p, set, r);
    motley__peers_close(p);
}

int motley__gateway_peers(const motley_plan *plan, int rank, const int *node_of, struct motley__peers **peers,
                          struct motley_error *error)
{
    struct sets sets = {.plan = plan, .node_of = node_of, .rank = rank};
    struct motley__peers *made = NULL;
    int status = find_sets(&sets, error);

    if (!status)
        status = motley__peers_alloc(&(struct motley__peers_sizes){.R = plan->R, .me = rank, .G = sets.count + 1,
                                                                   .E = plan->shape.E,
                                                                   .lots = motley__plan_lots(plan),
                                                                   .chunks = plan->pipeline, .streams = plan->R},
                                     &made, error);
    if (!status)
        status = find_servers(&sets, made, error);
    if (!status)
        fill_peers(&sets, made);
    free(sets.of);
    if (status) {
        motley__peers_destroy(made);
        return status;
    }
    *peers = made;
    return 0;
}

/* Those of a chunk. */
static int create_transfers(motley_layer *layer, struct motley__gateway *gateway, int chunk, struct motley_error *error)
{
    const motley_context *context = layer->context;
    const size_t list = MOTLEY__LIST_UNIT;
    const size_t row[MOTLEY__PARTS] = {motley__layer_on_wire(layer, (size_t)layer->shape.D), sizeof(float)};
    const int tag = 2 * chunk;
    int status = motley__transfer_create(context, "pairs to nodes", TAG_LISTS + tag, 1, &list, &gateway->lists[chunk],
                                         error);

    if (!status)
        status = motley__transfer_create(context, "dispatch to nodes", TAG_DISPATCH + tag, 1, row,
                                         &gateway->dispatch[chunk], error);
    if (!status)
        status = motley__transfer_create(context, "combine from nodes", TAG_COMBINE + tag, 1, row,
                                         &gateway->combine[chunk], error);
    if (!status && layer->trained)
        status = motley__transfer_create(context, "dispatch dy to nodes", TAG_DISPATCH_BACK + tag, 1, row,
                                         &gateway->dispatch_back[chunk], error);
    if (!status && layer->trained)
        status = motley__transfer_create(context, "combine dx from nodes", TAG_COMBINE_BACK + tag, 2, row,
                                         &gateway->combine_back[chunk], error);
    return status;
}

static int create_parts(motley_layer *layer, struct motley__gateway *gateway, struct motley_error *error)
{
    int status = motley__gateway_peers(layer->plan, layer->context->rank, layer->context->node_of, &gateway->peers,
                                       error);

    if (!status)
        status = motley__layer_table(layer, gateway->peers->server, motley__peers_choices(gateway->peers),
                                     &gateway->server, error);
    if (!status && gateway->peers->lots > 1)
        status = motley__layer_table(layer, gateway->peers->name, motley__peers_choices(gateway->peers),
                                     &gateway->name, error);
    if (!status)
        status = motley__counts_create(layer->context, gateway->peers->to, gateway->peers->from, layer->chunks,
                                       TAG_COUNTS, &gateway->counts, error);
    for (int c = 0; c < layer->chunks && !status; c++)
        status = create_transfers(layer, gateway, c, error);
    return status;
}

int motley__gateway_create(motley_layer *layer, struct motley__gateway **gateway, struct motley_error *error)
{
    struct motley__gateway *g = calloc(1, sizeof *g);
    int status;

    if (!g)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange between nodes");
    status = create_parts(layer, g, error);
    if (status) {
        motley__gateway_destroy(g);
        return status;
    }
    *gateway = g;
    return 0;
}

void motley__gateway_destroy(struct motley__gateway *gateway)
{
    if (!gateway)
        return;
    motley__counts_destroy(gateway->counts);
    for (int c = 0; c < MOTLEY__CHUNKS_MOST; c++) {
        motley__transfer_destroy(gateway->lists[c]);
        motley__transfer_destroy(gateway->dispatch[c]);
        motley__transfer_destroy(gateway->combine[c]);
        motley__transfer_destroy(gateway->dispatch_back[c]);
        motley__transfer_destroy(gateway->combine_back[c]);
    }
    motley__buffer_destroy(gateway->server);
    motley__buffer_destroy(gateway->name);
    motley__peers_destroy(gateway->peers);
    free(gateway);
}
