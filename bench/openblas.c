/* OpenBLAS as the peer: its memory, and its products.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "bench/host.h"
#include "bench/openblas.h"

static int rows_of(const struct motley__problem *p, int e)
{
    return p->offsets[e + 1] - p->offsets[e];
}

/* Outputs and inputs of a weight. */
static void sizes_of(const struct motley__problem *p, enum motley__bench_weight which, int *O, int *I)
{
    const int second = which == MOTLEY__W2 || which == MOTLEY__DW2;
    *O = second ? p->shape.D : p->shape.F;
    *I = second ? p->shape.F : p->shape.D;
}

void motley__openblas_products(const struct motley__openblas *peer, int transposed, enum motley__bench_weight which,
                               const float *x, float beta, float *y)
{
    const struct motley__problem *p = peer->problem;
    int O, I;
    sizes_of(p, which, &O, &I);
    const int from = transposed ? O : I, to = transposed ? I : O;
    for (int e = 0; e < p->shape.E; e++)
        motley__blas_product(
            peer->blas, 0, !transposed, rows_of(p, e), to, from, x + (size_t)p->offsets[e] * (size_t)from,
            peer->weight[which] + (size_t)e * (size_t)O * (size_t)I, beta, y + (size_t)p->offsets[e] * (size_t)to);
}

void motley__openblas_gradients(const struct motley__openblas *peer, enum motley__bench_weight which, const float *a,
                                const float *b)
{
    const struct motley__problem *p = peer->problem;
    int O, I;
    sizes_of(p, which, &O, &I);
    for (int e = 0; e < p->shape.E; e++) {
        float *dw = peer->weight[which] + (size_t)e * (size_t)O * (size_t)I;
        if (rows_of(p, e) == 0)
            motley__host_zero(peer->team, (size_t)O * (size_t)I, dw);
        else
            motley__blas_product(peer->blas, 1, 0, O, I, rows_of(p, e), a + (size_t)p->offsets[e] * (size_t)O,
                                 b + (size_t)p->offsets[e] * (size_t)I, 0, dw);
    }
}

static const struct motley__method *find(const struct motley__operator *op)
{
    const struct motley__method *const tables[] = {motley__openblas_operators, motley__openblas_layers};
    for (int t = 0; t < 2; t++)
        for (const struct motley__method *m = tables[t]; m->name; m++)
            if (!strcmp(m->name, op->name) && m->backward == op->backward)
                return m;
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
    for (int e = 0; e < shape->E && !status && which < MOTLEY__DW1; e++)
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

static int make_scratch(struct motley__openblas *peer, enum motley__scratch_rows which, struct motley_error *error)
{
    const struct motley__problem *p = peer->problem;
    const size_t width = (size_t)(which >= MOTLEY__PRE ? p->shape.F : p->shape.D);
    return peer->scratch[which] ? 0 : motley__host_floats((size_t)p->P * width, &peer->scratch[which], error);
}

/* A layer of two matrices has no third. */
static unsigned weights_of(const struct motley__openblas *peer)
{
    const unsigned third = MOTLEY__BIT(MOTLEY__W3) | MOTLEY__BIT(MOTLEY__DW3);
    const int lacks =
        peer->method->weights & MOTLEY__BIT(MOTLEY__W2) && peer->problem->shape.activation != MOTLEY_SWIGLU;
    return lacks ? peer->method->weights & ~third : peer->method->weights;
}

/* What this method needs and does not have yet, in bytes. */
static uint64_t bytes_of(const struct motley__openblas *peer)
{
    const struct motley__problem *p = peer->problem;
    const uint64_t D = (uint64_t)p->shape.D, F = (uint64_t)p->shape.F;
    uint64_t floats = 0;
    for (int i = 0; i < MOTLEY__WEIGHTS; i++)
        if (weights_of(peer) & MOTLEY__BIT(i) && !peer->weight[i])
            floats += (uint64_t)p->shape.E * D * F;
    for (int i = 0; i < MOTLEY__TENSORS; i++)
        if (peer->method->tensors & MOTLEY__BIT(i) && !peer->tensor[i])
            floats += (uint64_t)motley__problem_rows(p, (enum motley__tensor)i) *
                      (uint64_t)motley__problem_width(p, (enum motley__tensor)i);
    for (int i = 0; i < MOTLEY__SCRATCHES; i++)
        if (peer->method->scratches & MOTLEY__BIT(i) && !peer->scratch[i])
            floats += (uint64_t)p->P * (i >= MOTLEY__PRE ? F : D);
    return floats * sizeof(float);
}

static int make_all(struct motley__openblas *peer, struct motley_error *error)
{
    const struct motley__method *m = peer->method;
    int status = 0;
    for (int i = 0; i < MOTLEY__WEIGHTS && !status; i++)
        if (weights_of(peer) & MOTLEY__BIT(i))
            status = copy_weight(peer, (enum motley__bench_weight)i, error);
    for (int i = 0; i < MOTLEY__TENSORS && !status; i++)
        if (m->tensors & MOTLEY__BIT(i))
            status = copy_tensor(peer, (enum motley__tensor)i, error);
    for (int i = 0; i < MOTLEY__SCRATCHES && !status; i++)
        if (m->scratches & MOTLEY__BIT(i))
            status = make_scratch(peer, (enum motley__scratch_rows)i, error);
    if (!status && !peer->dweight)
        status = motley__host_floats((size_t)peer->problem->P, &peer->dweight, error);
    return status;
}

static int knows(const void *self, const struct motley__problem *problem, const struct motley__operator *op)
{
    const struct motley__openblas *peer = self;
    (void)problem;
    return peer->blas->handle && find(op);
}

static void drop(float **array, int count)
{
    for (int i = 0; i < count; i++) {
        free(array[i]);
        array[i] = NULL;
    }
}

static void close_problem(void *self)
{
    struct motley__openblas *peer = self;
    drop(peer->tensor, MOTLEY__TENSORS);
    drop(peer->scratch, MOTLEY__SCRATCHES);
    drop(&peer->dweight, 1);
    peer->problem = NULL;
}

static void release(void *self)
{
    struct motley__openblas *peer = self;
    close_problem(peer);
    drop(peer->weight, MOTLEY__WEIGHTS);
    peer->weights = NULL;
}

static int open_problem(void *self, struct motley__problem *problem, const struct motley__operator *op,
                        struct motley_error *error)
{
    struct motley__openblas *peer = self;
    if (peer->weights != problem->weights)
        release(peer);
    if (peer->problem != problem)
        close_problem(peer);
    peer->problem = problem;
    peer->weights = problem->weights;
    peer->method = find(op);
    if (bytes_of(peer) > peer->most_bytes)
        return motley__fail(error, MOTLEY_E_MEMORY, "the peer needs %.1f GiB more of host memory and %.1f are free",
                            0x1p-30 * (double)bytes_of(peer), 0x1p-30 * (double)peer->most_bytes);
    int status = make_all(peer, error);
    if (!status && peer->method->prepare)
        peer->method->prepare(peer);
    return status;
}

static int run(void *self, struct motley_error *error)
{
    struct motley__openblas *peer = self;
    (void)error;
    peer->method->run(peer);
    return 0;
}

static int result(void *self, const struct motley__result *like, int j, const float **expected,
                  struct motley_error *error)
{
    const struct motley__openblas *peer = self;
    (void)like;
    (void)error;
    *expected = peer->method->result(peer, j);
    return 0;
}

struct motley__peer motley__openblas_peer(struct motley__openblas *openblas)
{
    return (struct motley__peer){.name = "openblas", .self = openblas, .knows = knows, .open = open_problem, .run = run,
        .result = result, .close = close_problem, .release = release};
}
