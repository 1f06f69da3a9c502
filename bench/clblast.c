/* CLBlast as a peer: its memory, and its products.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "bench/clblast.h"
#include "device/gemm.h"

static int rows_of(const struct motley__problem *p, int e)
{
    return p->offsets[e + 1] - p->offsets[e];
}

/* The buffer that holds an expert, and where in it. */
static struct motley__buffer *locate(const struct motley__matrix *matrix, int e, size_t *first)
{
    *first = (size_t)(e % matrix->per_segment) * (size_t)matrix->O * (size_t)matrix->I;
    return matrix->segment[e / matrix->per_segment];
}

int motley__clblast_products(const struct motley__clblast *peer, int transposed, enum motley__bench_weight which,
                             const struct motley__buffer *x, int accumulate, struct motley__buffer *y,
                             struct motley_error *error)
{
    const struct motley__problem *p = peer->problem;
    const struct motley__matrix *w = peer->matrix[which];
    const int from = transposed ? w->O : w->I, to = transposed ? w->I : w->O;
    int status = 0;
    for (int e = 0; e < p->shape.E && !status; e++) {
        struct motley__gemm gemm = {.M = rows_of(p, e), .N = to, .K = from, .transpose_b = !transposed,
            .accumulate = accumulate, .a = x, .c = y, .a_first = (size_t)p->offsets[e] * (size_t)from,
            .c_first = (size_t)p->offsets[e] * (size_t)to};
        gemm.b = locate(w, e, &gemm.b_first);
        status = motley__gemm(p->device, &gemm, error);
    }
    return status;
}

int motley__clblast_gradients(const struct motley__clblast *peer, enum motley__bench_weight which,
                              const struct motley__buffer *a, const struct motley__buffer *b,
                              struct motley_error *error)
{
    const struct motley__problem *p = peer->problem;
    const struct motley__matrix *dw = peer->matrix[which];
    const size_t each = (size_t)dw->O * (size_t)dw->I;
    int status = 0;
    for (int e = 0; e < p->shape.E && !status; e++) {
        struct motley__gemm gemm = {.M = dw->O, .N = dw->I, .K = rows_of(p, e), .transpose_a = 1, .a = a, .b = b,
            .a_first = (size_t)p->offsets[e] * (size_t)dw->O, .b_first = (size_t)p->offsets[e] * (size_t)dw->I};
        gemm.c = locate(dw, e, &gemm.c_first);
        status = gemm.K ? motley__gemm(p->device, &gemm, error)
                        : motley__buffer_zero(gemm.c, gemm.c_first * sizeof(float), each * sizeof(float), error);
    }
    return status;
}

static const struct motley__clblast_method *find(const struct motley__operator *op)
{
    for (const struct motley__clblast_method *m = motley__clblast_methods; m->name; m++)
        if (!strcmp(m->name, op->name) && m->backward == op->backward)
            return m;
    return NULL;
}

static int knows(const void *self, const struct motley__problem *problem, const struct motley__operator *op)
{
    (void)self;
    return motley__gemm_available() && problem->shape.dtype == MOTLEY_F32 && find(op);
}

static int copy_weight(struct motley__clblast *peer, enum motley__bench_weight which, struct motley_error *error)
{
    const struct motley__bench_shape *s = &peer->problem->shape;
    const int second = which == MOTLEY__W2 || which == MOTLEY__DW2, O = second ? s->D : s->F, I = second ? s->F : s->D;
    const size_t each = (size_t)O * (size_t)I;
    if (peer->matrix[which])
        return 0;
    int status =
        motley__matrix_create(peer->problem->device, MOTLEY_F32, s->E, O, I, 1, NULL, &peer->matrix[which], error);
    if (status || which >= MOTLEY__DW1)
        return status;
    float *host = malloc(each * sizeof *host);
    status = host ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a matrix of %zu numbers", each);
    for (int e = 0; e < s->E && !status; e++) {
        motley__bench_weights_numbers(peer->weights, which, e, 0, each, host);
        status = motley__matrix_set(peer->matrix[which], e, host, error);
    }
    free(host);
    return status;
}

static int make_rows(struct motley__clblast *peer, struct motley_error *error)
{
    const struct motley__problem *p = peer->problem;
    const size_t P = (size_t)p->P, D = (size_t)p->shape.D, F = (size_t)p->shape.F;
    int status = 0;
    for (int i = 0; i < MOTLEY__SCRATCHES && !status; i++)
        if (peer->method->scratches & MOTLEY__BIT(i) && !peer->scratch[i])
            status = motley__buffer_create(p->device, P * (i >= MOTLEY__PRE ? F : D) * sizeof(float), &peer->scratch[i],
                                           error);
    if (!status && !peer->out)
        status = motley__buffer_create(p->device, (size_t)p->T * D * sizeof(float), &peer->out, error);
    if (!status && !peer->dweight)
        status = motley__buffer_create(p->device, P * sizeof(float), &peer->dweight, error);
    return status;
}

static void drop(struct motley__buffer **buffer)
{
    motley__buffer_destroy(*buffer);
    *buffer = NULL;
}

static void close_problem(void *self)
{
    struct motley__clblast *peer = self;
    for (int i = 0; i < MOTLEY__SCRATCHES; i++)
        drop(&peer->scratch[i]);
    drop(&peer->out);
    drop(&peer->dweight);
    free(peer->host);
    peer->host = NULL;
    peer->problem = NULL;
}

static void release(void *self)
{
    struct motley__clblast *peer = self;
    close_problem(peer);
    for (int i = 0; i < MOTLEY__WEIGHTS; i++) {
        motley__matrix_destroy(peer->matrix[i]);
        peer->matrix[i] = NULL;
    }
    peer->weights = NULL;
}

/* A layer of two matrices has no third. */
static int lacks(const struct motley__clblast *peer, int which)
{
    return (which == MOTLEY__W3 || which == MOTLEY__DW3) && peer->method->weights & MOTLEY__BIT(MOTLEY__W2) &&
           peer->problem->shape.activation != MOTLEY_SWIGLU;
}

static int open_problem(void *self, struct motley__problem *problem, const struct motley__operator *op,
                        struct motley_error *error)
{
    struct motley__clblast *peer = self;
    struct motley__buffer *there;
    int status = 0;
    if (peer->weights != problem->weights)
        release(peer);
    if (peer->problem != problem)
        close_problem(peer);
    peer->problem = problem;
    peer->weights = problem->weights;
    peer->method = find(op);
    for (int i = 0; i < MOTLEY__WEIGHTS && !status; i++)
        if (peer->method->weights & MOTLEY__BIT(i) && !lacks(peer, i))
            status = copy_weight(peer, (enum motley__bench_weight)i, error);
    for (int i = 0; i < MOTLEY__TENSORS && !status; i++)
        if (peer->method->tensors & MOTLEY__BIT(i))
            status = motley__problem_there(problem, (enum motley__tensor)i, &there, error);
    return status ? status : make_rows(peer, error);
}

static int prepare(void *self, struct motley_error *error)
{
    struct motley__clblast *peer = self;
    return peer->method->prepare ? peer->method->prepare(peer, error) : 0;
}

static int run(void *self, struct motley_error *error)
{
    struct motley__clblast *peer = self;
    return peer->method->run(peer, error);
}

static int result(void *self, const struct motley__result *like, int j, const float **expected,
                  struct motley_error *error)
{
    struct motley__clblast *peer = self;
    const size_t count = (size_t)like->count * like->width;
    free(peer->host);
    peer->host = malloc(count * sizeof *peer->host);
    int status = peer->host ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu numbers", count);
    if (!status && !like->matrix)
        status = motley__buffer_read(peer->method->rows(peer, j), 0, peer->host, count * sizeof *peer->host, error);
    for (int e = 0; like->matrix && e < like->count && !status; e++)
        status = motley__matrix_get(peer->method->gradient(peer, j), e, peer->host + (size_t)e * like->width, error);
    *expected = peer->host;
    return status;
}

struct motley__peer motley__clblast_peer(struct motley__clblast *clblast, struct motley__device *device)
{
    return (struct motley__peer){.name = "clblast", .self = clblast, .device = device, .knows = knows,
        .open = open_problem, .prepare = prepare, .run = run, .result = result, .close = close_problem,
        .release = release};
}
