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

/* The group that serves pair n; -1 of a dropped choice. */
static int group_of(const motley_layer *layer, const int32_t *indices, int n)
{
    const struct motley__peers *peers = layer->peers;
    const int lot = n / layer->shape.K % peers->lots;

    return indices[n] < 0 ? -1 : peers->server[(peers->lots > 1 ? (1 + lot) * peers->E : 0) + indices[n]];
}

/* Distinct ranks that serve each token's experts, own one included, over all tokens. */
static double copies_per_token(const motley_layer *layer, const int32_t *indices)
{
    const struct motley__peers *peers = layer->peers;
    const int T = layer->rows.T, K = layer->shape.K;
    int64_t copies = 0;

    for (int t = 0; t < T; t++)
        for (int k = 0; k < K; k++) {
            const int group = group_of(layer, indices, t * K + k);
            int seen = group < 0;

            for (int j = 0; j < k && !seen; j++)
                seen = group_of(layer, indices, t * K + j) == group;
            copies += seen ? 0 : peers->table[group + 1] - peers->table[group] +
                                 (group == peers->G - 1 && layer->E_local > 0);
        }
    return T ? (double)copies / T : 0;
}

/* The routing is read back to count the copies. */
static int count_copies(const motley_layer *layer, double *copies, struct motley_error *error)
{
    const size_t bytes = (size_t)layer->rows.N * sizeof(int32_t);
    int32_t *indices = malloc(bytes ? bytes : 1);
    int status = 0;

    if (!indices)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for %zu bytes of routing", bytes);
    if (bytes)
        status = motley__buffer_read(layer->saved[MOTLEY__SAVED_INDICES], 0, indices, bytes, error);
    if (!status)
        *copies = copies_per_token(layer, indices);
    free(indices);
    return status;
}

/* What all chunks sent. */
static void add_bytes(const motley_layer *layer, struct motley__transfer *const *transfer,
                      struct motley_layer_traffic *traffic)
{
    for (int c = 0; c < layer->chunks; c++) {
        int64_t ranks, nodes;

        motley__transfer_bytes(transfer[c], &ranks, &nodes);
        traffic->bytes_sent += ranks;
        traffic->bytes_sent_nodes += nodes;
    }
}

int motley_layer_traffic(const motley_layer *layer, struct motley_layer_traffic *traffic, struct motley_error *error)
{
    double copies = layer->rows.T ? 1 : 0; /* where nothing travels */
    int status = layer->peers ? count_copies(layer, &copies, error) : 0;

    if (status)
        return status;
    *traffic = (struct motley_layer_traffic){.rows_sent = layer->rows.B, .rows_returned = layer->rows.M,
                                             .copies_per_token = copies};
    if (layer->peers) {
        traffic->bytes_sent = motley__counts_bytes(layer->counts, &traffic->bytes_sent_nodes);
        add_bytes(layer, layer->lists, traffic);
        add_bytes(layer, layer->dispatch, traffic);
        add_bytes(layer, layer->combine, traffic);
    }
    if (layer->cache && (layer->cache->experts || layer->trained)) { /* replicas else travel once */
        int64_t nodes;
        traffic->bytes_sent += motley__redistribution_bytes(layer->cache->fetch.redistribution, &nodes);
        traffic->bytes_sent_nodes += nodes;
    }
    return 0;
}
