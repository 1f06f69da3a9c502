/* How the peer computes a whole layer, both ways.
 *
 *   forward    gather x; pre = x W1^T, pre3 = x W3^T; h = silu(pre) pre3; o = h W2^T; y[t] = sum of w o over the
 * token's pairs backward   gather dy; u = dy W2; dh1, dh3, w h, dw from u, pre, pre3; dW2 = dy^T (w h), dW1 = dh1^T x,
 * dW3 = dh3^T x; o = dh1 W1 + dh3 W3; dx[t] = sum of o
 *
 * The gathered x, pre and pre3 are kept from forward to backward.  relu: no W3.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "bench/host.h"
#include "bench/openblas.h"

static int is_swiglu(const struct motley__openblas *peer)
{
    return peer->problem->shape.activation == MOTLEY_SWIGLU;
}

/* NULL: relu. */
static float *pre3_of(const struct motley__openblas *peer)
{
    return is_swiglu(peer) ? peer->scratch[MOTLEY__PRE3] : NULL;
}

/* The forward up to h. */
static void hidden(struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    float *const *rows = peer->scratch;
    motley__host_gather(peer->team, p->P, p->shape.D, p->token, peer->tensor[MOTLEY__X], rows[MOTLEY__GATHERED]);
    motley__openblas_products(peer, 0, MOTLEY__W1, rows[MOTLEY__GATHERED], 0, rows[MOTLEY__PRE]);
    if (is_swiglu(peer))
        motley__openblas_products(peer, 0, MOTLEY__W3, rows[MOTLEY__GATHERED], 0, rows[MOTLEY__PRE3]);
    motley__host_activate(peer->team, p->P, p->shape.F, rows[MOTLEY__PRE], pre3_of(peer), rows[MOTLEY__HIDDEN]);
}

static void forward(struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    float *const *rows = peer->scratch;
    hidden(peer);
    motley__openblas_products(peer, 0, MOTLEY__W2, rows[MOTLEY__HIDDEN], 0, rows[MOTLEY__OUT]);
    motley__host_combine(peer->team, p->T, p->shape.K, p->shape.D, p->where, p->weight, rows[MOTLEY__OUT],
                         peer->tensor[MOTLEY__Y]);
}

static void backward(struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    float *const *rows = peer->scratch;
    const int swiglu = is_swiglu(peer);
    motley__host_gather(peer->team, p->P, p->shape.D, p->token, peer->tensor[MOTLEY__DY], rows[MOTLEY__GATHERED_DY]);
    motley__openblas_products(peer, 1, MOTLEY__W2, rows[MOTLEY__GATHERED_DY], 0, rows[MOTLEY__U]);
    motley__host_activate_backward(peer->team, &(struct motley__host_backward){.P = p->P, .F = p->shape.F,
        .pair = p->order, .weight = p->weight, .pre = rows[MOTLEY__PRE], .pre3 = pre3_of(peer), .u = rows[MOTLEY__U],
        .dpre3 = rows[MOTLEY__DPRE3], .h = rows[MOTLEY__HIDDEN], .dweight = peer->dweight});
    motley__openblas_gradients(peer, MOTLEY__DW2, rows[MOTLEY__GATHERED_DY], rows[MOTLEY__HIDDEN]);
    motley__openblas_gradients(peer, MOTLEY__DW1, rows[MOTLEY__U], rows[MOTLEY__GATHERED]);
    if (swiglu)
        motley__openblas_gradients(peer, MOTLEY__DW3, rows[MOTLEY__DPRE3], rows[MOTLEY__GATHERED]);
    motley__openblas_products(peer, 1, MOTLEY__W1, rows[MOTLEY__U], 0, rows[MOTLEY__OUT]);
    if (swiglu)
        motley__openblas_products(peer, 1, MOTLEY__W3, rows[MOTLEY__DPRE3], 1, rows[MOTLEY__OUT]);
    motley__host_combine(peer->team, p->T, p->shape.K, p->shape.D, p->where, NULL, rows[MOTLEY__OUT],
                         peer->tensor[MOTLEY__Y]);
}

static const float *result_of(const struct motley__openblas *peer, int j)
{
    static const enum motley__bench_weight gradient[] = {MOTLEY__DW1, MOTLEY__DW2, MOTLEY__DW3};
    return j == 0 ? peer->tensor[MOTLEY__Y] : peer->weight[gradient[j - 1]];
}

#define BIT(i) MOTLEY__BIT(MOTLEY__##i)
#define WEIGHTS (BIT(W1) | BIT(W2) | BIT(W3))
#define ROWS (BIT(GATHERED) | BIT(OUT) | BIT(PRE) | BIT(PRE3) | BIT(HIDDEN))
const struct motley__method motley__openblas_layers[] = {
    {"layer", 0, WEIGHTS, BIT(X) | BIT(Y), ROWS, NULL, forward, result_of},
    {"layer", 1, WEIGHTS | BIT(DW1) | BIT(DW2) | BIT(DW3), BIT(X) | BIT(DY) | BIT(Y),
     ROWS | BIT(GATHERED_DY) | BIT(U) | BIT(DPRE3), hidden, backward, result_of},
    {0},
};
