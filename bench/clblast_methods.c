/* How CLBlast computes the operators and a layer; the formulas are those of openblas_operators.c and openblas_layer.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "bench/clblast.h"
#include "device/program.h"
#include "device/queue.h"
#include "layer/decode.h"
#include "layer/encode.h"
#include "product/activation.h"

static int gather(const struct motley__clblast *peer, enum motley__tensor which, enum motley__scratch_rows to,
                  struct motley_error *error)
{
    const struct motley__problem *p = peer->problem;
    return motley__encode(p->device, &(struct motley__encode){.D = p->shape.D, .K = p->shape.K, .rows = p->P,
        .x = p->tensor[which], .order = p->list[MOTLEY__ORDER], .send = peer->scratch[to]}, error);
}

static int activate(const struct motley__clblast *peer, int swiglu, struct motley__buffer *h,
                    struct motley_error *error)
{
    const struct motley__problem *p = peer->problem;
    const cl_ulong count = (cl_ulong)p->P * (cl_ulong)p->shape.F;
    const struct motley__buffer *pre3 = swiglu ? peer->scratch[MOTLEY__PRE3] : NULL;
    cl_kernel kernel;
    int status = motley__kernel(p->device, "activate.cl", "", "activate", &kernel, error);
    if (status)
        return status;
    return motley__launch(p->device, kernel, ((struct motley__range){{count}, {64}}), error, MOTLEY__VALUE(count),
                          MOTLEY__BUFFER(peer->scratch[MOTLEY__PRE]), MOTLEY__BUFFER(pre3), MOTLEY__BUFFER(h));
}

/* x gathered, pre, pre3 and h. */
static int hidden(const struct motley__clblast *peer, int swiglu, struct motley__buffer *h, struct motley_error *error)
{
    struct motley__buffer *const *rows = peer->scratch;
    int status = gather(peer, MOTLEY__X, MOTLEY__GATHERED, error);
    if (!status)
        status = motley__clblast_products(peer, 0, MOTLEY__W1, rows[MOTLEY__GATHERED], 0, rows[MOTLEY__PRE], error);
    if (!status && swiglu)
        status = motley__clblast_products(peer, 0, MOTLEY__W3, rows[MOTLEY__GATHERED], 0, rows[MOTLEY__PRE3], error);
    return status ? status : activate(peer, swiglu, h, error);
}

static int run_esmm(struct motley__clblast *peer, struct motley_error *error)
{
    int status = gather(peer, MOTLEY__X, MOTLEY__GATHERED, error);
    return status ? status : motley__clblast_products(peer, 0, MOTLEY__W1, peer->scratch[MOTLEY__GATHERED], 0,
                                                      peer->scratch[MOTLEY__HIDDEN], error);
}

static int run_swiglu(struct motley__clblast *peer, struct motley_error *error)
{
    return hidden(peer, 1, peer->scratch[MOTLEY__HIDDEN], error);
}

static int run_transposed(struct motley__clblast *peer, struct motley_error *error)
{
    return motley__clblast_products(peer, 1, MOTLEY__W1, peer->problem->tensor[MOTLEY__G], 0,
                                    peer->scratch[MOTLEY__OUT], error);
}

static int run_estmm(struct motley__clblast *peer, struct motley_error *error)
{
    int status = gather(peer, MOTLEY__X, MOTLEY__GATHERED, error);
    return status ? status : motley__clblast_gradients(peer, MOTLEY__DW1, peer->problem->tensor[MOTLEY__G],
                                                       peer->scratch[MOTLEY__GATHERED], error);
}

static int is_swiglu(const struct motley__clblast *peer)
{
    return peer->problem->shape.activation == MOTLEY_SWIGLU;
}

/* out [T,D] = the sum of (w) o over each token's pairs */
static int combine(const struct motley__clblast *peer, int weighted, struct motley_error *error)
{
    const struct motley__problem *p = peer->problem;
    return motley__decode(p->device, &(struct motley__decode){.T = p->T, .K = p->shape.K, .D = p->shape.D,
        .where = p->list[MOTLEY__WHERE], .o = peer->scratch[MOTLEY__OUT],
        .weight = weighted ? p->list[MOTLEY__PAIR_WEIGHT] : NULL, .y = peer->out}, error);
}

static int run_layer(struct motley__clblast *peer, struct motley_error *error)
{
    struct motley__buffer *const *rows = peer->scratch;
    int status = hidden(peer, is_swiglu(peer), rows[MOTLEY__HIDDEN], error);
    if (!status)
        status = motley__clblast_products(peer, 0, MOTLEY__W2, rows[MOTLEY__HIDDEN], 0, rows[MOTLEY__OUT], error);
    return status ? status : combine(peer, 1, error);
}

/* The backward overwrites what it reads of the forward. */
static int prepare_layer_backward(struct motley__clblast *peer, struct motley_error *error)
{
    return hidden(peer, is_swiglu(peer), peer->scratch[MOTLEY__HIDDEN], error);
}

static int layer_gradients(struct motley__clblast *peer, struct motley_error *error)
{
    struct motley__buffer *const *rows = peer->scratch;
    int status = motley__clblast_gradients(peer, MOTLEY__DW2, rows[MOTLEY__GATHERED_DY], rows[MOTLEY__HIDDEN], error);
    if (!status)
        status = motley__clblast_gradients(peer, MOTLEY__DW1, rows[MOTLEY__U], rows[MOTLEY__GATHERED], error);
    if (!status && is_swiglu(peer))
        status = motley__clblast_gradients(peer, MOTLEY__DW3, rows[MOTLEY__PRE3], rows[MOTLEY__GATHERED], error);
    return status;
}

static int run_layer_backward(struct motley__clblast *peer, struct motley_error *error)
{
    const struct motley__problem *p = peer->problem;
    struct motley__buffer *const *rows = peer->scratch;
    const int swiglu = is_swiglu(peer);
    int status = gather(peer, MOTLEY__DY, MOTLEY__GATHERED_DY, error);
    if (!status)
        status = motley__clblast_products(peer, 1, MOTLEY__W2, rows[MOTLEY__GATHERED_DY], 0, rows[MOTLEY__U], error);
    if (!status)
        status = motley__activation_backward(
            p->device, &(struct motley__activation_backward){.P = p->P, .F = p->shape.F,
                .activation = swiglu ? MOTLEY__ACT_SWIGLU : MOTLEY__ACT_RELU, .weight = p->list[MOTLEY__PAIR_WEIGHT],
                .pre = rows[MOTLEY__PRE], .pre3 = swiglu ? rows[MOTLEY__PRE3] : NULL, .u = rows[MOTLEY__U],
                .h = rows[MOTLEY__HIDDEN], .dw = peer->dweight}, error);
    if (!status)
        status = layer_gradients(peer, error);
    if (!status)
        status = motley__clblast_products(peer, 1, MOTLEY__W1, rows[MOTLEY__U], 0, rows[MOTLEY__OUT], error);
    if (!status && swiglu)
        status = motley__clblast_products(peer, 1, MOTLEY__W3, rows[MOTLEY__PRE3], 1, rows[MOTLEY__OUT], error);
    return status ? status : combine(peer, 0, error);
}

static const struct motley__buffer *hidden_rows(const struct motley__clblast *peer, int j)
{
    (void)j;
    return peer->scratch[MOTLEY__HIDDEN];
}

static const struct motley__buffer *pair_rows(const struct motley__clblast *peer, int j)
{
    (void)j;
    return peer->scratch[MOTLEY__OUT];
}

static const struct motley__buffer *token_rows(const struct motley__clblast *peer, int j)
{
    (void)j;
    return peer->out;
}

static const struct motley__matrix *only_gradient(const struct motley__clblast *peer, int j)
{
    (void)j;
    return peer->matrix[MOTLEY__DW1];
}

/* Behind dx, which is number 0. */
static const struct motley__matrix *layer_gradient(const struct motley__clblast *peer, int j)
{
    static const enum motley__bench_weight gradient[] = {MOTLEY__DW1, MOTLEY__DW2, MOTLEY__DW3};
    return peer->matrix[gradient[j - 1]];
}

#define BIT(i) MOTLEY__BIT(MOTLEY__##i)
#define WEIGHTS (BIT(W1) | BIT(W2) | BIT(W3))
#define ROWS (BIT(GATHERED) | BIT(OUT) | BIT(PRE) | BIT(PRE3) | BIT(HIDDEN))
const struct motley__clblast_method motley__clblast_methods[] = {
    {"esmm", 0, BIT(W1), BIT(X), BIT(GATHERED) | BIT(HIDDEN), NULL, run_esmm, hidden_rows, NULL},
    {"esmm_swiglu", 0, BIT(W1) | BIT(W3), BIT(X), BIT(GATHERED) | BIT(PRE) | BIT(PRE3) | BIT(HIDDEN), NULL, run_swiglu,
     hidden_rows, NULL},
    {"esmm_transposed", 1, BIT(W1), BIT(G), BIT(OUT), NULL, run_transposed, pair_rows, NULL},
    {"estmm", 1, BIT(DW1), BIT(X) | BIT(G), BIT(GATHERED), NULL, run_estmm, NULL, only_gradient},
    {"layer", 0, WEIGHTS, BIT(X), ROWS, NULL, run_layer, token_rows, NULL},
    {"layer", 1, WEIGHTS | BIT(DW1) | BIT(DW2) | BIT(DW3), BIT(X) | BIT(DY), ROWS | BIT(GATHERED_DY) | BIT(U),
     prepare_layer_backward, run_layer_backward, token_rows, layer_gradient},
    {0},
};
