/* The operator under the clock.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "device/queue.h"
#include "measure/trial.h"
#include "product/esmm.h"
#include "product/estmm.h"

enum { SEED = 20 };

struct motley__trial {
    struct motley__device *device;              /* borrowed */
    int items;                                  /* experts; 1 for a dense product */
    /* experts */
    struct motley__experts *experts;            /* owned; NULL for a dense product */
    struct motley__expert_step step;
    struct motley__buffer *offsets, *weight, *dw, *pre, *pre3, *h, *u;  /* owned */
    int trained;
    /* dense */
    struct motley__linear *linear;              /* owned; NULL for experts */
    int T;
    struct motley__buffer *dx;                  /* owned; not x, whose numbers would fade from pass to pass */
    /* all; owned */
    struct motley__buffer *x, *y;               /* inputs (experts: also dy), outputs */
    size_t bytes;                               /* of a copy from x to y; else 0 */
};

/* `count` numbers around 0 of this size. */
static int fill(struct motley__buffer *buffer, enum motley_dtype dtype, size_t count, double size,
                struct motley_error *error)
{
    const size_t bytes = count * motley__storage_bytes(dtype);
    float *host = malloc(count * sizeof *host);
    if (!host)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu random numbers", count);
    for (size_t i = 0; i < count; i++)
        host[i] = (float)(size * (2 * motley__random_uniform(SEED, 0, i) - 1));
    void *stored = dtype == MOTLEY_F32 ? host : malloc(bytes);
    if (stored)
        motley__store(dtype, host, count, stored);
    int status = stored ? motley__buffer_write(buffer, 0, stored, bytes, error)
                        : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu random numbers", count);
    if (stored != host)
        free(stored);
    free(host);
    return status;
}

/* All experts get the same matrix: drawing numbers takes longer than copying them, and speed does not tell. */
static int fill_matrix(struct motley__matrix *w, struct motley_error *error)
{
    if (!w)
        return 0;
    size_t count = (size_t)w->O * (size_t)w->I;
    double size = 1 / sqrt(w->I);
    float *host = malloc(count * sizeof *host);
    if (!host)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a matrix of %zu numbers", count);
    for (size_t i = 0; i < count; i++)
        host[i] = (float)(size * (2 * motley__random_uniform(SEED, 1, i) - 1));
    int status = 0;
    for (int e = 0; e < w->E && !status; e++)
        status = motley__matrix_set(w, e, host, error);
    free(host);
    return status;
}

int motley__trial_experts(struct motley__device *device, const struct motley_layer_shape *shape, int E, int trained,
                          struct motley__trial **trial, struct motley_error *error)
{
    assert(E >= 1 && E <= MOTLEY__TRIAL_EXPERTS);
    struct motley__trial *made = calloc(1, sizeof *made);
    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to measure experts");
    made->device = device;
    made->items = E;
    made->trained = trained;
    int status = motley__experts_create(device, shape, E, 0, trained, &made->experts, error);
    struct motley__matrix *const weights[] = {
        made->experts ? made->experts->w1 : NULL, made->experts ? made->experts->w2 : NULL,
        made->experts ? made->experts->w3 : NULL, made->experts ? made->experts->b1 : NULL,
        made->experts ? made->experts->b2 : NULL,
    };
    for (size_t i = 0; i < sizeof weights / sizeof *weights && !status; i++)
        status = fill_matrix(weights[i], error);
    if (!status)
        status = motley__buffer_create(device, sizeof(int32_t) * ((size_t)E + 1), &made->offsets, error);
    if (status) {
        motley__trial_destroy(made);
        return status;
    }
    *trial = made;
    return 0;
}

int motley__trial_dense(struct motley__device *device, enum motley__dense path, int T, int O, int I,
                        struct motley__trial **trial, struct motley_error *error)
{
    struct motley__trial *made = calloc(1, sizeof *made);
    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to measure a dense product");
    made->device = device;
    made->items = 1;
    made->T = T;
    int status = motley__linear_create(device, path, MOTLEY_F32, MOTLEY_F32, O, I, 1, NULL, NULL, &made->linear, error);
    if (!status)
        status = fill_matrix(made->linear->w, error);
    if (!status)
        status = motley__buffer_create(device, sizeof(float) * (size_t)T * (size_t)I, &made->x, error);
    if (!status)
        status = motley__buffer_create(device, sizeof(float) * (size_t)T * (size_t)I, &made->dx, error);
    if (!status)
        status = motley__buffer_create(device, sizeof(float) * (size_t)T * (size_t)O, &made->y, error);
    if (!status)
        status = fill(made->x, MOTLEY_F32, (size_t)T * (size_t)I, 1, error);
    if (status) {
        motley__trial_destroy(made);
        return status;
    }
    *trial = made;
    return 0;
}

static void drop(struct motley__buffer **buffer)
{
    motley__buffer_destroy(*buffer);
    *buffer = NULL;
}

static void drop_rows(struct motley__trial *trial)
{
    drop(&trial->weight);
    drop(&trial->dw);
    drop(&trial->pre);
    drop(&trial->pre3);
    drop(&trial->h);
    drop(&trial->u);
    drop(&trial->x);
    drop(&trial->dx);
    drop(&trial->y);
}

int motley__trial_copy(struct motley__device *device, size_t bytes, struct motley__trial **trial,
                       struct motley_error *error)
{
    struct motley__trial *t = calloc(1, sizeof *t);
    if (!t)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a copy on trial");
    *t = (struct motley__trial){.device = device, .items = 1, .bytes = bytes};
    int status = motley__buffer_create(device, bytes, &t->x, error);
    if (!status)
        status = motley__buffer_create(device, bytes, &t->y, error);
    if (!status)
        status = motley__buffer_zero(t->x, 0, bytes, error);
    if (status)
        motley__trial_destroy(t);
    else
        *trial = t;
    return status;
}

void motley__trial_destroy(struct motley__trial *trial)
{
    if (!trial)
        return;
    drop_rows(trial);
    drop(&trial->offsets);
    motley__experts_destroy(trial->experts);
    motley__linear_destroy(trial->linear);
    free(trial);
}

/* What a step with P pairs holds. */
static int make_rows(struct motley__trial *trial, size_t P, struct motley_error *error)
{
    const struct motley_layer_shape *shape = &trial->experts->shape;
    const size_t each = motley__storage_bytes(shape->dtype) * P;
    const size_t wide = each * (size_t)shape->D, hidden = each * (size_t)shape->F;
    const int swiglu = shape->activation == MOTLEY_SWIGLU;
    struct {
        struct motley__buffer **buffer;
        size_t bytes;
    } const made[] = {
        {&trial->x, wide}, {&trial->y, wide}, {&trial->h, hidden}, {&trial->pre, trial->trained ? hidden : 0},
        {&trial->pre3, trial->trained && swiglu ? hidden : 0}, {&trial->u, trial->trained ? hidden : 0},
        {&trial->weight, trial->trained ? sizeof(float) * P : 0}, {&trial->dw, trial->trained ? sizeof(float) * P : 0},
    };
    int status = 0;
    for (size_t i = 0; i < sizeof made / sizeof *made && !status; i++)
        if (made[i].bytes)
            status = motley__buffer_create(trial->device, made[i].bytes, made[i].buffer, error);
    if (!status)
        status = fill(trial->x, shape->dtype, P * (size_t)shape->D, 1, error);
    if (!status && trial->trained)
        status = fill(trial->weight, MOTLEY_F32, P, 1, error);
    return status;
}

uint64_t motley__trial_bytes(const struct motley_layer_shape *shape, int E, int rows, int panel, int trained)
{
    const uint64_t hidden = !trained ? 1 : shape->activation == MOTLEY_SWIGLU ? 4 : 3;
    const uint64_t stored = 2 * (uint64_t)shape->D + hidden * (uint64_t)shape->F, words = trained ? 2 : 0;
    return motley__experts_bytes(shape, E, 0, panel, trained, 0) +
           (motley__storage_bytes(shape->dtype) * stored + sizeof(float) * words) * (uint64_t)E * (uint64_t)rows +
           sizeof(int32_t) * ((uint64_t)E + 1);
}

/* Expert e has rows offsets[e] .. offsets[e+1]-1. */
static int set_rows(struct motley__trial *trial, const int32_t *offsets, struct motley_error *error)
{
    const int E = trial->items, P = offsets[E];
    double seconds;
    drop_rows(trial);
    int status = make_rows(trial, (size_t)P, error);
    if (!status)
        status = motley__buffer_write(trial->offsets, 0, offsets, sizeof *offsets * ((size_t)E + 1), error);
    if (status)
        return status;
    const struct motley__rows source = {.own = trial->x, .own_rows = P, .dtype = trial->experts->shape.dtype};
    trial->step = (struct motley__expert_step){
        .ragged = {.E = E, .P = P, .offsets = trial->offsets}, .x = source, .pre = trial->pre, .pre3 = trial->pre3,
        .h = trial->h, .o = trial->y, .dy = source, .weight = trial->weight, .u = trial->u, .dw = trial->dw,
    };
    return motley__trial_pass(trial, 0, 1, &seconds, error);
}

int motley__trial_rows(struct motley__trial *trial, int rows, struct motley_error *error)
{
    int32_t offsets[MOTLEY__TRIAL_EXPERTS + 1];
    for (int e = 0; e <= trial->items; e++)
        offsets[e] = e * rows;
    return set_rows(trial, offsets, error);
}

int motley__trial_skewed_rows(struct motley__trial *trial, int rows, struct motley_error *error)
{
    const int32_t offsets[MOTLEY__SKEWED_EXPERTS + 1] = {0, rows / 2, rows, 2 * rows, 4 * rows};
    if (trial->items != MOTLEY__SKEWED_EXPERTS || rows == 1)
        return motley__trial_rows(trial, rows, error);
    return set_rows(trial, offsets, error);
}

static int enqueue_dense(struct motley__trial *trial, struct motley_error *error)
{
    int status = motley__linear_forward(trial->linear, trial->T, trial->x, 0, trial->y, error);
    if (!status)
        status = motley__linear_gradient(trial->linear, trial->T, trial->y, trial->x, 0, error);
    if (!status)
        status = motley__linear_backward(trial->linear, trial->T, trial->y, 0, trial->dx, error);
    return status;
}

static int enqueue_backward(struct motley__trial *trial, struct motley_error *error)
{
    int status = motley__experts_backward(trial->experts, &trial->step, error);
    return status ? status : motley__experts_gradients(trial->experts, &trial->step, error);
}

int motley__trial_pass(struct motley__trial *trial, int backward, int repeats, double *seconds,
                       struct motley_error *error)
{
    double begin = motley__seconds();
    int status = 0;
    for (int i = 0; i < repeats && !status; i++) {
        if (trial->bytes)
            status = motley__buffer_copy(trial->x, 0, trial->y, 0, trial->bytes, error);
        else if (trial->linear)
            status = enqueue_dense(trial, error);
        else if (backward)
            status = enqueue_backward(trial, error);
        else
            status = motley__experts_forward(trial->experts, &trial->step, error);
    }
    if (!status)
        status = motley__queue_wait(trial->device, error);
    *seconds = (motley__seconds() - begin) / repeats / trial->items;
    return status;
}

/* The layer's launches of one product; each reads what no launch of the same product writes. */
static int enqueue_product(struct motley__trial *trial, enum motley__product product, struct motley_error *error)
{
    const struct motley__experts *x = trial->experts;
    const struct motley__ragged ragged = trial->step.ragged;
    const enum motley_dtype dtype = x->shape.dtype;
    const struct motley__rows wide = trial->step.x, hidden = {.own = trial->h, .own_rows = ragged.P, .dtype = dtype};
    const struct motley__rows slope = {.own = trial->u, .own_rows = ragged.P, .dtype = dtype};
    int status;
    switch (product) {
    case MOTLEY__PRODUCT_SWIGLU:
        return motley__esmm(trial->device, &(struct motley__esmm){.w = x->w1, .w3 = x->w3, .ragged = ragged, .x = wide,
            .dtype = dtype, .activation = MOTLEY__ACT_SWIGLU, .pre = trial->pre, .pre3 = trial->pre3,
            .y = trial->h}, error);
    case MOTLEY__PRODUCT_TRANSPOSED:
        status = motley__esmm_transposed(trial->device, &(struct motley__esmm){.w = x->w2, .ragged = ragged, .x = wide,
            .dtype = dtype, .activation = MOTLEY__ACT_NONE, .y = trial->u}, error);
        return status ? status : motley__esmm_transposed(trial->device, &(struct motley__esmm){.w = x->w1, .w3 = x->w3,
            .ragged = ragged, .x = hidden, .x3 = x->w3 ? trial->pre3 : NULL, .dtype = dtype,
            .activation = MOTLEY__ACT_NONE, .y = trial->y}, error);
    case MOTLEY__PRODUCT_ESTMM:
        status = motley__estmm(trial->device, &(struct motley__estmm){ragged, wide, hidden, 0, x->dw2}, error);
        if (!status)
            status = motley__estmm(trial->device, &(struct motley__estmm){ragged, slope, wide, 0, x->dw1}, error);
        return status;
    default:
        return motley__esmm(trial->device, &(struct motley__esmm){.w = x->w2, .ragged = ragged, .x = hidden,
            .dtype = dtype, .activation = MOTLEY__ACT_NONE, .y = trial->y}, error);
    }
}

int motley__trial_product(struct motley__trial *trial, enum motley__product product, int repeats, double *seconds,
                          struct motley_error *error)
{
    double begin = motley__seconds();
    int status = 0;
    for (int i = 0; i < repeats && !status; i++)
        status = enqueue_product(trial, product, error);
    if (!status)
        status = motley__queue_wait(trial->device, error);
    *seconds = (motley__seconds() - begin) / repeats;
    return status;
}

/* For all buffers that a product writes. */
static int each_result(struct motley__trial *trial, enum motley__product product,
                       int (*act)(struct motley__buffer *buffer, uint64_t *hash, struct motley_error *error),
                       uint64_t *hash, struct motley_error *error)
{
    const int slope = product == MOTLEY__PRODUCT_ESTMM;
    const struct motley__matrix *const matrix[] = {trial->experts->dw1, trial->experts->dw2};
    int status = 0;
    if (!slope)
        status = act(product == MOTLEY__PRODUCT_SWIGLU ? trial->h : trial->y, hash, error);
    if (!status && product == MOTLEY__PRODUCT_TRANSPOSED)
        status = act(trial->u, hash, error);
    for (int m = 0; m < 2 && slope; m++)
        for (int s = 0; s < matrix[m]->segments && !status; s++)
            status = act(matrix[m]->segment[s], hash, error);
    return status;
}

static int clear_buffer(struct motley__buffer *buffer, uint64_t *hash, struct motley_error *error)
{
    (void)hash;
    return motley__buffer_zero(buffer, 0, buffer->bytes, error);
}

static int hash_buffer(struct motley__buffer *buffer, uint64_t *hash, struct motley_error *error)
{
    void *bytes = malloc(buffer->bytes);
    int status = bytes ? motley__buffer_read(buffer, 0, bytes, buffer->bytes, error)
                       : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to compare results");
    if (!status)
        *hash = motley__hash_bytes(*hash, bytes, buffer->bytes);
    free(bytes);
    return status;
}

int motley__trial_result(struct motley__trial *trial, enum motley__product product, uint64_t *hash,
                         struct motley_error *error)
{
    *hash = MOTLEY__HASH_START;
    int status = each_result(trial, product, clear_buffer, hash, error);
    if (!status)
        status = enqueue_product(trial, product, error);
    return status ? status : each_result(trial, product, hash_buffer, hash, error);
}
