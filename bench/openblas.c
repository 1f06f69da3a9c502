/* OpenBLAS as the peer of the operators.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "bench/host.h"
#include "bench/peer.h"

/* One way to compute an operator: what it needs, what it does, where the results are. */
struct method {
    const char *name;                   /* of the operator */
    unsigned weights, tensors;          /* bits */
    int gathers, activates;             /* 1: `gathered`; 1: `pre` and `pre3` */
    void (*run)(struct motley__openblas *peer);
    enum motley__tensor result;         /* of rows; TENSORS: the gradient DW */
};

static int rows_of(const struct motley__problem *p, int e)
{
    return p->offsets[e + 1] - p->offsets[e];
}

/* y [P,F] = gathered W^T, an expert at a time */
static void forward_products(const struct motley__openblas *peer, enum motley__bench_weight which, float *y)
{
    const struct motley__problem *p = peer->problem;
    const size_t D = (size_t)p->shape.D, F = (size_t)p->shape.F;
    for (int e = 0; e < p->shape.E; e++)
        motley__blas_product(peer->blas, 0, 1, rows_of(p, e), p->shape.F, p->shape.D, peer->gathered + p->offsets[e] * D,
                             peer->weight[which] + (size_t)e * D * F, 0, y + p->offsets[e] * F);
}

static void gather(const struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    motley__host_gather(peer->team, p->P, p->shape.D, p->token, peer->tensor[MOTLEY__X], peer->gathered);
}

static void run_esmm(struct motley__openblas *peer)
{
    gather(peer);
    forward_products(peer, MOTLEY__W1, peer->tensor[MOTLEY__H]);
}

static void run_swiglu(struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    gather(peer);
    forward_products(peer, MOTLEY__W1, peer->pre);
    forward_products(peer, MOTLEY__W3, peer->pre3);
    motley__host_swiglu(peer->team, p->P, p->shape.F, peer->pre, peer->pre3, peer->tensor[MOTLEY__H]);
}

static void run_transposed(struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    const size_t D = (size_t)p->shape.D, F = (size_t)p->shape.F;
    for (int e = 0; e < p->shape.E; e++)
        motley__blas_product(peer->blas, 0, 0, rows_of(p, e), p->shape.D, p->shape.F,
                             peer->tensor[MOTLEY__G] + p->offsets[e] * F, peer->weight[MOTLEY__W1] + (size_t)e * D * F, 0,
                             peer->tensor[MOTLEY__DX] + p->offsets[e] * D);
}

static void run_estmm(struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    const size_t D = (size_t)p->shape.D, F = (size_t)p->shape.F;
    gather(peer);
    for (int e = 0; e < p->shape.E; e++) {
        float *dw = peer->weight[MOTLEY__DW] + (size_t)e * D * F;
        if (rows_of(p, e) == 0)
            motley__host_zero(peer->team, D * F, dw);
        else
            motley__blas_product(peer->blas, 1, 0, p->shape.F, p->shape.D, rows_of(p, e),
                                 peer->tensor[MOTLEY__G] + p->offsets[e] * F, peer->gathered + p->offsets[e] * D, 0, dw);
    }
}

#define BIT(i) (1u << (i))
static const struct method METHODS[] = {
    {"esmm", BIT(MOTLEY__W1), BIT(MOTLEY__X) | BIT(MOTLEY__H), 1, 0, run_esmm, MOTLEY__H},
    {"esmm_swiglu", BIT(MOTLEY__W1) | BIT(MOTLEY__W3), BIT(MOTLEY__X) | BIT(MOTLEY__H), 1, 1, run_swiglu, MOTLEY__H},
    {"esmm_transposed", BIT(MOTLEY__W1), BIT(MOTLEY__G) | BIT(MOTLEY__DX), 0, 0, run_transposed, MOTLEY__DX},
    {"estmm", BIT(MOTLEY__DW), BIT(MOTLEY__X) | BIT(MOTLEY__G), 1, 0, run_estmm, MOTLEY__TENSORS},
};

static const struct method *find(const struct motley__operator *op)
{
    for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++)
        if (!strcmp(METHODS[i].name, op->name))
            return &METHODS[i];
    return NULL;
}

/* [E,..] canonical. */
static int copy_weight(struct motley__openblas *peer, enum motley__bench_weight which, struct motley_error *error)
{
    const struct motley__bench_shape *shape = &peer->problem->shape;
    const size_t each = (size_t)shape->D * (size_t)shape->F;
    if (peer->weight[which])
        return 0;
    int status = motley__host_floats((size_t)shape->E * each, &peer->weight[which], error);
    for (int e = 0; e < shape->E && !status && which != MOTLEY__DW; e++)
        motley__bench_weights_numbers(peer->weights, which, e, 0, each, peer->weight[which] + (size_t)e * each);
    return status;
}

static int copy_tensor(struct motley__openblas *peer, enum motley__tensor which, struct motley_error *error)
{
    const struct motley__problem *p = peer->problem;
    const size_t count = (size_t)motley__problem_rows(p, which) * (size_t)motley__problem_width(p, which);
    if (peer->tensor[which])
        return 0;
    int status = motley__host_floats(count, &peer->tensor[which], error);
    if (!status && !motley__problem_written(which))
        motley__problem_numbers(p, which, 0, count, peer->tensor[which]);
    return status;
}

int motley__openblas_open(struct motley__openblas *peer, struct motley__problem *problem, const struct motley__operator *op,
                          int *known, struct motley_error *error)
{
    const struct method *method = find(op);
    const size_t P = (size_t)problem->P, D = (size_t)problem->shape.D, F = (size_t)problem->shape.F;
    int status = 0;
    *known = method && peer->blas->library;
    if (!*known)
        return 0;
    if (peer->weights != problem->weights)
        motley__openblas_release(peer);
    if (peer->problem != problem)
        motley__openblas_close(peer);
    peer->problem = problem;
    peer->weights = problem->weights;
    peer->op = op;
    for (int i = 0; i < MOTLEY__WEIGHTS && !status; i++)
        if (method->weights & BIT(i))
            status = copy_weight(peer, (enum motley__bench_weight)i, error);
    for (int i = 0; i < MOTLEY__TENSORS && !status; i++)
        if (method->tensors & BIT(i))
            status = copy_tensor(peer, (enum motley__tensor)i, error);
    if (!status && method->gathers && !peer->gathered)
        status = motley__host_floats(P * D, &peer->gathered, error);
    if (!status && method->activates && !peer->pre)
        status = motley__host_floats(P * F, &peer->pre, error);
    if (!status && method->activates && !peer->pre3)
        status = motley__host_floats(P * F, &peer->pre3, error);
    return status;
}

int motley__openblas_run(void *self, struct motley_error *error)
{
    struct motley__openblas *peer = self;
    (void)error;
    find(peer->op)->run(peer);
    return 0;
}

const float *motley__openblas_result(const struct motley__openblas *peer, int j)
{
    const struct method *method = find(peer->op);
    (void)j;
    return method->result == MOTLEY__TENSORS ? peer->weight[MOTLEY__DW] : peer->tensor[method->result];
}

void motley__openblas_close(struct motley__openblas *peer)
{
    for (int i = 0; i < MOTLEY__TENSORS; i++) {
        free(peer->tensor[i]);
        peer->tensor[i] = NULL;
    }
    free(peer->gathered);
    free(peer->pre);
    free(peer->pre3);
    peer->gathered = peer->pre = peer->pre3 = NULL;
    peer->problem = NULL;
}

void motley__openblas_release(struct motley__openblas *peer)
{
    motley__openblas_close(peer);
    for (int i = 0; i < MOTLEY__WEIGHTS; i++) {
        free(peer->weight[i]);
        peer->weight[i] = NULL;
    }
    peer->weights = NULL;
}
