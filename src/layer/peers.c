/* Whom this rank's tokens go to, and whose come here; the contract is peers.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdlib.h>

#include "layer/encode.h"
#include "layer/peers.h"

enum { MOST_EXPERTS = 65535 };

static int alloc_peers(struct motley__peers *peers, int E, struct motley_error *error)
{
    const size_t R = (size_t)peers->R, G = (size_t)peers->G;
    int missing = 0;

    peers->group = calloc(R, sizeof(int));
    peers->takes = calloc(R, sizeof(int));
    peers->server = calloc((size_t)E, sizeof(int));
    peers->stream = calloc(R, sizeof(int));
    peers->row_offsets = calloc(G + 1, sizeof(int));
    peers->pair_offsets = calloc(G + 1, sizeof(int));
    peers->table = calloc(motley__peers_table(peers->G, peers->R), sizeof(int));
    peers->source = calloc(motley__peers_source(peers->R), sizeof(int));
    for (int i = 0; i < MOTLEY__SPANS; i++) {
        peers->span[i].rows = calloc(R, sizeof(int));
        peers->span[i].first = calloc(R, sizeof(int64_t));
        missing |= !peers->span[i].rows || !peers->span[i].first;
    }
    if (missing || !peers->group || !peers->takes || !peers->server || !peers->stream || !peers->row_offsets ||
        !peers->pair_offsets || !peers->table || !peers->source)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange of %d ranks", peers->R);
    return 0;
}

/* A group of the plan, with the own one last. */
static int number_of(const motley_plan *plan, int own, int group)
{
    return group == own ? plan->G - 1 : group - (group > own);
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
    status = alloc_peers(p, plan->shape.E, error);
    if (status) {
        motley__peers_destroy(p);
        return status;
    }
    for (int r = 0; r < plan->R; r++) {
        p->group[r] = number_of(plan, own, plan->group_of[r]);
        p->takes[r] = plan->computed.rank[r].experts > 0;
    }
    for (int e = 0; e < plan->shape.E; e++)
        p->server[e] = number_of(plan, own, plan->server[e]);
    find_streams(plan, p);
    *peers = p;
    return 0;
}

void motley__peers_destroy(struct motley__peers *peers)
{
    if (!peers)
        return;
    for (int i = 0; i < MOTLEY__SPANS; i++) {
        free(peers->span[i].rows);
        free(peers->span[i].first);
    }
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

int motley__peers_sent(struct motley__peers *peers, struct motley__count *mine, struct motley_error *error)
{
    struct motley__spans *rows = &peers->span[MOTLEY__SENT_ROWS], *list = &peers->span[MOTLEY__SENT_LIST];
    const int *row = peers->row_offsets, *pair = peers->pair_offsets;

    rows->total = row[peers->sent];
    list->total = motley__list_units(row[peers->sent], pair[peers->sent]);
    for (int r = 0; r < peers->R; r++) {
        const int g = peers->group[r], goes = r != peers->me && peers->takes[r];
        const struct motley__count count = {goes ? row[g + 1] - row[g] : 0, goes ? pair[g + 1] - pair[g] : 0};

        mine[r] = count;
        rows->rows[r] = count.rows;
        rows->first[r] = row[g];
        list->rows[r] = (int)motley__list_units(count.rows, count.pairs);
        list->first[r] = motley__list_units(row[g], pair[g]);
    }
    return check_units(list->total, error);
}

/* So many rows for each rank, one rank's behind the other's. */
static void lay_out(struct motley__spans *span, int rank, int64_t rows)
{
    if (rank == 0)
        span->total = 0;
    span->rows[rank] = (int)rows;
    span->first[rank] = span->total;
    span->total += rows;
}

/* Where what comes back of send row 0 and pair 0 would lie in each stream, and where each source's begin. */
static void fill_tables(struct motley__peers *peers)
{
    const struct motley__spans *span = peers->span;
    int *base = peers->table + peers->G + 1, *pair_source = peers->source + peers->R + 1;

    for (int s = 0; s < peers->streams; s++) {
        const int rank = peers->stream[s], g = peers->group[rank];

        base[s] = (int)span[MOTLEY__BACK_ROWS].first[rank] - peers->row_offsets[g];
        base[peers->streams + s] = (int)span[MOTLEY__BACK_PAIRS].first[rank] - peers->pair_offsets[g];
    }
    for (int r = 0; r < peers->R; r++) {
        peers->source[r] = (int)span[MOTLEY__ARRIVED_ROWS].first[r];
        pair_source[r] = (int)span[MOTLEY__ARRIVED_PAIRS].first[r];
    }
    peers->source[peers->R] = (int)span[MOTLEY__ARRIVED_ROWS].total;
    pair_source[peers->R] = (int)span[MOTLEY__ARRIVED_PAIRS].total;
}

int motley__peers_arrived(struct motley__peers *peers, const struct motley__count *theirs, struct motley_error *error)
{
    struct motley__spans *span = peers->span;
    int64_t most = 0;

    for (int r = 0; r < peers->R; r++) {
        const struct motley__count count = theirs[r];
        const int g = peers->group[r], goes = r != peers->me && peers->takes[r];

        lay_out(&span[MOTLEY__ARRIVED_ROWS], r, count.rows);
        lay_out(&span[MOTLEY__ARRIVED_PAIRS], r, count.pairs);
        lay_out(&span[MOTLEY__ARRIVED_LIST], r, motley__list_units(count.rows, count.pairs));
        lay_out(&span[MOTLEY__BACK_ROWS], r, goes ? peers->row_offsets[g + 1] - peers->row_offsets[g] : 0);
        lay_out(&span[MOTLEY__BACK_PAIRS], r, goes ? peers->pair_offsets[g + 1] - peers->pair_offsets[g] : 0);
    }
    for (int i = 0; i < MOTLEY__SPANS; i++)
        most = span[i].total > most ? span[i].total : most;
    fill_tables(peers);
    return check_units(most, error);
}
