/* Whom this rank's tokens go to, and whose come here; the contract is peers.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdlib.h>

#include "layer/encode.h"
#include "layer/peers.h"

enum { MOST_EXPERTS = 65535 };

static int alloc_spans(size_t R, size_t chunks, struct motley__spans **span, struct motley_error *error)
{
    *span = calloc(chunks, sizeof **span);
    for (size_t c = 0; *span && c < chunks; c++) {
        (*span)[c].rows = calloc(R, sizeof(int));
        (*span)[c].first = calloc(R, sizeof(int64_t));
        if (!(*span)[c].rows || !(*span)[c].first)
            return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange of %zu ranks", R);
    }
    return *span ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange of %zu ranks", R);
}

static void free_spans(int chunks, struct motley__spans *span)
{
    for (int c = 0; span && c < chunks; c++) {
        free(span[c].rows);
        free(span[c].first);
    }
    free(span);
}

static int alloc_arrays(struct motley__peers *peers, int streams, struct motley_error *error)
{
    const size_t R = (size_t)peers->R, C = (size_t)peers->chunks, slots = C * (size_t)peers->G;
    int status = 0;

    peers->group = calloc(R, sizeof(int));
    peers->to = calloc(R, sizeof(int));
    peers->from = calloc(R, sizeof(int));
    peers->server = calloc((size_t)motley__peers_choices(peers), sizeof(int));
    peers->name = calloc((size_t)motley__peers_choices(peers), sizeof(int));
    peers->stream = calloc((size_t)streams, sizeof(int));
    peers->row_offsets = calloc(slots + 1, sizeof(int));
    peers->pair_offsets = calloc(slots + 1, sizeof(int));
    peers->table = calloc(motley__peers_table(peers->G, streams, peers->chunks), sizeof(int));
    peers->source = calloc(motley__peers_source(peers->R, peers->chunks), sizeof(int));
    for (int i = 0; i < MOTLEY__SPANS && !status; i++)
        status = alloc_spans(R, C, &peers->span[i], error);
    if (status)
        return status;
    if (!peers->group || !peers->to || !peers->from || !peers->server || !peers->name || !peers->stream ||
        !peers->row_offsets || !peers->pair_offsets || !peers->table || !peers->source)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange of %d ranks", peers->R);
    return 0;
}

int motley__peers_alloc(const struct motley__peers_sizes *sizes, struct motley__peers **peers,
                        struct motley_error *error)
{
    struct motley__peers *p = calloc(1, sizeof *p);
    int status;

    if (!p)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange of %d ranks", sizes->R);
    p->R = sizes->R;
    p->me = sizes->me;
    p->G = sizes->G;
    p->E = sizes->E;
    p->lots = sizes->lots;
    p->named = sizes->named;
    p->chunks = sizes->chunks;
    status = alloc_arrays(p, sizes->streams + 1, error);
    if (status) {
        motley__peers_destroy(p);
        return status;
    }
    *peers = p;
    return 0;
}

void motley__peers_destroy(struct motley__peers *peers)
{
    if (!peers)
        return;
    for (int i = 0; i < MOTLEY__SPANS; i++)
        free_spans(peers->chunks, peers->span[i]);
    free(peers->group);
    free(peers->to);
    free(peers->from);
    free(peers->server);
    free(peers->name);
    free(peers->stream);
    free(peers->row_offsets);
    free(peers->pair_offsets);
    free(peers->table);
    free(peers->source);
    free(peers);
}

/* table[g] .. table[G]: the streams that were added so far to groups before each. */
void motley__peers_add(struct motley__peers *peers, int group, int rank)
{
    peers->stream[peers->streams++] = rank;
    for (int g = group + 1; g <= peers->G; g++)
        peers->table[g] = peers->streams;
}

void motley__peers_close(struct motley__peers *peers)
{
    peers->sent = peers->G - (peers->table[peers->G - 1] == peers->streams);
}

/* The plan as a rank's peers see it: which groups there are, and which ranks of them. */
struct view {
    const motley_plan *plan;
    const int *node_of;             /* NULL: every rank */
    int rank;
    int *number;                    /* [plan->G] of each of the plan's groups, the own one last; -1: none is here */
    int groups;
};

static int in_view(const struct view *view, int rank)
{
    return !view->node_of || view->node_of[rank] == view->node_of[view->rank];
}

static void number_groups(struct view *view)
{
    const motley_plan *plan = view->plan;
    const int own = plan->group_of[view->rank];

    for (int g = 0; g < plan->G; g++) {
        int here = 0;

        for (int i = plan->first_member[g]; i < plan->first_member[g + 1]; i++)
            here |= in_view(view, plan->member[i]);
        view->number[g] = here && g != own ? view->groups++ : -1;
    }
    view->number[own] = view->groups++;
}

static int find_servers(const struct view *view, struct motley__peers *peers, struct motley_error *error)
{
    const motley_plan *plan = view->plan;
    const int E = peers->E, choices = motley__peers_choices(peers), first = choices - peers->named;
    int status = motley__plan_serve(plan, peers->me, peers->server + (peers->lots > 1 ? E : 0), error);

    if (status)
        return status;
    for (int e = 0; e < E; e++)
        peers->server[e] = peers->lots > 1 ? plan->server[e] : peers->server[e];
    for (int i = 0; i < choices; i++)
        peers->name[i] = i % E;
    for (int i = first; i < choices; i++) {
        const struct motley__replica *replica = i - first < E ? NULL : &plan->replica[i - first - E];

        peers->name[i] = replica ? replica->expert : i - first;
        peers->server[i] = replica ? plan->group_of[replica->rank] : plan->server[i - first];
    }
    for (int i = 0; i < choices; i++)
        peers->server[i] = view->number[peers->server[i]];
    return 0;
}

static void find_ranks(const struct view *view, struct motley__peers *peers)
{
    const motley_plan *plan = view->plan;

    for (int r = 0; r < plan->R; r++) {
        const int others = r != peers->me && in_view(view, r);

        peers->group[r] = in_view(view, r) ? view->number[plan->group_of[r]] : peers->G - 1;
        peers->to[r] = others && plan->computed.rank[r].experts > 0;
        peers->from[r] = others && plan->computed.rank[peers->me].experts > 0;
    }
}

static void find_streams(const struct view *view, struct motley__peers *peers)
{
    const motley_plan *plan = view->plan;
    const int own = plan->group_of[peers->me];

    for (int i = 0; i < plan->G; i++) {
        const int g = i == plan->G - 1 ? own : i + (i >= own);

        for (int m = plan->first_member[g]; m < plan->first_member[g + 1]; m++)
            if (peers->to[plan->member[m]])
                motley__peers_add(peers, view->number[g], plan->member[m]);
    }
    motley__peers_close(peers);
}

static int create(struct view *view, struct motley__peers **peers, struct motley_error *error)
{
    const motley_plan *plan = view->plan;
    const int named = view->node_of && plan->replicas ? plan->shape.E + plan->replicas : 0;
    int status;

    number_groups(view);
    status = motley__peers_alloc(&(struct motley__peers_sizes){.R = plan->R, .me = view->rank, .G = view->groups,
                                                               .E = plan->shape.E, .lots = motley__plan_lots(plan),
                                                               .chunks = plan->pipeline, .named = named,
                                                               .streams = plan->R}, peers, error);
    if (status)
        return status;
    status = find_servers(view, *peers, error);
    if (status) {
        motley__peers_destroy(*peers);
        return status;
    }
    find_ranks(view, *peers);
    find_streams(view, *peers);
    return 0;
}

int motley__peers_create(const motley_plan *plan, int rank, const int *node_of, struct motley__peers **peers,
                         struct motley_error *error)
{
    struct view view = {.plan = plan, .node_of = node_of, .rank = rank};
    struct motley__peers *made = NULL;
    const int replicas = node_of ? plan->replicas : 0;
    int status;

    if (plan->shape.E > MOST_EXPERTS - replicas)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "a layer of %d experts with %d replicas on several ranks; "
                            "together they can be at most %d: use one rank", plan->shape.E, replicas, MOST_EXPERTS);
    view.number = malloc((size_t)plan->G * sizeof *view.number);
    if (!view.number)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange of %d ranks", plan->R);
    status = create(&view, &made, error);
    free(view.number);
    if (!status)
        *peers = made;
    return status;
}

static int check_units(int64_t units, struct motley_error *error)
{
    if (units <= INT_MAX)
        return 0;
    return motley__fail(error, MOTLEY_E_UNSUPPORTED,
                        "%lld rows or pairs in one exchange, expected at most %d; use smaller batches",
                        (long long)units, INT_MAX);
}

static int slot_of(const struct motley__peers *peers, int chunk, int group)
{
    return motley__chunks_slot(peers->chunks, peers->G, peers->sent, chunk, group);
}

/* Rows or pairs of a slot. */
static int in_slot(const int *offsets, int slot)
{
    return offsets[slot + 1] - offsets[slot];
}

int motley__peers_staying(const struct motley__peers *peers, int chunk)
{
    return in_slot(peers->pair_offsets, slot_of(peers, chunk, peers->G - 1));
}

/* What a chunk sends. */
static void lay_out_sent(struct motley__peers *peers, int chunk, struct motley__count *mine)
{
    struct motley__spans *rows = &peers->span[MOTLEY__SENT_ROWS][chunk];
    struct motley__spans *list = &peers->span[MOTLEY__SENT_LIST][chunk];
    const int *row = peers->row_offsets, *pair = peers->pair_offsets;
    const int begin = chunk * peers->sent, end = begin + peers->sent;

    rows->begin = row[begin];
    rows->end = row[end];
    list->begin = motley__list_units(row[begin], pair[begin]);
    list->end = motley__list_units(row[end], pair[end]);
    for (int r = 0; r < peers->R; r++) {
        const int slot = slot_of(peers, chunk, peers->group[r]), goes = peers->to[r];
        const struct motley__count count = {goes ? in_slot(row, slot) : 0, goes ? in_slot(pair, slot) : 0};

        mine[r * peers->chunks + chunk] = count;
        rows->rows[r] = count.rows;
        rows->first[r] = row[slot];
        list->rows[r] = (int)motley__list_units(count.rows, count.pairs);
        list->first[r] = motley__list_units(row[slot], pair[slot]);
    }
}

int motley__peers_sent(struct motley__peers *peers, struct motley__count *mine, struct motley_error *error)
{
    for (int c = 0; c < peers->chunks; c++)
        lay_out_sent(peers, c, mine);
    return check_units(peers->span[MOTLEY__SENT_LIST][peers->chunks - 1].end, error);
}

/* So many rows of each chunk for each rank, one rank's behind the other's, all behind the first so many. */
static void lay_out(struct motley__spans *span, int chunk, int rank, int64_t rows, int64_t before)
{
    struct motley__spans *s = &span[chunk];

    if (rank == 0)
        s->begin = s->end = chunk ? span[chunk - 1].end : before;
    s->rows[rank] = (int)rows;
    s->first[rank] = s->end;
    s->end += rows;
}

/* Where what comes back of send row 0 and pair 0 would lie in each stream of a chunk. */
static void fill_table(struct motley__peers *peers, int chunk)
{
    int *base = peers->table + peers->G + 1 + chunk * peers->streams;

    for (int s = 0; s < peers->streams; s++) {
        const int rank = peers->stream[s], slot = slot_of(peers, chunk, peers->group[rank]);

        base[s] = (int)peers->span[MOTLEY__BACK_ROWS][chunk].first[rank] - peers->row_offsets[slot];
        base[peers->chunks * peers->streams + s] =
            (int)peers->span[MOTLEY__BACK_PAIRS][chunk].first[rank] - peers->pair_offsets[slot];
    }
}

/* Where the rows and pairs of each source begin. */
static void fill_source(struct motley__peers *peers, int chunk)
{
    const struct motley__spans *rows = &peers->span[MOTLEY__ARRIVED_ROWS][chunk];
    const struct motley__spans *pairs = &peers->span[MOTLEY__ARRIVED_PAIRS][chunk];
    int *row = peers->source + chunk * peers->R, *pair = row + peers->chunks * peers->R + 1;

    for (int r = 0; r < peers->R; r++) {
        row[r] = (int)rows->first[r];
        pair[r] = (int)pairs->first[r];
    }
    row[peers->R] = (int)rows->end;
    pair[peers->R] = (int)pairs->end;
}

static void lay_out_arrived(struct motley__peers *peers, int chunk, const struct motley__count *theirs)
{
    for (int r = 0; r < peers->R; r++) {
        const struct motley__count count = theirs[r * peers->chunks + chunk];
        const int slot = slot_of(peers, chunk, peers->group[r]), goes = peers->to[r];

        lay_out(peers->span[MOTLEY__ARRIVED_ROWS], chunk, r, count.rows, 0);
        lay_out(peers->span[MOTLEY__PLACED_ROWS], chunk, r, count.rows, peers->guests);
        lay_out(peers->span[MOTLEY__ARRIVED_PAIRS], chunk, r, count.pairs, 0);
        lay_out(peers->span[MOTLEY__ARRIVED_LIST], chunk, r, motley__list_units(count.rows, count.pairs), 0);
        lay_out(peers->span[MOTLEY__BACK_ROWS], chunk, r, goes ? in_slot(peers->row_offsets, slot) : 0, 0);
        lay_out(peers->span[MOTLEY__BACK_PAIRS], chunk, r, goes ? in_slot(peers->pair_offsets, slot) : 0, 0);
    }
}

int motley__peers_arrived(struct motley__peers *peers, const struct motley__count *theirs, struct motley_error *error)
{
    const int last = peers->chunks - 1;
    int64_t most = 0;

    for (int c = 0; c < peers->chunks; c++)
        lay_out_arrived(peers, c, theirs);
    for (int i = 0; i < MOTLEY__SPANS; i++)
        most = peers->span[i][last].end > most ? peers->span[i][last].end : most;
    for (int c = 0; c < peers->chunks; c++) {
        fill_table(peers, c);
        fill_source(peers, c);
    }
    return check_units(most, error);
}
