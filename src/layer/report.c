/* What a layer can tell about its last step: routing, times, traffic.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "layer/state.h"

int motley__layer_choices(const motley_layer *layer, int32_t *indices, struct motley_error *error)
{
    const size_t bytes = (size_t)layer->rows.N * 4;

    return bytes ? motley__buffer_read(layer->saved[MOTLEY__SAVED_INDICES], 0, indices, bytes, error) : 0;
}

int motley_layer_routing(const motley_layer *layer, int32_t *indices, float *weights, struct motley_error *error)
{
    const size_t bytes = (size_t)layer->rows.N * 4;
    int status = motley__layer_choices(layer, indices, error);

    return status || !bytes ? status : motley__buffer_read(layer->saved[MOTLEY__SAVED_WEIGHTS], 0, weights, bytes,
                                                           error);
}

static struct motley_layer_times times_of(const struct motley__step_times *t)
{
    return (struct motley_layer_times){
        .gate = t->phase[MOTLEY__PHASE_GATE], .dispatch = t->phase[MOTLEY__PHASE_DISPATCH],
        .experts = t->phase[MOTLEY__PHASE_EXPERTS], .combine = t->phase[MOTLEY__PHASE_COMBINE], .step = t->step,
        .comm = t->comm, .comm_hidden = t->comm_hidden};
}

int motley__layer_pairs(const motley_layer *layer)
{
    return layer->rows.P;
}

/* Are the pairs of this rank's experts its own to count? */
static int counts_rows(const motley_layer *layer)
{
    return layer->E_local > 0 && !layer->holding->begin;
}

int motley__layer_read_rows(const motley_layer *layer, struct motley_error *error)
{
    const size_t slots = (size_t)layer->batches * (size_t)layer->stride;

    if (!counts_rows(layer))
        return 0;
    return motley__buffer_read_later(layer->saved[MOTLEY__SAVED_OFFSETS], 0, layer->offsets_host,
                                     (slots + 1) * sizeof(int), error);
}

void motley__layer_add_rows(const motley_layer *layer, double *rows)
{
    for (int b = 0; b < layer->batches && counts_rows(layer); b++) {
        const int *offsets = layer->offsets_host + b * layer->stride;

        for (int i = 0; i < layer->E_local; i++)
            rows[layer->holding->expert[i]] += offsets[i + 1] - offsets[i];
    }
}

struct motley_layer_times motley_layer_forward_times(const motley_layer *layer)
{
    return times_of(&layer->forward_times);
}

struct motley_layer_times motley_layer_backward_times(const motley_layer *layer)
{
    return times_of(&layer->backward_times);
}

/* The group of the peers that serves a choice. */
static int group_of(const motley_layer *layer, int32_t choice)
{
    return choice < 0 ? -1 : layer->peers->server[choice];
}

/* The group of the plan that serves a choice of an own token, which may be on another node: by its name there. */
static int group_across(const motley_layer *layer, int32_t choice)
{
    const motley_plan *plan = layer->plan;
    const int name = choice < 0 ? -1 : layer->gateway->peers->name[choice];

    if (name < 0)
        return -1;
    return name < plan->shape.E ? plan->server[name] : plan->group_of[plan->replica[name - plan->shape.E].rank];
}

/* Ranks that serve a token's experts, own one included, and rows for others, over all tokens of a rank. */
struct copies {
    int64_t ranks, rows;
};

/* The group of the plan or of the peers that serves pair n, and its ranks that have experts, of them others. */
struct taken {
    int group, ranks, others;
};

static struct taken taken_by(const motley_layer *layer, const int32_t *choices, int n)
{
    const struct motley__peers *peers = layer->peers;
    const motley_plan *plan = layer->plan;
    struct taken taken = {.group = layer->gateway ? group_across(layer, choices[n]) : group_of(layer, choices[n])};

    if (taken.group < 0)
        return taken;
    if (!layer->gateway) {
        taken.others = peers->table[taken.group + 1] - peers->table[taken.group];
        taken.ranks = taken.others + (taken.group == peers->G - 1 && layer->E_local > 0);
        return taken;
    }
    for (int i = plan->first_member[taken.group]; i < plan->first_member[taken.group + 1]; i++) {
        const int takes = plan->computed.rank[plan->member[i]].experts > 0;

        taken.ranks += takes;
        taken.others += takes && plan->member[i] != peers->me;
    }
    return taken;
}

static struct copies count_pairs(const motley_layer *layer, const int32_t *choices)
{
    const int T = layer->rows.T, K = layer->shape.K;
    struct copies copies = {0, 0};

    for (int t = 0; t < T; t++)
        for (int n = t * K; n < (t + 1) * K; n++) {
            const struct taken taken = taken_by(layer, choices, n);
            int seen = 0;

            for (int m = t * K; m < n && !seen; m++)
                seen = taken_by(layer, choices, m).group == taken.group;
            copies.ranks += seen ? 0 : taken.ranks;
            copies.rows += seen && !layer->plan->options.duplicate ? 0 : taken.others;
        }
    return copies;
}

/* Guests that an own expert served: their rows are given back, too. */
static int64_t count_served(const motley_layer *layer, const int32_t *choices)
{
    const int K = layer->shape.K;
    int64_t served = 0;

    for (int t = layer->rows.T; t < layer->rows.tokens && layer->E_local; t++) {
        int own = 0;

        for (int k = 0; k < K; k++)
            own |= group_of(layer, choices[t * K + k]) == layer->peers->G - 1;
        served += own;
    }
    return served;
}

/* The routing is read back to count copies: of own tokens, and what this rank gave back for guests. */
static int count_copies(const motley_layer *layer, struct copies *copies, int64_t *served, struct motley_error *error)
{
    const size_t bytes = (size_t)layer->rows.pairs * sizeof(int32_t);
    int32_t *choices = malloc(bytes ? bytes : 1);
    int status = 0;

    if (!choices)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for %zu bytes of routing", bytes);
    if (bytes)
        status = motley__buffer_read(motley__layer_lookup(layer), 0, choices, bytes, error);
    if (!status) {
        *copies = count_pairs(layer, choices);
        *served = count_served(layer, choices);
    }
    free(choices);
    return status;
}

static void add_transfer(const struct motley__transfer *transfer, struct motley_layer_traffic *traffic)
{
    int64_t ranks, nodes;

    motley__transfer_bytes(transfer, &ranks, &nodes);
    traffic->bytes_sent += ranks;
    traffic->bytes_sent_nodes += nodes;
}

static void add_counts(const struct motley__counts *counts, struct motley_layer_traffic *traffic)
{
    int64_t nodes;

    traffic->bytes_sent += motley__counts_bytes(counts, &nodes);
    traffic->bytes_sent_nodes += nodes;
}

static void add_redistribution(const motley_layer *layer, struct motley_layer_traffic *traffic)
{
    int64_t nodes;

    traffic->bytes_sent += motley__redistribution_bytes(layer->cache->fetch.redistribution, &nodes);
    traffic->bytes_sent_nodes += nodes;
}

/* What all chunks sent. */
static void add_exchange(const motley_layer *layer, struct motley_layer_traffic *traffic)
{
    const struct motley__gateway *gateway = layer->gateway;
    const struct motley__peers *peers = gateway ? gateway->peers : layer->peers;
    const int *node_of = layer->context->node_of;

    add_counts(layer->counts, traffic);
    for (int c = 0; c < layer->chunks; c++) {
        add_transfer(layer->lists[c], traffic);
        add_transfer(layer->dispatch[c], traffic);
        add_transfer(layer->combine[c], traffic);
    }
    if (gateway)
        add_counts(gateway->counts, traffic);
    for (int c = 0; gateway && c < layer->chunks; c++) {
        add_transfer(gateway->lists[c], traffic);
        add_transfer(gateway->dispatch[c], traffic);
        add_transfer(gateway->combine[c], traffic);
    }
    for (int c = 0; c < peers->chunks; c++)
        for (int r = 0; r < peers->R; r++)
            if (node_of[r] != node_of[peers->me])
                traffic->rows_sent_nodes += peers->span[MOTLEY__SENT_ROWS][c].rows[r];
}

int motley_layer_traffic(const motley_layer *layer, struct motley_layer_traffic *traffic, struct motley_error *error)
{
    struct copies copies = {.ranks = layer->rows.T}; /* where nothing travels */
    int64_t served = 0;
    int status = layer->peers ? count_copies(layer, &copies, &served, error) : 0;

    if (status)
        return status;
    *traffic = (struct motley_layer_traffic){.rows_sent = copies.rows, .rows_returned = layer->rows.M + served,
        .copies_per_token = layer->rows.T ? (double)copies.ranks / layer->rows.T : 0};
    if (layer->peers)
        add_exchange(layer, traffic);
    if (layer->cache && (layer->cache->experts || layer->trained)) /* replicas else travel once */
        add_redistribution(layer, traffic);
    return 0;
}
