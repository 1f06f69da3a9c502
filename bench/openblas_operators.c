/* How the peer computes single operators.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "bench/host.h"
#include "bench/openblas.h"

static void gather_x(const struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    motley__host_gather(peer->team, p->P, p->shape.D, p->token, peer->tensor[MOTLEY__X],
                        peer->scratch[MOTLEY__GATHERED]);
}

static void run_esmm(struct motley__openblas *peer)
{
    gather_x(peer);
    motley__openblas_products(peer, 0, MOTLEY__W1, peer->scratch[MOTLEY__GATHERED], 0, peer->tensor[MOTLEY__H]);
}

static void run_swiglu(struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    float *const *rows = peer->scratch;
    gather_x(peer);
    motley__openblas_products(peer, 0, MOTLEY__W1, rows[MOTLEY__GATHERED], 0, rows[MOTLEY__PRE]);
    motley__openblas_products(peer, 0, MOTLEY__W3, rows[MOTLEY__GATHERED], 0, rows[MOTLEY__PRE3]);
    motley__host_activate(peer->team, p->P, p->shape.F, rows[MOTLEY__PRE], rows[MOTLEY__PRE3], peer->tensor[MOTLEY__H]);
}

static void run_transposed(struct motley__openblas *peer)
{
    motley__openblas_products(peer, 1, MOTLEY__W1, peer->tensor[MOTLEY__G], 0, peer->tensor[MOTLEY__DX]);
}

static void run_estmm(struct motley__openblas *peer)
{
    gather_x(peer);
    motley__openblas_gradients(peer, MOTLEY__DW1, peer->tensor[MOTLEY__G], peer->scratch[MOTLEY__GATHERED]);
}

static const float *result_hidden(const struct motley__openblas *peer, int j)
{
    (void)j;
    return peer->tensor[MOTLEY__H];
}

static const float *result_dx(const struct motley__openblas *peer, int j)
{
    (void)j;
    return peer->tensor[MOTLEY__DX];
}

static const float *result_dw(const struct motley__openblas *peer, int j)
{
    (void)j;
    return peer->weight[MOTLEY__DW1];
}

#define BIT(i) MOTLEY__BIT(MOTLEY__##i)
const struct motley__method motley__openblas_operators[] = {
    {"esmm", 0, BIT(W1), BIT(X) | BIT(H), BIT(GATHERED), NULL, run_esmm, result_hidden},
    {"esmm_swiglu", 0, BIT(W1) | BIT(W3), BIT(X) | BIT(H), BIT(GATHERED) | BIT(PRE) | BIT(PRE3), NULL, run_swiglu,
     result_hidden},
    {"esmm_transposed", 1, BIT(W1), BIT(G) | BIT(DX), 0, NULL, run_transposed, result_dx},
    {"estmm", 1, BIT(DW1), BIT(X) | BIT(G), BIT(GATHERED), NULL, run_estmm, result_dw},
    {0},
};
