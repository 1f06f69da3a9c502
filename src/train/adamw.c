/* AdamW over a list of parameters: every rank updates what it holds.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "cl/adamw.h"
#include "device/program.h"
#include "device/queue.h"
#include "train/adamw.h"
#include "train/segment.h"

enum { GROUP = 64 }; /* work-items of a group */

int motley__adamw_create(struct motley__device *device, const struct motley__parameter *parameters, int count,
                         struct motley__adamw **adamw, struct motley_error *error)
{
    struct motley__adamw *made = calloc(1, sizeof *made);
    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the optimizer");
    *made = (struct motley__adamw){.device = device, .parameter = parameters, .count = count,
                                   .m = calloc((size_t)count + 1, sizeof(struct motley__matrix *)),
                                   .v = calloc((size_t)count + 1, sizeof(struct motley__matrix *)),
                                   .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .decay = 0.1};
    int status = made->m && made->v ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the optimizer");
    for (int i = 0; i < count && !status; i++) {
        const struct motley__matrix *w = parameters[i].w;
        status = motley__matrix_create(device, MOTLEY_F32, w->E, w->O, w->I, w->panel, NULL, &made->m[i], error);
        if (!status)
            status = motley__matrix_create(device, MOTLEY_F32, w->E, w->O, w->I, w->panel, NULL, &made->v[i], error);
    }
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
    }
    free(adamw->m);
    free(adamw->v);
    free(adamw);
}

static int update(struct motley__adamw *adamw, int i, cl_kernel kernel, struct motley__adamw_args args,
                  struct motley_error *error)
{
    const struct motley__parameter *parameter = &adamw->parameter[i];
    int status = 0;
    for (int s = 0; s < parameter->w->segments && !status; s++) {
        args.n = (int)motley__segment_floats(parameter->w, s);
        struct motley__range range = {{(size_t)args.n}, {GROUP}};
        status = motley__launch(adamw->device, kernel, range, error,
                                MOTLEY__VALUE(args), MOTLEY__BUFFER(parameter->w->segment[s]),
                                MOTLEY__BUFFER(parameter->dw->segment[s]), MOTLEY__BUFFER(adamw->m[i]->segment[s]),
                                MOTLEY__BUFFER(adamw->v[i]->segment[s]));
    }
    return status;
}

int motley__adamw_step(struct motley__adamw *adamw, int64_t step, double learning_rate, double scale,
                       struct motley_error *error)
{
    cl_kernel kernel;
    int status = motley__kernel(adamw->device, "adamw.cl", "", "adamw", &kernel, error);
    struct motley__adamw_args args = {
        .scale = (float)scale,
        .beta1 = (float)adamw->beta1,
        .beta2 = (float)adamw->beta2,
        .rate = (float)(learning_rate / (1 - pow(adamw->beta1, (double)step))),
        .correction = (float)(1 / sqrt(1 - pow(adamw->beta2, (double)step))),
        .epsilon = (float)adamw->epsilon,
    };
    for (int i = 0; i < adamw->count && !status; i++) {
        args.keep = adamw->parameter[i].decay ? (float)(1 - learning_rate * adamw->decay) : 1;
        status = update(adamw, i, kernel, args, error);
    }
    return status;
}

uint64_t motley__adamw_bytes(const struct motley__parameter *parameters, int count)
{
    uint64_t floats = 0;
    for (int i = 0; i < count; i++) {
        const struct motley__matrix *w = parameters[i].w;
        floats += (uint64_t)w->E * motley__matrix_numbers(w->O, w->I, w->panel);
    }
    return 2 * sizeof(float) * floats;
}
