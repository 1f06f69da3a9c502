/* Forward and backward of the whole decoder over whole sequences.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "model/attention.h"
#include "model/cross_entropy.h"
#include "model/embedding.h"
#include "model/norm.h"
#include "model/state.h"

static int reserve_host(struct motley__decoder *d, int rows, struct motley_error *error)
{
    if (d->host_rows >= rows)
        return 0;
    int *tokens = realloc(d->host_tokens, 3 * (size_t)rows * sizeof *tokens);
    if (tokens)
        d->host_tokens = tokens;
    float *loss = tokens ? realloc(d->host_loss, (size_t)rows * sizeof *loss) : NULL;
    if (loss)
        d->host_loss = loss;
    if (!loss)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d tokens", rows);
    d->host_rows = rows;
    return 0;
}

int motley__decoder_reserve(struct motley__decoder *d, const struct motley__extent *extent, int backward,
                            struct motley_error *error)
{
    const size_t T = extent->B * extent->S > 0 ? (size_t)extent->B * (size_t)extent->S : 1, D = (size_t)d->config.D;
    const size_t C = (size_t)d->config.vocabulary, number = motley__storage_bytes(d->dtype);
    const struct {
        struct motley__buffer **buffer;
        size_t bytes;
    } need[] = {
        {&d->token, T * sizeof(int)}, {&d->target, T * sizeof(int)}, {&d->order, T * sizeof(int)},
        {&d->offsets, (C + 1) * sizeof(int)}, {&d->x, T * D * number}, {&d->r, T * sizeof(float)},
        {&d->n, T * D * number}, {&d->logits, T * C * number}, {&d->loss, T * sizeof(float)},
        {&d->dx, T * D * number}, /* backward only: the last */
    };
    const size_t needs = sizeof need / sizeof *need - !backward;
    int status = reserve_host(d, (int)T, error);
    for (size_t i = 0; i < needs && !status; i++)
        status = motley__buffer_reserve(d->device, need[i].buffer, need[i].bytes, error);
    for (int i = 0; i < d->sets && !status; i++)
        status = motley__activations_reserve(d->block, extent, &d->saved[i], error);
    return status ? status : motley__workspace_reserve(d->block, extent, backward, &d->workspace, error);
}

int motley__decoder_take(struct motley__decoder *d, const uint8_t *tokens, int count, int *taken,
                         struct motley_error *error)
{
    for (int t = 0; t < count; t++) {
        if (tokens[t] >= d->config.vocabulary)
            return motley__fail(error, MOTLEY_E_INVALID, "token %d at position %d is outside the vocabulary of %d",
                                tokens[t], t, d->config.vocabulary);
        taken[t] = tokens[t];
    }
    return 0;
}

int motley__decoder_forward(struct motley__decoder *d, const struct motley__extent *extent, struct motley_error *error)
{
    const int T = extent->B * extent->S, last = d->config.layers - 1;
    struct motley__extent e = *extent;
    const struct motley__dense_weight *embedding = motley__weights_embedding(d->weights);
    int status = motley__layer_prefetch(d->block[0].moe, error);
    if (!status)
        status = motley__embedding_forward(d->device, d->dtype, T, d->config.D, d->token, embedding->storage,
                                           motley__decoder_saved(d, 0)->x, error);
    for (int i = 0; i <= last && !status; i++) {
        struct motley__buffer *next = i < last ? motley__decoder_saved(d, i + 1)->x : d->x;
        e.cache = extent->cache ? extent->cache + i : NULL;
        status = motley__block_forward(&d->block[i], &e, motley__decoder_saved(d, i), &d->workspace, next, error);
    }
    return status;
}

int motley__decoder_head(struct motley__decoder *d, int rows, const struct motley__buffer *x,
                         struct motley_error *error)
{
    const struct motley__dense_weight *norm = motley__weights_norm(d->weights);
    int status = motley__norm_forward(d->device, d->dtype, rows, d->config.D, d->config.norm_eps, x, norm->storage,
                                      d->n, d->r, error);
    return status ? status
                  : motley__linear_forward(motley__weights_head(d->weights)->linear, rows, d->n, 0, d->logits, error);
}

int motley__decoder_read_logits(const struct motley__decoder *d, int rows, float *logits, struct motley_error *error)
{
    const size_t count = (size_t)rows * (size_t)d->config.vocabulary, bytes = count * motley__storage_bytes(d->dtype);
    if (d->dtype == MOTLEY_F32)
        return motley__buffer_read(d->logits, 0, logits, bytes, error);
    void *stored = malloc(bytes + 1);
    if (!stored)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the logits of %d tokens", rows);
    int status = motley__buffer_read(d->logits, 0, stored, bytes, error);
    if (!status)
        motley__load(d->dtype, stored, count, logits);
    free(stored);
    return status;
}

/* The gradient of the logits is in `logits`; T > 0. */
static int head_backward(struct motley__decoder *d, int T, struct motley_error *error)
{
    const struct motley__linear *head = motley__weights_head(d->weights)->linear;
    const struct motley__dense_weight *norm = motley__weights_norm(d->weights);
    struct motley__workspace *w = &d->workspace;
    int status = motley__linear_gradient(head, T, d->logits, d->n, 0, error);
    if (!status)
        status = motley__linear_backward(head, T, d->logits, 0, w->dn, error);
    return status ? status
                  : motley__norm_backward(d->device, d->dtype, T, d->config.D, d->x, norm->storage, d->r, w->dn, 0,
                                          d->dx, w->partial, norm->gradient, error);
}

static int backward_all(struct motley__decoder *d, const struct motley__extent *extent, struct motley_error *error)
{
    const int T = extent->B * extent->S;
    const struct motley__dense_weight *embedding = motley__weights_embedding(d->weights);
    int status = T > 0 ? head_backward(d, T, error)
                       : motley__buffer_zero(d->weights->gradients, 0, d->weights->gradients->bytes, error);
    for (int i = d->config.layers - 1; i >= 0 && !status; i--)
        status = motley__block_backward(&d->block[i], extent, &d->saved[i], &d->workspace, d->dx, error);
    if (!status && T > 0)
        status = motley__embedding_backward(d->device, d->dtype, d->config.vocabulary, d->config.D, d->order,
                                            d->offsets, d->dx, embedding->gradient, error);
    return status;
}

/* tokens [B,S+1] to the device as inputs and targets, with the order that the embedding's gradient wants. */
static int write_tokens(struct motley__decoder *d, const uint8_t *tokens, int B, int S, struct motley_error *error)
{
    const int T = B * S;
    int *input = d->host_tokens, *target = input + T, *order = target + T, status = 0;
    for (int b = 0; b < B && !status; b++) {
        const uint8_t *sequence = tokens + (size_t)b * ((size_t)S + 1);
        status = motley__decoder_take(d, sequence, S, input + (size_t)b * (size_t)S, error);
        if (!status)
            status = motley__decoder_take(d, sequence + 1, S, target + (size_t)b * (size_t)S, error);
    }
    if (status)
        return status;
    motley__embedding_sort(T, d->config.vocabulary, input, order, d->host_offsets);
    const size_t bytes = (size_t)T * sizeof(int);
    status = motley__buffer_write(d->token, 0, input, bytes, error);
    if (!status)
        status = motley__buffer_write(d->target, 0, target, bytes, error);
    if (!status)
        status = motley__buffer_write(d->order, 0, order, bytes, error);
    if (!status)
        status = motley__buffer_write(d->offsets, 0, d->host_offsets,
                                      ((size_t)d->config.vocabulary + 1) * sizeof(int), error);
    return status;
}

/* Adds up the rows' losses, in order; waits for the device. */
static int read_losses(struct motley__decoder *d, int T, struct motley__pass *pass, struct motley_error *error)
{
    int status = motley__buffer_read(d->loss, 0, d->host_loss, (size_t)T * sizeof(float), error);
    if (status)
        return status;
    *pass = (struct motley__pass){0};
    for (int t = 0; t < T; t++)
        pass->loss_sum += d->host_loss[t];
    for (int i = 0; i < d->config.layers; i++) {
        const struct motley_losses losses = motley_layer_losses(d->block[i].moe);
        pass->balance += losses.balance / d->config.layers;
        pass->z += losses.z / d->config.layers;
        pass->importance += losses.importance / d->config.layers;
    }
    return 0;
}

static int check_extent(const struct motley__decoder *d, int B, int S, struct motley_error *error)
{
    if (B >= 0 && S >= 1 && S <= d->config.positions)
        return 0;
    return motley__fail(error, MOTLEY_E_INVALID, "%d sequences of %d tokens: the model takes 1 to %d tokens", B, S,
                        d->config.positions);
}

int motley__decoder_pass(struct motley__decoder *d, const uint8_t *tokens, int B, int S, double total, int backward,
                         struct motley__pass *pass, struct motley_error *error)
{
    const struct motley__extent extent = {.B = B, .S = S, .stride = motley__attention_stride(S)};
    int status = check_extent(d, B, S, error);
    if (!status && backward && !d->trained)
        status = motley__fail(error, MOTLEY_E_INVALID, "this model was made for inference: it keeps no gradients");
    if (!status)
        status = motley__decoder_reserve(d, &extent, backward, error);
    if (!status)
        status = write_tokens(d, tokens, B, S, error);
    if (!status)
        status = motley__decoder_forward(d, &extent, error);
    if (!status && B > 0)
        status = motley__decoder_head(d, B * S, d->x, error);
    if (!status && B > 0)
        status = motley__cross_entropy(d->device, d->dtype, B * S, d->config.vocabulary, d->target, 1 / total,
                                       backward, d->logits, d->loss, error);
    if (!status && backward)
        status = backward_all(d, &extent, error);
    return status ? status : read_losses(d, B * S, pass, error);
}

int motley__decoder_logits(struct motley__decoder *d, const uint8_t *tokens, int B, int S, float *logits,
                           struct motley_error *error)
{
    const struct motley__extent extent = {.B = B, .S = S, .stride = motley__attention_stride(S)};
    int status = check_extent(d, B, S, error);
    if (!status)
        status = motley__decoder_reserve(d, &extent, 0, error);
    if (!status)
        status = motley__decoder_take(d, tokens, B * S, d->host_tokens, error);
    if (!status)
        status = motley__buffer_write(d->token, 0, d->host_tokens, (size_t)(B * S) * sizeof(int), error);
    if (!status)
        status = motley__decoder_forward(d, &extent, error);
    if (!status && B > 0)
        status = motley__decoder_head(d, B * S, d->x, error);
    return status ? status : motley__decoder_read_logits(d, B * S, logits, error);
}
