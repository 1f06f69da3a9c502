/* What a layer can tell about its last step: routing, times, traffic.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "layer/state.h"

int motley_layer_routing(const motley_layer *layer, int32_t *indices, float *weights, struct motley_error *error)
{
    const size_t bytes = (size_t)layer->rows.N * 4;
    int status = 0;

    if (!bytes)
        return 0;
    status = motley__buffer_read(layer->saved[MOTLEY__SAVED_INDICES], 0, indices, bytes, error);
    if (!status)
        status = motley__buffer_read(layer->saved[MOTLEY__SAVED_WEIGHTS], 0, weights, bytes, error);
    return status;
}

static struct motley_layer_times times_of(const struct motley__step_times *t)
{
    return (struct motley_layer_times){
        .gate = t->phase[MOTLEY__PHASE_GATE], .dispatch = t->phase[MOTLEY__PHASE_DISPATCH],
        .experts = t->phase[MOTLEY__PHASE_EXPERTS], .combine = t->phase[MOTLEY__PHASE_COMBINE], .step = t->step,
        .comm = t->comm, .comm_hidden = t->comm_hidden};
}

struct motley_layer_times motley_layer_forward_times(const motley_layer *layer)
{
    return times_of(&layer->forward_times);
}

struct motley_layer_times motley_layer_backward_times(const motley_layer *layer)
{
    return times_of(&layer->backward_times);
}

/* Distinct ranks among each token's experts, own one included, over all tokens. */
static double copies_per_token(const motley_layer *layer, const int32_t *indices)
{
    const int T = layer->rows.T, K = layer->shape.K;
    int64_t copies = 0;

    for (int t = 0; t < T; t++)
        for (int k = 0; k < K; k++) {
            int rank = layer->plan->owner[indices[t * K + k]], seen = 0;

            for (int j = 0; j < k && !seen; j++)
                seen = layer->plan->owner[indices[t * K + j]] == rank;
            copies += !seen;
        }
    return T ? (double)copies / T : 0;
}

int motley_layer_traffic(const motley_layer *layer, struct motley_layer_traffic *traffic, struct motley_error *error)
{
    const size_t bytes = (size_t)layer->rows.N * sizeof(int32_t);
    int64_t ranks = 0, nodes = 0, back = 0, back_nodes = 0, count_nodes = 0;
    int32_t *indices = malloc(bytes ? bytes : 1);
    int status = 0;

    if (!indices)
        status = motley__fail(error, MOTLEY_E_MEMORY, "no host memory for %zu bytes of routing", bytes);
    if (!status && bytes)
        status = motley__buffer_read(layer->saved[MOTLEY__SAVED_INDICES], 0, indices, bytes, error);
    if (!status) {
        memset(traffic, 0, sizeof *traffic);
        traffic->rows_sent = layer->rows.S;
        traffic->rows_returned = layer->rows.M;
        traffic->copies_per_token = copies_per_token(layer, indices);
        if (layer->counts) {
            motley__transfer_bytes(layer->dispatch, layer->send_rows, &ranks, &nodes);
            motley__transfer_bytes(layer->combine, layer->receive_rows, &back, &back_nodes);
            ranks += motley__counts_bytes(layer->counts, &count_nodes);
        }
        traffic->bytes_sent = ranks + back;
        traffic->bytes_sent_nodes = nodes + back_nodes + count_nodes;
    }
    free(indices);
    return status;
}
