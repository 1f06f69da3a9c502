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

static int alloc_peers(struct motley__peers *peers, struct motley_error *error)
{
    const size_t R = (size_t)peers->R, C = (size_t)peers->chunks, slots = C * (size_t)peers->G;
    int status = 0;

    peers->group = calloc(R, sizeof(int));
    peers->takes = calloc(R, sizeof(int));
    peers->server = calloc((size_t)motley__peers_choices(peers), sizeof(int));
    peers->stream = calloc(R, sizeof(int));
    peers->row_offsets = calloc(slots + 1, sizeof(int));
    peers->pair_offsets = calloc(slots + 1, sizeof(int));
    peers->table = calloc(motley__peers_table(peers->G, peers->R, peers->chunks), sizeof(int));
    peers->source = calloc(motley__peers_source(peers->R, peers->chunks), sizeof(int));
    for (int i = 0; i < MOTLEY__SPANS && !status; i++)
        status = alloc_spans(R, C, &peers->span[i], error);
    if (status)
        return status;
    if (!peers->group || !peers->takes || !peers->server || !peers->stream || !peers->row_offsets ||
        !peers->pair_offsets || !peers->table || !peers->source)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange of %d ranks", peers->R);
    return 0;
}

/* A group of the plan, with the own one last. */
static int number_of(const motley_plan *plan, int own, int group)
{
    return group == own ? plan->G - 1 : group - (group > own);
}

static int find_servers(const motley_plan *plan, struct motley__peers *peers, struct motley_error *error)
{
    const int own = plan->group_of[peers->me], E = peers->E, choices = motley__peers_choices(peers);
    int status = motley__plan_serve(plan, peers->me, peers->server + choices - peers->lots * E, error);

    if (status)
        return status;
    for (int e = 0; e < E; e++)
        peers->server[e] = peers->lots > 1 ? plan->server[e] : peers->server[e];
    for (int i = 0; i < choices; i++)
        peers->server[i] = number_of(plan, own, peers->server[i]);
    return 0;
}

static void find_streams(const motley_plan *plan, struct motley__peers *peers)
{
    const int own = plan->group_of[peers->me];

    for (int g = 0; g < plan->G; g++) {
        int group = g == plan->G - 1 ? own : g + (g >= own);

        peers->table[g] = peers->streams;
        for (int i = plan->first_member[group]; i < plan->first_member[group + 1]; i++)
            if (plan->member[i] != peers->me && peers->takes[plan->member[i]])
                peers->stream[peers->streams++] = plan->member[i];
    }
    peers->table[plan->G] = peers->streams;
    peers->sent = plan->G - (peers->table[plan->G - 1] == peers->streams);
}

int motley__peers_create(const motley_plan *plan, int rank, struct motley__peers **peers, struct motley_error *error)
{
    const int own = plan->group_of[rank];
    struct motley__peers *p;
    int status;

    if (plan->shape.E > MOST_EXPERTS)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED,
                            "a layer of %d experts on several ranks; they can have at most %d: use one rank",
                            plan->shape.E, MOST_EXPERTS);
    p = calloc(1, sizeof *p);
    if (!p)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange of %d ranks", plan->R);
    p->R = plan->R;
    p->me = rank;
    p->G = plan->G;
    p->chunks = plan->pipeline;
    p->E = plan->shape.E;
    p->lots = motley__plan_lots(plan);
    status = alloc_peers(p, error);
    if (!status)
        status = find_servers(plan, p, error);
    if (status) {
        motley__peers_destroy(p);
        return status;
    }
    for (int r = 0; r < plan->R; r++) {
        p->group[r] = number_of(plan, own, plan->group_of[r]);
        p->takes[r] = plan->computed.rank[r].experts > 0;
    }
    find_streams(plan, p);
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
    free(peers->takes);
    free(peers->server);
    free(peers->stream);
    free(peers->row_offsets);
    free(peers->pair_offsets);
    free(peers->table);
    free(peers->source);
    free(peers);
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

static int goes_to(const struct motley__peers *peers, int rank)
{
    return rank != peers->me && peers->takes[rank];
}

int motley__peers_staying(const struct motley__peers *peers, int first, int chunks)
{
    int pairs = 0;

    for (int c = first; c < first + chunks; c++)
        pairs += in_slot(peers->pair_offsets, slot_of(peers, c, peers->G - 1));
    return pairs;
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
        const int slot = slot_of(peers, chunk, peers->group[r]), goes = goes_to(peers, r);
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

/* So many rows of each chunk for each rank, one rank's behind the other's. */
static void lay_out(struct motley__spans *span, int chunk, int rank, int64_t rows)
{
    struct motley__spans *s = &span[chunk];

    if (rank == 0)
        s->begin = s->end = chunk ? span[chunk - 1].end : 0;
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
        const int slot = slot_of(peers, chunk, peers->group[r]), goes = goes_to(peers, r);

        lay_out(peers->span[MOTLEY__ARRIVED_ROWS], chunk, r, count.rows);
        lay_out(peers->span[MOTLEY__ARRIVED_PAIRS], chunk, r, count.pairs);
        lay_out(peers->span[MOTLEY__ARRIVED_LIST], chunk, r, motley__list_units(count.rows, count.pairs));
        lay_out(peers->span[MOTLEY__BACK_ROWS], chunk, r, goes ? in_slot(peers->row_offsets, slot) : 0);
        lay_out(peers->span[MOTLEY__BACK_PAIRS], chunk, r, goes ? in_slot(peers->pair_offsets, slot) : 0);
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
