/* AdamW over a list of parameters: every rank updates what it holds.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cl/adamw.h"
#include "device/program.h"
#include "device/queue.h"
#include "train/adamw.h"

enum { GROUP = 64 }; /* work-items of a group */

static int has_master(const struct motley__parameter *parameter)
{
    return parameter->w->dtype != MOTLEY_F32;
}

/* An f32 matrix in the layout of w. */
static int create_like(struct motley__device *device, const struct motley__matrix *w, struct motley__matrix **made,
                       struct motley_error *error)
{
    return motley__matrix_create(device, MOTLEY_F32, w->E, w->O, w->I, w->panel, NULL, made, error);
}

/* Experts that lie in one segment of both the f32 matrices and the weight; smaller numbers let a segment hold more. */
struct run {
    int segment, stored_segment;        /* of the f32 matrices; of the weight */
    struct motley__adamw_args args;     /* n, numbers, first and stored_first */
};

/* The run that begins with `expert`; returns the expert behind it. */
static int run_of(const struct motley__matrix *floats, const struct motley__matrix *w, int expert, struct run *run)
{
    const int in_floats = expert % floats->per_segment, in_stored = expert % w->per_segment;
    const size_t numbers = motley__matrix_numbers(w->O, w->I, w->panel);
    const int most[] = {floats->E - expert, floats->per_segment - in_floats, w->per_segment - in_stored};
    size_t experts = INT_MAX / numbers;
    for (int i = 0; i < 3; i++)
        experts = (size_t)most[i] < experts ? (size_t)most[i] : experts;
    assert(experts > 0);
    run->segment = expert / floats->per_segment;
    run->stored_segment = expert / w->per_segment;
    run->args.n = (int)(experts * numbers);
    run->args.numbers = (int)numbers;
    run->args.first = in_floats;
    run->args.stored_first = in_stored;
    return expert + (int)experts;
}

static int get_kernel(struct motley__device *device, const char *name, enum motley_dtype dtype, cl_kernel *kernel,
                      struct motley_error *error)
{
    char options[16];
    snprintf(options, sizeof options, "-DSTORAGE=%d", dtype);
    return motley__kernel(device, "adamw.cl", options, name, kernel, error);
}

static struct motley__range range_of(const struct run *run)
{
    return (struct motley__range){{(size_t)run->args.n}, {GROUP}};
}

/* "adamw_round" or "adamw_widen" between a parameter's master and its weight. */
static int convert(struct motley__adamw *adamw, int i, const char *name, struct motley_error *error)
{
    const struct motley__matrix *w = adamw->parameter[i].w, *master = adamw->master[i];
    struct run run = {0};
    cl_kernel kernel;
    int status = get_kernel(adamw->device, name, w->dtype, &kernel, error);
    for (int expert = 0; expert < w->E && !status;) {
        expert = run_of(master, w, expert, &run);
        status = motley__launch(adamw->device, kernel, range_of(&run), error,
                                MOTLEY__VALUE(run.args), MOTLEY__BUFFER(master->segment[run.segment]),
                                MOTLEY__BUFFER(w->segment[run.stored_segment]));
    }
    return status;
}

static int create_state(struct motley__adamw *adamw, int i, struct motley_error *error)
{
    const struct motley__parameter *parameter = &adamw->parameter[i];
    if (parameter->counted) {
        adamw->master[i] = parameter->w;
        return 0;
    }
    int status = create_like(adamw->device, parameter->w, &adamw->m[i], error);
    if (!status)
        status = create_like(adamw->device, parameter->w, &adamw->v[i], error);
    if (!has_master(parameter))
        adamw->master[i] = parameter->w;
    else if (!status)
        status = create_like(adamw->device, parameter->w, &adamw->master[i], error);
    return status || !has_master(parameter) ? status : convert(adamw, i, "adamw_widen", error);
}

int motley__adamw_renew(struct motley__adamw *adamw, int i, struct motley__matrix *before[3],
                        struct motley_error *error)
{
    before[0] = adamw->m[i];
    before[1] = adamw->v[i];
    before[2] = has_master(&adamw->parameter[i]) ? adamw->master[i] : NULL;
    adamw->m[i] = adamw->v[i] = adamw->master[i] = NULL;
    return create_state(adamw, i, error);
}

int motley__adamw_create(struct motley__device *device, const struct motley__parameter *parameters, int count,
                         struct motley__adamw **adamw, struct motley_error *error)
{
    struct motley__adamw *made = calloc(1, sizeof *made);
    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the optimizer");
    *made = (struct motley__adamw){.device = device, .parameter = parameters, .count = count,
                                   .m = calloc((size_t)count + 1, sizeof(struct motley__matrix *)),
                                   .v = calloc((size_t)count + 1, sizeof(struct motley__matrix *)),
                                   .master = calloc((size_t)count + 1, sizeof(struct motley__matrix *)),
                                   .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .decay = 0.1};
    int status = made->m && made->v && made->master
                     ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the optimizer");
    for (int i = 0; i < count && !status; i++)
        status = create_state(made, i, error);
    if (status) {
        motley__adamw_destroy(made);
        return status;
    }
    *adamw = made;
    return 0;
}

void motley__adamw_destroy(struct motley__adamw *adamw)
{
    if (!adamw)
        return;
    for (int i = 0; i < adamw->count; i++) {
        if (adamw->m)
            motley__matrix_destroy(adamw->m[i]);
        if (adamw->v)
            motley__matrix_destroy(adamw->v[i]);
        if (adamw->master && has_master(&adamw->parameter[i]))
            motley__matrix_destroy(adamw->master[i]);
    }
    free(adamw->m);
    free(adamw->v);
    free(adamw->master);
    free(adamw);
}

int motley__adamw_round(struct motley__adamw *adamw, struct motley_error *error)
{
    int status = 0;
    for (int i = 0; i < adamw->count && !status; i++)
        if (has_master(&adamw->parameter[i]))
            status = convert(adamw, i, "adamw_round", error);
    return status;
}

static int update(struct motley__adamw *adamw, int i, struct motley__adamw_args args, struct motley_error *error)
{
    const struct motley__parameter *parameter = &adamw->parameter[i];
    const struct motley__matrix *w = parameter->w, *m = adamw->m[i];
    struct run run = {.args = args};
    cl_kernel kernel;
    int status = get_kernel(adamw->device, "adamw", w->dtype, &kernel, error);
    for (int expert = 0; expert < w->E && !status;) {
        expert = run_of(m, w, expert, &run);
        const struct motley__buffer *stored = has_master(parameter) ? w->segment[run.stored_segment] : NULL;
        status = motley__launch(adamw->device, kernel, range_of(&run), error,
                                MOTLEY__VALUE(run.args), MOTLEY__BUFFER(adamw->master[i]->segment[run.segment]),
                                MOTLEY__BUFFER(parameter->dw->segment[run.segment]),
                                MOTLEY__BUFFER(m->segment[run.segment]),
                                MOTLEY__BUFFER(adamw->v[i]->segment[run.segment]), MOTLEY__BUFFER(stored));
    }
    return status;
}

int motley__adamw_step(struct motley__adamw *adamw, int64_t step, double learning_rate, double scale,
                       struct motley_error *error)
{
    struct motley__adamw_args args = {
        .scale = (float)scale,
        .beta1 = (float)adamw->beta1,
        .beta2 = (float)adamw->beta2,
        .rate = (float)(learning_rate / (1 - pow(adamw->beta1, (double)step))),
        .correction = (float)(1 / sqrt(1 - pow(adamw->beta2, (double)step))),
        .epsilon = (float)adamw->epsilon,
    };
    int status = 0;
    for (int i = 0; i < adamw->count && !status; i++) {
        if (adamw->parameter[i].counted)
            continue;
        args.keep = adamw->parameter[i].decay ? (float)(1 - learning_rate * adamw->decay) : 1;
        status = update(adamw, i, args, error);
    }
    return status;
}

uint64_t motley__adamw_bytes(const struct motley__parameter *parameters, int count)
{
    uint64_t floats = 0;
    for (int i = 0; i < count; i++) {
        const struct motley__matrix *w = parameters[i].w;
        const uint64_t copies = parameters[i].counted ? 0 : has_master(&parameters[i]) ? 3 : 2;
        floats += copies * (uint64_t)w->E * motley__matrix_numbers(w->O, w->I, w->panel);
    }
    return sizeof(float) * floats;
}
