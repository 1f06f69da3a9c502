/* The cosine gate; the contract is cosine.h, the kernels cl/cosine.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cl/types.h"
#include "device/program.h"
#include "device/queue.h"
#include "layer/cosine.h"
#include "product/estmm.h"
#include "layer/gate.h"

/* A vector of n numbers, and where trained its gradient. */
static int create_vector(struct motley__device *device, int n, int trained, const struct motley__weight_place *place,
                         struct motley__matrix **w, struct motley__matrix **dw, struct motley_error *error)
{
    int status = motley__matrix_create(device, MOTLEY_F32, 1, 1, n, 1, place->storage, w, error);
    if (!status && trained)
        status = motley__matrix_create(device, MOTLEY_F32, 1, 1, n, 1, place->gradient, dw, error);
    return status;
}

int motley__cosine_create(struct motley__device *device, enum motley__dense path, enum motley_dtype dtype, int D,
                          int trained, struct motley__linear *matrix, const struct motley__weight_place *place,
                          struct motley__cosine **cosine, struct motley_error *error)
{
    static const struct motley__weight_place nowhere[3];
    const struct motley__weight_place *at = place ? place : nowhere;
    const int E = matrix->w->O, P = matrix->w->I;
    struct motley__cosine *c = calloc(1, sizeof *c);
    if (!c)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a cosine gate");
    c->matrix = matrix;
    int status = motley__linear_create(device, path, MOTLEY_F32, MOTLEY_F32, E, P, 0, NULL, NULL, &c->scaled, error);
    if (!status)
        status = motley__linear_create(device, path, dtype, MOTLEY_F32, P, D, trained, at[0].storage, at[0].gradient,
                                       &c->projection, error);
    if (!status)
        status = create_vector(device, P, trained, &at[1], &c->bias, &c->dbias, error);
    if (!status)
        status = create_vector(device, 1, trained, &at[2], &c->temperature, &c->dtemperature, error);
    if (!status && trained)
        status = motley__buffer_create(device, (size_t)E * sizeof(float), &c->slope, error);
    if (status) {
        motley__cosine_destroy(c);
        return status;
    }
    *cosine = c;
    return 0;
}

void motley__cosine_destroy(struct motley__cosine *cosine)
{
    if (!cosine)
        return;
    motley__buffer_destroy(cosine->slope);
    motley__matrix_destroy(cosine->dtemperature);
    motley__matrix_destroy(cosine->temperature);
    motley__matrix_destroy(cosine->dbias);
    motley__matrix_destroy(cosine->bias);
    motley__linear_destroy(cosine->projection);
    motley__linear_destroy(cosine->scaled);
    free(cosine);
}

/* A kernel of cl/cosine.cl, and so many groups for it. */
struct call {
    struct motley__device *device;
    struct motley__cosine_args args;
    cl_kernel kernel;
    struct motley__range range;
    size_t part;                            /* bytes of its scratch */
};

static int prepare(const struct motley__cosine *cosine, const struct motley__cosine_step *step, const char *name,
                   int groups, struct call *call, struct motley_error *error)
{
    const struct motley__matrix *m = cosine->matrix->w;
    struct motley__device *device = m->device;
    const int single = motley__gate_is_single(device, step->single);
    const size_t items = device->info.is_gpu ? 64 : 1;
    char options[64];
    *call = (struct call){.device = device,
        .args = {.T = step->T, .E = m->O, .P = m->I, .stride = motley__gate_stride(m->I)},
        .range = {{(size_t)groups * items}, {items}},
        .part = items * (single ? sizeof(cl_float) : sizeof(cl_double))};
    snprintf(options, sizeof options, "-DMOTLEY__DOUBLE=%d -DW=%zu -DPANEL=%d", !single, items, m->panel);
    return motley__kernel(device, "cosine.cl", options, name, &call->kernel, error);
}
#define LAUNCH(call, error, ...) \
    motley__launch((call).device, (call).kernel, (call).range, error, MOTLEY__VALUE((call).args), __VA_ARGS__)

int motley__cosine_forward(const struct motley__cosine *cosine, const struct motley__cosine_step *step,
                           struct motley_error *error)
{
    const struct motley__matrix *m = cosine->matrix->w, *projection = cosine->projection->w;
    struct call rows, matrix;
    int status = prepare(cosine, step, "cosine_rows", step->T, &rows, error);
    if (!status)
        status = prepare(cosine, step, "cosine_matrix", m->O, &matrix, error);
    if (!status)
        status = motley__gate_logits(m->device, &(struct motley__gate_logits){.dtype = cosine->projection->rows,
            .T = step->T, .D = projection->I, .E = projection->O, .single = step->single, .x = step->x,
            .w = projection, .logits = step->scratch}, error);
    if (!status)
        status = LAUNCH(rows, error, MOTLEY__BUFFER(step->scratch), MOTLEY__BUFFER(cosine->bias->segment[0]),
                        MOTLEY__BUFFER(step->unit), MOTLEY__BUFFER(step->length), MOTLEY__LOCAL(rows.part));
    if (!status)
        status = LAUNCH(matrix, error, MOTLEY__BUFFER(m->segment[0]),
                        MOTLEY__BUFFER(cosine->temperature->segment[0]),
                        MOTLEY__BUFFER(cosine->scaled->w->segment[0]), MOTLEY__LOCAL(matrix.part));
    return status;
}

/* M's gradient and the temperature's, from that of S. */
static int backward_matrix(const struct motley__cosine *cosine, const struct motley__cosine_step *step,
                           struct motley_error *error)
{
    const struct motley__matrix *m = cosine->matrix->w;
    const struct motley__buffer *temperature = cosine->temperature->segment[0];
    struct call matrix, sum;
    int status = prepare(cosine, step, "cosine_matrix_backward", m->O, &matrix, error);
    if (!status)
        status = prepare(cosine, step, "cosine_temperature", 1, &sum, error);
    sum.range = (struct motley__range){{1}, {1}};
    if (!status)
        status = LAUNCH(matrix, error, MOTLEY__BUFFER(m->segment[0]), MOTLEY__BUFFER(temperature),
                        MOTLEY__BUFFER(cosine->matrix->dw->segment[0]), MOTLEY__BUFFER(cosine->slope),
                        MOTLEY__LOCAL(matrix.part));
    if (!status)
        status = LAUNCH(sum, error, MOTLEY__BUFFER(temperature), MOTLEY__BUFFER(cosine->slope),
                        MOTLEY__BUFFER(cosine->dtemperature->segment[0]));
    return status;
}

int motley__cosine_backward(const struct motley__cosine *cosine, const struct motley__cosine_step *step,
                            struct motley_error *error)
{
    struct motley__device *device = cosine->matrix->w->device;
    const int T = step->T, P = cosine->matrix->w->I;
    struct call rows;
    int status = prepare(cosine, step, "cosine_rows_backward", T, &rows, error);
    if (!status)
        status = motley__linear_gradient(cosine->matrix, T, step->dlogits, step->unit, 0, error);
    if (!status)
        status = backward_matrix(cosine, step, error);
    if (!status)
        status = motley__linear_backward(cosine->scaled, T, step->dlogits, 0, step->dunit, error);
    if (!status)
        status = LAUNCH(rows, error, MOTLEY__BUFFER(step->unit), MOTLEY__BUFFER(step->length),
                        MOTLEY__BUFFER(step->dunit), MOTLEY__LOCAL(rows.part));
    if (!status)
        status = motley__linear_gradient(cosine->projection, T, step->dunit, step->x, 0, error);
    if (!status)
        status = motley__ess(device, &(struct motley__ess){.ragged = {.E = 1, .P = T},
            .a = {.own = step->dunit, .own_rows = INT_MAX, .dtype = MOTLEY_F32}, .O = P,
            .db = cosine->dbias->segment[0]}, error);
    if (!status)
        status = motley__linear_backward(cosine->projection, T, step->dunit, 1, step->dx, error);
    return status;
}
