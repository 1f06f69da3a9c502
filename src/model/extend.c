/* Inference, some tokens at a time, with a cache of keys and values.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "model/attention.h"
#include "model/state.h"

/* One cache a block, for the longest sequence, made once. */
static int reserve_cache(struct motley__decoder *d, int stride, struct motley_error *error)
{
    const size_t keys = (size_t)(d->config.D / d->config.heads * d->config.kv_heads);
    const size_t value_bytes = keys * (size_t)d->config.positions * motley__storage_bytes(d->dtype);
    if (!d->cache)
        d->cache = calloc((size_t)d->config.layers, sizeof *d->cache);
    if (!d->cache)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a cache");
    int status = 0;
    for (int i = 0; i < d->config.layers && !status; i++) {
        status = motley__buffer_reserve(d->device, &d->cache[i].kt, keys * (size_t)stride * sizeof(float), error);
        if (!status)
            status = motley__buffer_reserve(d->device, &d->cache[i].v, value_bytes, error);
    }
    return status;
}

void motley__decoder_reset(struct motley__decoder *decoder)
{
    decoder->cached = 0;
}

/* What this rank alone can find wrong. */
static int prepare(struct motley__decoder *d, const struct motley__extent *extent, const uint8_t *tokens,
                   struct motley_error *error)
{
    const int count = extent->S;
    if (count < 0 || count > d->config.positions - d->cached)
        return motley__fail(error, MOTLEY_E_INVALID, "%d tokens behind %d are more than the model's %d positions",
                            count, d->cached, d->config.positions);
    int status = motley__decoder_reserve(d, extent, 0, error);
    if (!status && count > 0)
        status = reserve_cache(d, extent->stride, error);
    if (!status)
        status = motley__decoder_take(d, tokens, count, d->host_tokens, error);
    return status ? status : motley__buffer_write(d->token, 0, d->host_tokens, (size_t)count * sizeof(int), error);
}

int motley__decoder_extend(struct motley__decoder *d, const uint8_t *tokens, int count, float *logits,
                           struct motley_error *error)
{
    const size_t row = (size_t)d->config.D * motley__storage_bytes(d->dtype);
    struct motley__extent extent = {.B = 1, .S = count, .past = d->cached,
                                    .stride = motley__attention_stride(d->config.positions)};
    int status = motley__context_agree(d->context, prepare(d, &extent, tokens, error), error);
    extent.cache = d->cache;
    if (!status)
        status = motley__decoder_forward(d, &extent, error);
    if (status || count == 0)
        return status;
    d->cached += count;
    /* The head reads the last row alone; the first block's input is free by now. */
    struct motley__buffer *last = d->saved[0].x;
    status = motley__buffer_copy(d->x, (size_t)(count - 1) * row, last, 0, row, error);
    if (!status)
        status = motley__decoder_head(d, 1, last, error);
    return status ? status : motley__decoder_read_logits(d, 1, logits, error);
}
