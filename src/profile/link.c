/* What moving bytes between ranks costs.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profile/link.h"

int motley__links_alloc(int R, int nodes, int kinds, struct motley__links *links, struct motley_error *error)
{
    struct motley__links made = {.R = R, .nodes = nodes, .kinds = kinds};

    made.node = calloc((size_t)R, sizeof *made.node);
    made.kind = calloc((size_t)nodes, sizeof *made.kind);
    made.inside = calloc((size_t)kinds, sizeof *made.inside);
    made.between = calloc((size_t)kinds * (size_t)kinds, sizeof *made.between);
    if (!made.node || !made.kind || !made.inside || !made.between) {
        motley__links_clear(&made);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the links of %d nodes", nodes);
    }
    *links = made;
    return 0;
}

void motley__links_clear(struct motley__links *links)
{
    if (!links)
        return;
    free(links->node);
    free(links->kind);
    free(links->inside);
    free(links->between);
    memset(links, 0, sizeof *links);
}

/* What some ranks give, or what they take: its sum, the ranks that have some of it, and the nodes with the most. */
struct part {
    double sum;
    int ranks;
    double most, second;             /* of single nodes */
    int most_node;                   /* which has `most` */
};

/* Of one node in one direction, to or from all other nodes. */
struct way {
    double seconds;                  /* until its link has moved everything */
    double latency, message;         /* the longest latency; seconds of one message to every rank */
    double bytes;
};

struct node {
    struct part give, take;          /* of its own ranks */
    struct way out, in;
    double inside;                   /* seconds of the slowest of its ranks within the node */
};

/* One call of motley__link_exchange. */
struct work {
    const struct motley__links *links;
    const double *give, *take;
    struct node *node;               /* [nodes] owned */
    struct part *give_of, *take_of;  /* [kinds] one array, owned */
};

static void add_node(struct part *kind, const struct part *own, int node)
{
    kind->sum += own->sum;
    kind->ranks += own->ranks;
    if (own->sum > kind->most) {
        kind->second = kind->most;
        kind->most = own->sum;
        kind->most_node = node;
    } else {
        kind->second = fmax(kind->second, own->sum);
    }
}

/* Sums by node, then by kind. */
static void add_up(struct work *w)
{
    const struct motley__links *links = w->links;

    for (int r = 0; r < links->R; r++) {
        struct node *node = &w->node[links->node[r]];
        node->give.sum += w->give[r];
        node->give.ranks += w->give[r] > 0;
        node->take.sum += w->take[r];
        node->take.ranks += w->take[r] > 0;
    }
    for (int n = 0; n < links->nodes; n++) {
        add_node(&w->give_of[links->kind[n]], &w->node[n].give, n);
        add_node(&w->take_of[links->kind[n]], &w->node[n].take, n);
    }
}

/* The link of node n in one direction.  own: what its ranks give (or take); others [kinds]: what all ranks take (or
 * give), and mine what of that its own do.  The node's link is as fast as the fastest it was seen to be, and no pair of
 * nodes faster than itself. */
static struct way link_way(const struct motley__links *links, int n, const struct part *own, const struct part *mine,
                           const struct part *others)
{
    const int kind = links->kind[n];
    double rate = 0, longest = 0;
    struct way way = {0};

    if (!own->ranks)
        return way;
    for (int k = 0; k < links->kinds; k++) {
        const struct motley__link *link = &links->between[kind * links->kinds + k];
        const int ranks = others[k].ranks - (k == kind ? mine->ranks : 0);
        const double sum = others[k].sum - (k == kind ? mine->sum : 0);
        const double most = k == kind && others[k].most_node == n ? others[k].second : others[k].most;
        if (!ranks)
            continue;
        way.bytes += own->sum * fmax(0, sum);
        way.latency = fmax(way.latency, link->latency);
        way.message += ranks * link->message;
        rate = fmax(rate, link->bandwidth > 0 ? link->bandwidth : INFINITY);
        if (link->bandwidth > 0)
            longest = fmax(longest, own->sum * most / link->bandwidth);
    }
    way.seconds = rate > 0 ? fmax(way.bytes / rate, longest) : 0;
    return way;
}

/* Within a node: seconds of the slowest of its ranks, to every node; returns the bytes of all of them. */
static double inside_nodes(struct work *w)
{
    const struct motley__links *links = w->links;
    double bytes = 0;

    for (int r = 0; r < links->R; r++) {
        struct node *node = &w->node[links->node[r]];
        const double bandwidth = links->inside[links->kind[links->node[r]]].bandwidth;
        const double out = w->give[r] * fmax(0, node->take.sum - w->take[r]),
                     in = w->take[r] * fmax(0, node->give.sum - w->give[r]);
        bytes += out;
        if (bandwidth > 0)
            node->inside = fmax(node->inside, fmax(out, in) / bandwidth);
    }
    return bytes;
}

/* The two slowest links of one direction, so that each node knows the slowest of the others. */
struct slowest {
    double first, second;
    int node;
};

static struct slowest find_slowest(const struct work *w, int in)
{
    struct slowest found = {.node = -1};

    for (int n = 0; n < w->links->nodes; n++) {
        const double seconds = in ? w->node[n].in.seconds : w->node[n].out.seconds;
        if (found.node < 0 || seconds > found.first) {
            found.second = found.first;
            found.first = seconds;
            found.node = n;
        } else {
            found.second = fmax(found.second, seconds);
        }
    }
    return found;
}

static double of_others(const struct slowest *slowest, int node)
{
    return slowest->node == node ? slowest->second : slowest->first;
}

/* Seconds of one rank, from those of the links.  A side: its sending, or its receiving; both go on at the same time. */
static double rank_seconds(const struct work *w, int r, int messages, const struct slowest *out,
                           const struct slowest *in)
{
    const struct motley__links *links = w->links;
    const int n = links->node[r], gives = w->give[r] > 0, takes = w->take[r] > 0;
    const struct node *node = &w->node[n];
    const struct motley__link *inside = &links->inside[links->kind[n]];
    const int sent = gives ? node->take.ranks - takes : 0, received = takes ? node->give.ranks - gives : 0;
    double bytes = sent || received ? node->inside : 0, latency = sent || received ? inside->latency : 0, message = 0;

    if (gives) {
        message = sent * inside->message + node->out.message;
        latency = fmax(latency, node->out.latency);
        if (node->out.bytes > 0)
            bytes = fmax(bytes, fmax(node->out.seconds, of_others(in, n)));
    }
    if (takes) {
        message = fmax(message, received * inside->message + node->in.message);
        latency = fmax(latency, node->in.latency);
        if (node->in.bytes > 0)
            bytes = fmax(bytes, fmax(node->in.seconds, of_others(out, n)));
    }
    return latency + messages * message + bytes;
}

int motley__link_exchange(const struct motley__links *links, const double *give, const double *take, int messages,
                          double *seconds, struct motley__traffic *traffic, struct motley_error *error)
{
    struct work w = {.links = links, .give = give, .take = take};
    struct motley__traffic sum = {0};
    int status = 0;

    w.node = calloc((size_t)links->nodes, sizeof *w.node);
    w.give_of = calloc(2 * (size_t)links->kinds, sizeof *w.give_of);
    if (!w.node || !w.give_of) {
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the links of %d nodes", links->nodes);
        goto end;
    }
    w.take_of = w.give_of + links->kinds;
    add_up(&w);
    sum.bytes = inside_nodes(&w);
    for (int n = 0; n < links->nodes; n++) {
        struct node *node = &w.node[n];
        node->out = link_way(links, n, &node->give, &node->take, w.take_of);
        node->in = link_way(links, n, &node->take, &node->give, w.give_of);
        sum.node_bytes += node->out.bytes;
    }
    sum.bytes += sum.node_bytes;
    const struct slowest out = find_slowest(&w, 0), in = find_slowest(&w, 1);
    for (int r = 0; r < links->R; r++) {
        const double own = rank_seconds(&w, r, messages, &out, &in);
        if (seconds)
            seconds[r] = own;
        sum.seconds = fmax(sum.seconds, own);
    }
    *traffic = sum;
end:
    free(w.node);
    free(w.give_of);
    return status;
}
