/* A dense matrix as the one-expert ESMM or through CLBlast.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cl/types.h"
#include "device/gemm.h"
#include "device/program.h"
#include "device/queue.h"
#include "product/esmm.h"
#include "product/estmm.h"
#include "product/linear.h"

static enum motley__dense path_of(enum motley__dense path, enum motley_dtype rows, enum motley_dtype weights)
{
    return rows == MOTLEY_F32 && weights == MOTLEY_F32 ? path : MOTLEY__DENSE_ESMM;
}

static int panel_of(const struct motley__device *device, enum motley__dense path, enum motley_dtype rows,
                    enum motley_dtype weights)
{
    const int canonical = path_of(path, rows, weights) == MOTLEY__DENSE_CLBLAST || rows != weights;
    return canonical ? 1 : motley__esmm_panel(device, weights);
}

size_t motley__linear_numbers(const struct motley__device *device, enum motley__dense path, enum motley_dtype rows,
                              enum motley_dtype weights, int O, int I)
{
    return motley__matrix_numbers(O, I, panel_of(device, path, rows, weights));
}

int motley__linear_create(struct motley__device *device, enum motley__dense path, enum motley_dtype rows,
                          enum motley_dtype weights, int O, int I, int trained, struct motley__buffer *storage,
                          struct motley__buffer *gradient, struct motley__linear **linear, struct motley_error *error)
{
    struct motley__linear *l = calloc(1, sizeof(*l));
    if (!l)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a dense matrix");
    l->path = path_of(path, rows, weights);
    l->rows = rows;
    l->weights = weights;
    const int panel = panel_of(device, path, rows, weights);
    int status = motley__matrix_create(device, weights, 1, O, I, panel, storage, &l->w, error);
    if (!status && trained)
        status = motley__matrix_create(device, MOTLEY_F32, 1, O, I, panel, gradient, &l->dw, error);
    if (status) {
        motley__linear_destroy(l);
        return status;
    }
    *linear = l;
    return 0;
}

void motley__linear_destroy(struct motley__linear *linear)
{
    if (!linear)
        return;
    motley__matrix_destroy(linear->dw);
    motley__matrix_destroy(linear->w);
    free(linear);
}

static struct motley__rows all_rows(const struct motley__buffer *x, enum motley_dtype dtype)
{
    return (struct motley__rows){.own = x, .own_rows = INT_MAX, .dtype = dtype};
}

enum { ROWS = 6, OUTPUTS = 4 };         /* of cl/linear.cl */

/* f32 weights of other rows have kernels of their own on CPUs; a GPU's ESMM of mixed types is good enough. */
static int has_kernels(const struct motley__linear *linear)
{
    return linear->rows != linear->weights && !linear->w->device->info.is_gpu;
}

/* Inputs of a vector. */
static int vector_of(int I)
{
    return I % 16 == 0 ? 16 : I % 4 == 0 ? 4 : 1;
}

static int launch(const struct motley__linear *linear, const char *name, struct motley__range range, int T,
                  int accumulate, const struct motley__buffer *dy, const struct motley__buffer *from,
                  struct motley__buffer *to, struct motley_error *error)
{
    const struct motley__matrix *w = linear->w;
    const struct motley__linear_args args = {.T = T, .O = w->O, .I = w->I, .accumulate = accumulate};
    char options[32];
    cl_kernel kernel;
    snprintf(options, sizeof options, "-DV=%d -DSTORAGE=%d", vector_of(w->I), linear->rows);
    int status = motley__kernel(w->device, "linear.cl", options, name, &kernel, error);
    return status ? status
                  : motley__launch(w->device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(dy),
                                   MOTLEY__BUFFER(from), MOTLEY__BUFFER(to));
}

int motley__linear_forward(const struct motley__linear *linear, int T, const struct motley__buffer *x, int accumulate,
                           struct motley__buffer *y, struct motley_error *error)
{
    const struct motley__matrix *w = linear->w;
    if (linear->path == MOTLEY__DENSE_CLBLAST)
        return motley__gemm(w->device,
                            &(struct motley__gemm){.M = T, .N = w->O, .K = w->I, .transpose_b = 1,
                                                   .accumulate = accumulate, .a = x, .b = w->segment[0], .c = y},
                            error);
    return motley__esmm(w->device,
                        &(struct motley__esmm){.w = w, .ragged = {.E = 1, .P = T}, .x = all_rows(x, linear->rows),
                                               .dtype = linear->weights, .activation = MOTLEY__ACT_NONE,
                                               .accumulate = accumulate, .y = y},
                        error);
}

int motley__linear_backward(const struct motley__linear *linear, int T, const struct motley__buffer *dy, int accumulate,
                            struct motley__buffer *dx, struct motley_error *error)
{
    const struct motley__matrix *w = linear->w;
    if (has_kernels(linear))
        return launch(linear, "linear_backward",
                      (struct motley__range){{((size_t)T + ROWS - 1) / ROWS}, {1}}, T, accumulate, dy,
                      w->segment[0], dx, error);
    if (linear->path == MOTLEY__DENSE_CLBLAST)
        return motley__gemm(w->device,
                            &(struct motley__gemm){.M = T, .N = w->I, .K = w->O, .accumulate = accumulate, .a = dy,
                                                   .b = w->segment[0], .c = dx},
                            error);
    return motley__esmm_transposed(w->device,
                                   &(struct motley__esmm){.w = w, .ragged = {.E = 1, .P = T},
                                                          .x = all_rows(dy, linear->weights),
                                                          .dtype = linear->rows, .activation = MOTLEY__ACT_NONE,
                                                          .accumulate = accumulate, .y = dx},
                                   error);
}

int motley__linear_gradient(const struct motley__linear *linear, int T, const struct motley__buffer *dy,
                            const struct motley__buffer *x, int accumulate, struct motley_error *error)
{
    struct motley__matrix *dw = linear->dw;
    assert(dw);
    if (has_kernels(linear)) {
        const size_t pairs = ((size_t)dw->I / (size_t)vector_of(dw->I) + 1) / 2; /* of vectors */
        return launch(linear, "linear_gradient",
                      (struct motley__range){{((size_t)dw->O + OUTPUTS - 1) / OUTPUTS, pairs}, {1, 1}}, T, accumulate,
                      dy, x, dw->segment[0], error);
    }
    /* CLBlast refuses an empty contraction; the ESTMM writes the zeros. */
    if (linear->path == MOTLEY__DENSE_CLBLAST && T == 0)
        return accumulate ? 0 : motley__buffer_zero(dw->segment[0], 0, sizeof(float) * dw->O * dw->I, error);
    if (linear->path == MOTLEY__DENSE_CLBLAST)
        return motley__gemm(dw->device,
                            &(struct motley__gemm){.M = dw->O, .N = dw->I, .K = T, .transpose_a = 1,
                                                   .accumulate = accumulate, .a = dy, .b = x, .c = dw->segment[0]},
                            error);
    return motley__estmm(dw->device,
                         &(struct motley__estmm){.ragged = {.E = 1, .P = T}, .a = all_rows(dy, linear->weights),
                                                 .b = all_rows(x, linear->rows),
                                                 .accumulate = accumulate, .dw = dw},
                         error);
}

/* Forward, backward and gradient once. */
static int time_once(const struct motley__linear *linear, int T, struct motley__buffer *x, struct motley__buffer *y,
                     double *seconds, struct motley_error *error)
{
    double begin = motley__seconds();
    int status = motley__linear_forward(linear, T, x, 0, y, error);
    if (!status)
        status = motley__linear_backward(linear, T, y, 0, x, error);
    if (!status)
        status = motley__linear_gradient(linear, T, y, x, 0, error);
    if (!status)
        status = motley__queue_wait(linear->w->device, error);
    *seconds = motley__seconds() - begin;
    return status;
}

/* Alternately, so that another process's burst touches both; the first round warms up, the best of the rest counts. */
static int time_paths(struct motley__linear *const linear[2], int paths, int T, struct motley__buffer *x,
                      struct motley__buffer *y, double best[2], struct motley_error *error)
{
    int status = 0;
    for (int round = 0; round < 4 && !status; round++)
        for (int path = 0; path < paths && !status; path++) {
            double seconds;
            status = time_once(linear[path], T, x, y, &seconds, error);
            if (round > 0 && (best[path] == 0 || seconds < best[path]))
                best[path] = seconds;
        }
    return status;
}

int motley__linear_choose(struct motley__device *device, int T, int O, int I, enum motley__dense *path,
                          double *esmm_seconds, double *clblast_seconds, struct motley_error *error)
{
    struct motley__linear *linear[2] = {NULL, NULL};
    struct motley__buffer *x = NULL, *y = NULL;
    assert(T > 0);
    int paths = motley__gemm_available() ? 2 : 1;
    double best[2] = {0, 0};
    size_t x_bytes = sizeof(float) * T * I, y_bytes = sizeof(float) * T * O;

    int status = motley__buffer_create(device, x_bytes, &x, error);
    if (!status)
        status = motley__buffer_create(device, y_bytes, &y, error);
    if (!status)
        status = motley__buffer_zero(x, 0, x_bytes, error);
    for (int p = 0; p < paths && !status; p++)
        status = motley__linear_create(device, (enum motley__dense)p, MOTLEY_F32, MOTLEY_F32, O, I, 1, NULL, NULL,
                                       &linear[p], error);
    if (!status)
        status = time_paths(linear, paths, T, x, y, best, error);
    if (!status) {
        *path = paths == 2 && best[1] < best[0] ? MOTLEY__DENSE_CLBLAST : MOTLEY__DENSE_ESMM;
        *esmm_seconds = best[0];
        *clblast_seconds = best[1];
    }
    motley__linear_destroy(linear[1]);
    motley__linear_destroy(linear[0]);
    motley__buffer_destroy(y);
    motley__buffer_destroy(x);
    return status;
}
