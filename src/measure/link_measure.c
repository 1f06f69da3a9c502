/* What the links between ranks do: who is timed when, and what is known already.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/collective.h"
#include "measure/link_measure.h"
#include "measure/link_probe.h"
#include "measure/link_rounds.h"

/* As many nodes all meet each other; more are sorted into at most so many kinds. */
enum { FEW_NODES = 8 };

/* One call of motley__link_measure. */
struct work {
    motley_context *context;                 /* borrowed */
    int nodes, kinds, rounds, meetings;
    int *kind, *ranks, *first;               /* [nodes] each node's kind, ranks, and first of them; one array, owned */
    struct motley__meeting *meeting;         /* owned */
    struct motley__link_line *line;          /* [nodes + meetings] owned: inside each node, then of each meeting */
    int *peer, *member;                      /* [size] each; one array, owned */
    struct motley_error *error;
};

/* The devices of both nodes are the same, rank by rank. */
static int alike(const motley_context *context, int a, int b)
{
    int r = 0, s = 0;

    for (;; r++, s++) {
        while (r < context->size && context->node_of[r] != a)
            r++;
        while (s < context->size && context->node_of[s] != b)
            s++;
        if (r == context->size || s == context->size)
            return r == s;
        if (strcmp(context->info[r].name, context->info[s].name) != 0)
            return 0;
    }
}

void motley__link_kinds(const motley_context *context, int nodes, int *kind, int *kinds)
{
    int count = 0;

    for (int n = 0; n < nodes; n++) {
        int like = nodes > FEW_NODES ? 0 : n;

        while (like < n && !alike(context, like, n))
            like++;
        kind[n] = like < n ? kind[like] : count < FEW_NODES ? count++ : count - 1;
    }
    *kinds = count;
}

static int make_work(struct work *w)
{
    const motley_context *context = w->context;

    for (int r = 0; r < context->size; r++)
        w->nodes = context->node_of[r] >= w->nodes ? context->node_of[r] + 1 : w->nodes;
    w->kind = calloc(3 * (size_t)w->nodes, sizeof *w->kind);
    w->peer = calloc(2 * (size_t)context->size, sizeof *w->peer);
    if (!w->kind || !w->peer)
        return motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for the links of %d nodes", w->nodes);
    w->member = w->peer + context->size;
    w->ranks = w->kind + w->nodes;
    w->first = w->ranks + w->nodes;
    for (int r = 0; r < context->size; r++)
        if (w->ranks[context->node_of[r]]++ == 0)
            w->first[context->node_of[r]] = r;
    motley__link_kinds(context, w->nodes, w->kind, &w->kinds);
    int status = motley__link_rounds(w->nodes, w->kind, w->kinds, &w->meeting, &w->meetings, &w->rounds, w->error);
    if (status)
        return status;
    w->line = calloc((size_t)(w->nodes + w->meetings), sizeof *w->line);
    return w->line ? 0 : motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for the links of %d nodes",
                                      w->nodes);
}

/* The line of a link between two nodes (or inside one), without numbers. */
static struct motley__link_line name_line(const struct work *w, int a, int b)
{
    const struct motley_device_info *info = w->context->info;
    struct motley__link_line line = {0};
    const int swapped = strcmp(info[w->first[a]].host, info[w->first[b]].host) > 0;
    const int node[2] = {swapped ? b : a, swapped ? a : b};

    for (int end = 0; end < 2; end++) {
        strcpy(line.host[end], info[w->first[node[end]]].host);
        line.ranks[end] = w->ranks[node[end]];
    }
    if (a != b && !strcmp(line.host[0], line.host[1]))  /* not the link inside that host */
        snprintf(line.host[1], sizeof line.host[1], "%.62s+", line.host[0]);
    return line;
}

/* All lines, with the numbers that rank 0 knows: the same on every rank. */
static int recall(struct work *w, const struct motley__profile *profile, int anew)
{
    const int lines = w->nodes + w->meetings;

    for (int i = 0; i < lines; i++) {
        const struct motley__meeting *meeting = i < w->nodes ? NULL : &w->meeting[i - w->nodes];
        w->line[i] = meeting ? name_line(w, meeting->node[0], meeting->node[1]) : name_line(w, i, i);
        const struct motley__link_line *known = anew ? NULL : motley__link_find(profile, &w->line[i]);
        if (known)
            w->line[i] = *known;
    }
    return motley__broadcast(w->context->comm, w->context->time_limit, 0, w->line, lines * (int)sizeof *w->line,
                             MPI_BYTE, w->error);
}

/* The ranks of this rank's node, or of two nodes, time their link.  color: of the group; negative: this rank has none
 * in this round.  Agreed over all ranks. */
static int probe_group(struct work *w, int color, const int node[2], int line, int *news)
{
    const motley_context *context = w->context;
    const int inside = node[0] == node[1], here = context->node_of[context->rank];
    const int ranks[2] = {w->ranks[node[0]], w->ranks[node[1]]};
    struct motley__link_group group = {.comm = context->comm, .peer = w->peer, .member = w->member,
                                       .limit = context->time_limit};
    int status = 0;

    group.most_peers = inside ? ranks[0] - 1 : ranks[0] > ranks[1] ? ranks[0] : ranks[1];
    group.share = inside ? ranks[0] - 1 : ranks[0] * ranks[1];
    for (int r = 0; r < context->size && color >= 0; r++) {
        const int there = context->node_of[r];
        if (there != node[0] && there != node[1])
            continue;
        if (inside ? r != context->rank : there != here)
            w->peer[group.peers++] = r;
        w->member[group.members++] = r;
    }
    if (color >= 0)
        status = motley__link_probe(&group, &w->line[line], news, w->error);
    return motley__context_agree(context, status, w->error);
}

/* The meeting of a node in a round; -1: it has none. */
static int find_meeting(const struct work *w, int round, int node)
{
    for (int i = 0; i < w->meetings; i++)
        if (w->meeting[i].round == round && (w->meeting[i].node[0] == node || w->meeting[i].node[1] == node))
            return i;
    return -1;
}

/* Every link: inside all nodes at once, then the rounds.  *news: this rank's links changed. */
static int probe_all(struct work *w, int *news)
{
    const int here = w->context->node_of[w->context->rank], own[2] = {here, here};
    int status = probe_group(w, w->ranks[here] > 1 ? here : -1, own, here, news);

    for (int round = 0; round < w->rounds && !status; round++) {
        const int m = find_meeting(w, round, here);
        status = probe_group(w, m, m < 0 ? own : w->meeting[m].node, w->nodes + m, news);
    }
    return status;
}

/* Everyone gets every line from the first rank of those who timed it, and whether any is new. */
static int share_lines(struct work *w, int *news)
{
    enum { NUMBERS = 5 };
    const int lines = w->nodes + w->meetings, rank = w->context->rank;
    double *number = calloc((size_t)lines * NUMBERS + 1, sizeof *number);
    int status = number ? 0 : motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for %d links", lines);

    status = motley__context_agree(w->context, status, w->error);
    for (int i = 0; i < lines && !status; i++) {
        const struct motley__link_line *line = &w->line[i];
        const int node = i < w->nodes ? i : w->meeting[i - w->nodes].node[0];
        const double numbers[NUMBERS] = {line->link.latency, line->link.message, line->link.bandwidth, line->spread,
                                         line->samples};
        if (w->first[node] == rank)
            memcpy(number + NUMBERS * i, numbers, sizeof numbers);
    }
    if (!status) {
        number[lines * NUMBERS] = *news;
        status = motley__reduce(w->context->comm, w->context->time_limit, number, lines * NUMBERS + 1, MPI_DOUBLE,
                                MPI_SUM, w->error);
    }
    for (int i = 0; i < lines && !status; i++) {
        const double *from = number + NUMBERS * i;
        w->line[i].link = (struct motley__link){from[0], from[1], from[2]};
        w->line[i].spread = from[3];
        w->line[i].samples = (int)from[4];
    }
    if (!status)
        *news = number[lines * NUMBERS] > 0;
    free(number);
    return status;
}

/* The median of each number of some links. */
static struct motley__link median_link(const struct motley__link_line *const *line, int count, double *scratch)
{
    struct motley__link link;

    for (int i = 0; i < count; i++)
        scratch[i] = line[i]->link.latency;
    link.latency = motley__median(scratch, count);
    for (int i = 0; i < count; i++)
        scratch[i] = line[i]->link.message;
    link.message = motley__median(scratch, count);
    for (int i = 0; i < count; i++)
        scratch[i] = line[i]->link.bandwidth;
    link.bandwidth = motley__median(scratch, count);
    return link;
}

/* The lines as links between kinds.  Two kinds whose nodes never met have none. */
static int make_links(struct work *w, struct motley__links *links)
{
    const int K = w->kinds, lines = w->nodes + w->meetings;
    const struct motley__link_line **some = calloc((size_t)lines, sizeof *some);
    double *scratch = calloc((size_t)lines, sizeof *scratch);
    int status = 0;

    if (!some || !scratch)
        status = motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for %d links", lines);
    if (!status)
        status = motley__links_alloc(w->context->size, w->nodes, K, links, w->error);
    for (int pair = 0; pair < K * K + K && !status; pair++) {
        const int a = pair < K * K ? pair / K : pair - K * K, b = pair < K * K ? pair % K : a;
        int count = 0;
        for (int i = 0; i < lines; i++) {
            const struct motley__meeting *meeting = i < w->nodes ? NULL : &w->meeting[i - w->nodes];
            const int one = w->kind[meeting ? meeting->node[0] : i], other = w->kind[meeting ? meeting->node[1] : i];
            const int wanted = (one == a && other == b) || (one == b && other == a);
            if (w->line[i].samples && wanted && (meeting != NULL) == (pair < K * K))
                some[count++] = &w->line[i];
        }
        *(pair < K * K ? &links->between[pair] : &links->inside[a]) = median_link(some, count, scratch);
    }
    if (!status) {
        memcpy(links->node, w->context->node_of, (size_t)w->context->size * sizeof *links->node);
        memcpy(links->kind, w->kind, (size_t)w->nodes * sizeof *links->kind);
    }
    free(scratch);
    free(some);
    return status;
}

int motley__link_measure(motley_context *context, struct motley__profile *profile, int anew,
                         struct motley__links *links, int *changed, struct motley_error *error)
{
    struct work w = {.context = context, .error = error};
    int news = 0, status = motley__context_agree(context, make_work(&w), error);

    if (!status)
        status = motley__context_agree(context, recall(&w, profile, anew), error);
    if (!status)
        status = probe_all(&w, &news);
    if (!status)
        status = share_lines(&w, &news);
    for (int i = 0; !status && i < w.nodes + w.meetings; i++)
        if (w.line[i].samples > 0)
            status = motley__link_put(profile, &w.line[i], error);
    if (!status)
        status = make_links(&w, links);
    status = motley__context_agree(context, status, error);
    if (!status)
        *changed = news;
    free(w.line);
    free(w.meeting);
    free(w.peer);
    free(w.kind);
    return status;
}
