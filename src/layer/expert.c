/* The experts of one rank, forward, backward and gradients: products and one element-wise pass.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "cl/types.h"
#include "layer/expert.h"
#include "product/activation.h"
#include "product/esmm.h"
#include "product/estmm.h"

static int act_code(enum motley_activation activation)
{
    switch (activation) {
    case MOTLEY_RELU: return MOTLEY__ACT_RELU;
    case MOTLEY_GELU: return MOTLEY__ACT_GELU;
    case MOTLEY_SILU: return MOTLEY__ACT_SILU;
    case MOTLEY_SWIGLU: return MOTLEY__ACT_SWIGLU;
    }
    return MOTLEY__ACT_NONE;
}

/* w1 and its kin, and where trained the gradient beside it. */
static int create_pair(struct motley__device *device, enum motley_dtype dtype, int E, int O, int I, int panel,
                       int trained, struct motley__matrix **w, struct motley__matrix **dw, struct motley_error *error)
{
    int status = motley__matrix_create(device, dtype, E, O, I, panel, NULL, w, error);

    if (!status && trained)
        status = motley__matrix_create(device, MOTLEY_F32, E, O, I, panel, NULL, dw, error);
    return status;
}

int motley__experts_create(struct motley__device *device, const struct motley_layer_shape *shape, int E, int begin,
                           int trained, struct motley__experts **experts, struct motley_error *error)
{
    const int D = shape->D, F = shape->F, panel = motley__esmm_panel(device, shape->dtype);
    struct motley__experts *x = calloc(1, sizeof *x);
    int status = 0;

    if (!x)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the experts");
    x->device = device;
    x->shape = *shape;
    x->E = E;
    if (!status)
        status = create_pair(device, shape->dtype, E, F, D, panel, trained, &x->w1, &x->dw1, error);
    if (!status)
        status = create_pair(device, shape->dtype, E, D, F, panel, trained, &x->w2, &x->dw2, error);
    if (!status && shape->activation == MOTLEY_SWIGLU)
        status = create_pair(device, shape->dtype, E, F, D, panel, trained, &x->w3, &x->dw3, error);
    if (!status && shape->bias)
        status = create_pair(device, MOTLEY_F32, E, 1, F, 1, trained, &x->b1, &x->db1, error);
    if (!status && shape->bias && begin == 0)
        status = create_pair(device, MOTLEY_F32, E, 1, D, 1, trained, &x->b2, &x->db2, error);
    if (status) {
        motley__experts_destroy(x);
        return status;
    }
    *experts = x;
    return 0;
}

int motley__experts_view(const struct motley__experts *experts, int E, struct motley__experts **view,
                         struct motley_error *error)
{
    struct motley__experts *v = calloc(1, sizeof *v);
    const struct motley__experts *x = experts;
    int status = v ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the experts");

    if (status)
        return status;
    v->device = x->device;
    v->shape = x->shape;
    v->E = E;
    const struct motley__matrix *const whole[] = {x->w1, x->w2, x->w3, x->b1, x->b2,
                                                  x->dw1, x->dw2, x->dw3, x->db1, x->db2};
    struct motley__matrix **const part[] = {&v->w1, &v->w2, &v->w3, &v->b1, &v->b2,
                                            &v->dw1, &v->dw2, &v->dw3, &v->db1, &v->db2};
    for (size_t i = 0; i < sizeof whole / sizeof *whole && !status; i++)
        if (whole[i])
            status = motley__matrix_view(whole[i], E, part[i], error);
    if (status) {
        motley__experts_destroy(v);
        return status;
    }
    *view = v;
    return 0;
}

void motley__experts_destroy(struct motley__experts *experts)
{
    if (!experts)
        return;
    motley__matrix_destroy(experts->w1);
    motley__matrix_destroy(experts->w2);
    motley__matrix_destroy(experts->w3);
    motley__matrix_destroy(experts->b1);
    motley__matrix_destroy(experts->b2);
    motley__matrix_destroy(experts->dw1);
    motley__matrix_destroy(experts->dw2);
    motley__matrix_destroy(experts->dw3);
    motley__matrix_destroy(experts->db1);
    motley__matrix_destroy(experts->db2);
    free(experts);
}

/* Biases are small: one segment holds them all. */
static struct motley__buffer *bias_of(const struct motley__matrix *b)
{
    return b && b->segments ? b->segment[0] : NULL;
}

/* Rows that lie where their pairs do. */
static struct motley__rows by_pair(const struct motley__experts *experts, const struct motley__buffer *rows, int P)
{
    return (struct motley__rows){.own = rows, .own_rows = P, .dtype = experts->shape.dtype};
}

int motley__experts_forward(const struct motley__experts *experts, const struct motley__expert_step *step,
                            struct motley_error *error)
{
    struct motley__device *device = experts->device;
    const enum motley_dtype dtype = experts->shape.dtype;
    const int P = step->ragged.P;
    int status;

    if (!P)
        return 0;
    status = motley__esmm(device, &(struct motley__esmm){.dtype = dtype, .w = experts->w1, .w3 = experts->w3,
        .bias = bias_of(experts->b1), .ragged = step->ragged, .x = step->x,
        .activation = act_code(experts->shape.activation), .pre = step->pre, .pre3 = step->pre3, .y = step->h}, error);
    if (!status)
        status = motley__esmm(device, &(struct motley__esmm){.dtype = dtype, .w = experts->w2,
            .bias = bias_of(experts->b2), .ragged = step->ragged, .x = by_pair(experts, step->h, P),
            .activation = MOTLEY__ACT_NONE, .y = step->o}, error);
    return status;
}

/* u = dy W2, then in place dh1 (and dh3 over pre3), w h over h, and the routing weights' gradient. */
static int backward_hidden(const struct motley__experts *experts, const struct motley__expert_step *step,
                           struct motley_error *error)
{
    struct motley__device *device = experts->device;
    const enum motley_dtype dtype = experts->shape.dtype;
    const int P = step->ragged.P;
    int status;

    status = motley__esmm_transposed(device, &(struct motley__esmm){.dtype = dtype, .w = experts->w2,
        .ragged = step->ragged, .x = step->dy, .activation = MOTLEY__ACT_NONE, .y = step->u}, error);
    if (!status)
        status = motley__activation_backward(device, &(struct motley__activation_backward){.P = P,
            .F = experts->shape.F, .activation = act_code(experts->shape.activation), .first = step->ragged.first,
            .dtype = dtype, .weight = step->weight, .pre = step->pre, .pre3 = step->pre3, .u = step->u, .h = step->h,
            .dw = step->dw}, error);
    if (!status && experts->b2)
        status = motley__dot_bias(device, &(struct motley__dot_bias){step->ragged, step->dy, experts->shape.D,
            bias_of(experts->b2), step->dw}, error);
    return status;
}

/* Every expert's gradient is written, also of experts without rows. */
int motley__experts_gradients(const struct motley__experts *experts, const struct motley__expert_step *step,
                              struct motley_error *error)
{
    struct motley__device *device = experts->device;
    const struct motley__ragged ragged = step->ragged;
    const struct motley__rows h = by_pair(experts, step->h, ragged.P), dh1 = by_pair(experts, step->u, ragged.P);
    const struct motley__rows dh3 = by_pair(experts, step->pre3, ragged.P);
    const int accumulate = step->accumulate;
    int status;

    if (!experts->E || (!ragged.P && accumulate))
        return 0;
    status = motley__estmm(device, &(struct motley__estmm){ragged, step->dy, h, accumulate, experts->dw2}, error);
    if (!status)
        status = motley__estmm(device, &(struct motley__estmm){ragged, dh1, step->x, accumulate, experts->dw1}, error);
    if (!status && experts->w3)
        status = motley__estmm(device, &(struct motley__estmm){ragged, dh3, step->x, accumulate, experts->dw3}, error);
    if (!status && experts->b2)
        status = motley__ess(device, &(struct motley__ess){ragged, step->dy, step->weight, experts->shape.D, accumulate,
            bias_of(experts->db2)}, error);
    if (!status && experts->b1)
        status = motley__ess(device, &(struct motley__ess){ragged, dh1, NULL, experts->shape.F, accumulate,
            bias_of(experts->db1)}, error);
    return status;
}

int motley__experts_backward(const struct motley__experts *experts, const struct motley__expert_step *step,
                             struct motley_error *error)
{
    struct motley__device *device = experts->device;
    const enum motley_dtype dtype = experts->shape.dtype;
    const int P = step->ragged.P;
    int status;

    if (!P)
        return 0;
    status = backward_hidden(experts, step, error);
    if (!status)
        status = motley__esmm_transposed(device, &(struct motley__esmm){.w = experts->w1, .w3 = experts->w3,
            .dtype = dtype, .ragged = step->ragged, .x = by_pair(experts, step->u, P),
            .x3 = experts->w3 ? step->pre3 : NULL, .activation = MOTLEY__ACT_NONE, .y = step->o}, error);
    return status;
}

uint64_t motley__experts_bytes(const struct motley_layer_shape *shape, int E, int begin, int panel, int copies,
                               int masters)
{
    const int D = shape->D, F = shape->F;
    uint64_t matrices = motley__matrix_numbers(F, D, panel) + motley__matrix_numbers(D, F, panel);
    const uint64_t biases = shape->bias ? (uint64_t)F + (begin == 0 ? (uint64_t)D : 0) : 0;

    if (shape->activation == MOTLEY_SWIGLU)
        matrices += motley__matrix_numbers(F, D, panel);
    return (uint64_t)E * (matrices * motley__storage_bytes(shape->dtype) + biases * sizeof(float) +
                          (matrices + biases) * sizeof(float) * (uint64_t)copies +
                          matrices * sizeof(float) * (uint64_t)masters);
}

double motley__experts_flops(const struct motley_layer_shape *shape, double P, int backward)
{
    const double matrices = shape->activation == MOTLEY_SWIGLU ? 3 : 2;

    return 2.0 * matrices * shape->D * shape->F * P * (backward ? 2 : 1);
}
