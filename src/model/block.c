/* One block of the decoder, forward and backward.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "model/attention.h"
#include "model/block.h"
#include "model/norm.h"
#include "model/rope.h"

static size_t floats(size_t count)
{
    return count * sizeof(float);
}

/* Bytes of numbers in the rows' storage type. */
static size_t stored(const struct motley__block *block, size_t count)
{
    return count * motley__storage_bytes(block->dtype);
}

/* What a list of buffers shall hold. */
struct need {
    struct motley__buffer **buffer;
    size_t bytes;
};

static int reserve(struct motley__device *device, const struct need *need, size_t needs, struct motley_error *error)
{
    int status = 0;
    for (size_t i = 0; i < needs && !status; i++)
        status = motley__buffer_reserve(device, need[i].buffer, need[i].bytes, error);
    return status;
}

static size_t rows_of(const struct motley__extent *extent)
{
    const size_t rows = (size_t)extent->B * (size_t)extent->S;
    return rows ? rows : 1;
}

/* Floats of one head's rows transposed, in all sequences. */
static size_t line_of(const struct motley__extent *extent)
{
    return (size_t)(extent->B ? extent->B : 1) * (size_t)extent->stride;
}

int motley__activations_reserve(const struct motley__block *block, const struct motley__extent *extent,
                                struct motley__activations *s, struct motley_error *error)
{
    const struct motley__config *c = block->config;
    const size_t T = rows_of(extent), D = (size_t)c->D, keys = D / (size_t)c->heads * (size_t)c->kv_heads;
    const size_t row = stored(block, T * D), key_row = stored(block, T * keys);
    const struct need need[] = {
        {&s->x, row}, {&s->r1, floats(T)}, {&s->n1, row}, {&s->q, row}, {&s->k, key_row}, {&s->v, key_row},
        {&s->a, row}, {&s->lse, floats(line_of(extent) * (size_t)c->heads)}, {&s->y, row}, {&s->r2, floats(T)},
        {&s->n2, row},
    };
    return reserve(block->device, need, sizeof need / sizeof *need, error);
}

int motley__workspace_reserve(const struct motley__block *block, const struct motley__extent *extent, int backward,
                              struct motley__workspace *w, struct motley_error *error)
{
    const struct motley__config *c = block->config;
    const size_t T = rows_of(extent), D = (size_t)c->D, d = D / (size_t)c->heads, keys = d * (size_t)c->kv_heads;
    const size_t line = line_of(extent), row = stored(block, T * D), key_row = stored(block, T * keys);
    const struct need need[] = {
        {&w->kt, floats(line * keys)}, /* the rest is for backward */
        {&w->vt, floats(line * keys)}, {&w->qt, floats(line * D)}, {&w->doutt, floats(line * D)},
        {&w->delta, floats(line * (size_t)c->heads)}, {&w->dn, row}, {&w->da, row}, {&w->dq, row}, {&w->dk, key_row},
        {&w->dv, key_row}, {&w->partial, motley__norm_scratch_bytes((int)T, c->D)},
    };
    return reserve(block->device, need, backward ? sizeof need / sizeof *need : 1, error);
}

void motley__activations_release(struct motley__activations *s)
{
    struct motley__buffer *buffers[] = {s->x, s->r1, s->n1, s->q, s->k, s->v, s->a, s->lse, s->y, s->r2, s->n2};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        motley__buffer_destroy(buffers[i]);
    memset(s, 0, sizeof *s);
}

void motley__workspace_release(struct motley__workspace *w)
{
    struct motley__buffer *buffers[] = {w->kt, w->vt, w->qt, w->doutt, w->delta, w->dn, w->da, w->dq, w->dk, w->dv,
                                        w->partial};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        motley__buffer_destroy(buffers[i]);
    memset(w, 0, sizeof *w);
}

static int norm_forward(const struct motley__block *block, int T, enum motley__block_weight which,
                        const struct motley__buffer *x, struct motley__buffer *y, struct motley__buffer *r,
                        struct motley_error *error)
{
    return motley__norm_forward(block->device, block->dtype, T, block->config->D, block->config->norm_eps, x,
                                block->weight[which].storage, y, r, error);
}

static int product(const struct motley__block *block, enum motley__block_weight which, int T,
                   const struct motley__buffer *x, int accumulate, struct motley__buffer *y, struct motley_error *error)
{
    return motley__linear_forward(block->weight[which].linear, T, x, accumulate, y, error);
}

/* Turn queries and keys by their positions; back 1: their gradients. */
static int turn(const struct motley__block *block, const struct motley__extent *e, int back, struct motley__buffer *q,
                struct motley__buffer *k, struct motley_error *error)
{
    const struct motley__config *c = block->config;
    const int T = e->B * e->S, d = c->D / c->heads;
    int status = motley__rope(block->device, block->dtype, block->rope, T, e->S, e->past, c->heads, d, back, q, error);
    return status ? status
                  : motley__rope(block->device, block->dtype, block->rope, T, e->S, e->past, c->kv_heads, d, back, k,
                                 error);
}

static struct motley__attention attention_of(const struct motley__block *block, const struct motley__extent *e,
                                             const struct motley__activations *s, const struct motley__workspace *w)
{
    const struct motley__config *c = block->config;
    return (struct motley__attention){
        .dtype = block->dtype, .B = e->B, .S = e->S, .past = e->past, .H = c->heads, .G = c->kv_heads,
        .d = c->D / c->heads, .stride = e->stride,
        .q = s->q, .k = s->k, .v = e->cache ? e->cache->v : s->v, .kt = e->cache ? e->cache->kt : w->kt, .out = s->a,
        .lse = s->lse,
    };
}

/* s->y = s->x + attention; T > 0. */
static int attend(const struct motley__block *block, const struct motley__extent *e,
                  const struct motley__activations *s, const struct motley__workspace *w, struct motley_error *error)
{
    const struct motley__config *c = block->config;
    const int T = e->B * e->S;
    const size_t keys = (size_t)(c->D / c->heads * c->kv_heads);
    const struct motley__attention attention = attention_of(block, e, s, w);
    int status = norm_forward(block, T, MOTLEY__NORM1, s->x, s->n1, s->r1, error);
    if (!status)
        status = product(block, MOTLEY__Q, T, s->n1, 0, s->q, error);
    if (!status)
        status = product(block, MOTLEY__KEY, T, s->n1, 0, s->k, error);
    if (!status)
        status = product(block, MOTLEY__VALUE, T, s->n1, 0, s->v, error);
    if (!status)
        status = turn(block, e, 0, s->q, s->k, error);
    if (!status && e->cache)
        status = motley__buffer_copy(s->v, 0, e->cache->v, stored(block, (size_t)e->past * keys),
                                     stored(block, (size_t)T * keys), error);
    if (!status)
        status = motley__attention_forward(block->device, &attention, error);
    if (!status)
        status = motley__buffer_copy(s->x, 0, s->y, 0, stored(block, (size_t)T * (size_t)c->D), error);
    return status ? status : product(block, MOTLEY__O, T, s->a, 1, s->y, error);
}

int motley__block_forward(const struct motley__block *block, const struct motley__extent *e,
                          const struct motley__activations *s, const struct motley__workspace *w,
                          struct motley__buffer *next, struct motley_error *error)
{
    const int T = e->B * e->S;
    int status = 0;
    if (T > 0) {
        status = attend(block, e, s, w, error);
        if (!status)
            status = norm_forward(block, T, MOTLEY__NORM2, s->y, s->n2, s->r2, error);
        if (!status)
            status = motley__buffer_copy(s->y, 0, next, 0, stored(block, (size_t)T * (size_t)block->config->D), error);
    }
    return status ? status : motley__layer_forward(block->moe, T, s->n2, NULL, 1, next, error);
}

/* dx += the norm's gradient of dn. */
static int norm_backward(const struct motley__block *block, int T, enum motley__block_weight which,
                         const struct motley__buffer *x, const struct motley__buffer *r,
                         const struct motley__workspace *w, struct motley__buffer *dx, struct motley_error *error)
{
    return motley__norm_backward(block->device, block->dtype, T, block->config->D, x, block->weight[which].storage, r,
                                 w->dn, 1, dx, w->partial, block->weight[which].gradient, error);
}

/* dW = dy^T x,   dx = dy W (+ dx) */
static int product_backward(const struct motley__block *block, enum motley__block_weight which, int T,
                            const struct motley__buffer *x, const struct motley__buffer *dy, int accumulate,
                            struct motley__buffer *dx, struct motley_error *error)
{
    int status = motley__linear_gradient(block->weight[which].linear, T, dy, x, 0, error);
    return status ? status : motley__linear_backward(block->weight[which].linear, T, dy, accumulate, dx, error);
}

static int attend_backward(const struct motley__block *block, const struct motley__extent *e,
                           const struct motley__activations *s, const struct motley__workspace *w,
                           struct motley__buffer *dx, struct motley_error *error)
{
    const int T = e->B * e->S;
    const struct motley__attention attention = attention_of(block, e, s, w);
    const struct motley__attention_gradient gradient = {
        .dout = w->da, .qt = w->qt, .doutt = w->doutt, .vt = w->vt, .delta = w->delta, .dq = w->dq, .dk = w->dk,
        .dv = w->dv,
    };
    int status = product_backward(block, MOTLEY__O, T, s->a, dx, 0, w->da, error);
    if (!status)
        status = motley__attention_backward(block->device, &attention, &gradient, error);
    if (!status)
        status = turn(block, e, 1, w->dq, w->dk, error);
    if (!status)
        status = product_backward(block, MOTLEY__Q, T, s->n1, w->dq, 0, w->dn, error);
    if (!status)
        status = product_backward(block, MOTLEY__KEY, T, s->n1, w->dk, 1, w->dn, error);
    if (!status)
        status = product_backward(block, MOTLEY__VALUE, T, s->n1, w->dv, 1, w->dn, error);
    return status ? status : norm_backward(block, T, MOTLEY__NORM1, s->x, s->r1, w, dx, error);
}

int motley__block_backward(const struct motley__block *block, const struct motley__extent *e,
                           const struct motley__activations *s, const struct motley__workspace *w,
                           struct motley__buffer *dx, struct motley_error *error)
{
    const int T = e->B * e->S;
    int status = motley__layer_backward(block->moe, T, dx, 0, w->dn, error);
    if (!status && T > 0)
        status = norm_backward(block, T, MOTLEY__NORM2, s->y, s->r2, w, dx, error);
    if (!status && T > 0)
        status = attend_backward(block, e, s, w, dx, error);
    return status;
}
