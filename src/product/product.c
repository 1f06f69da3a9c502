/* What the launchers of all families share.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>

#include "product/product.h"

static int own_rows(const struct motley__rows *rows)
{
    return rows->received ? rows->own_rows : INT_MAX;
}

struct motley__product_args motley__esmm_args(const struct motley__esmm *esmm, int segment)
{
    return (struct motley__product_args){
        .first = segment * esmm->w->per_segment,
        .experts = motley__matrix_experts(esmm->w, segment),
        .rows = esmm->ragged.P,
        .first_pair = esmm->ragged.first,
        .O = esmm->w->O,
        .I = esmm->w->I,
        .own_rows = own_rows(&esmm->x),
        .activation = esmm->activation,
        .accumulate = esmm->accumulate,
    };
}

struct motley__product_args motley__estmm_args(const struct motley__estmm *estmm, int segment)
{
    return (struct motley__product_args){
        .first = segment * estmm->dw->per_segment,
        .experts = motley__matrix_experts(estmm->dw, segment),
        .rows = estmm->ragged.P,
        .first_pair = estmm->ragged.first,
        .O = estmm->dw->O,
        .I = estmm->dw->I,
        .own_rows = own_rows(&estmm->a),
        .own_rows_b = own_rows(&estmm->b),
        .activation = MOTLEY__ACT_NONE,
        .accumulate = estmm->accumulate,
    };
}

int motley__esmm_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                        const struct motley__product_args *args, const struct motley__esmm *e, int segment,
                        struct motley_error *error)
{
    const struct motley__buffer *w3 = e->w3 ? e->w3->segment[segment] : NULL;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(*args), MOTLEY__BUFFER(e->ragged.offsets),
                          MOTLEY__BUFFER(e->x.index), MOTLEY__BUFFER(e->x.own), MOTLEY__BUFFER(e->x.received),
                          MOTLEY__BUFFER(e->w->segment[segment]), MOTLEY__BUFFER(w3), MOTLEY__BUFFER(e->bias),
                          MOTLEY__BUFFER(e->pre), MOTLEY__BUFFER(e->pre3), MOTLEY__BUFFER(e->y));
}

int motley__esmm_launch_two(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                            const struct motley__product_args *args, const struct motley__esmm *e, int segment,
                            struct motley_error *error)
{
    const struct motley__buffer *w3 = e->w3 ? e->w3->segment[segment] : NULL;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(*args), MOTLEY__BUFFER(e->ragged.offsets),
                          MOTLEY__BUFFER(e->x.index), MOTLEY__BUFFER(e->x.own), MOTLEY__BUFFER(e->x.received),
                          MOTLEY__BUFFER(e->x3), MOTLEY__BUFFER(e->w->segment[segment]), MOTLEY__BUFFER(w3),
                          MOTLEY__BUFFER(e->bias), MOTLEY__BUFFER(e->pre), MOTLEY__BUFFER(e->pre3),
                          MOTLEY__BUFFER(e->y));
}

int motley__esmm_transposed_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                                   const struct motley__product_args *args, const struct motley__esmm *e, int segment,
                                   struct motley_error *error)
{
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(*args), MOTLEY__BUFFER(e->ragged.offsets),
                          MOTLEY__BUFFER(e->x.index), MOTLEY__BUFFER(e->x.own), MOTLEY__BUFFER(e->x.received),
                          MOTLEY__BUFFER(e->w->segment[segment]), MOTLEY__BUFFER(e->y));
}

/* The tickets come last: a launch without them leaves them out. */
static int estmm_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                        const struct motley__product_args *args, const struct motley__estmm *e, int segment,
                        int draws, struct motley_error *error)
{
    const struct motley__arg list[] = {
        MOTLEY__VALUE(*args), MOTLEY__BUFFER(e->ragged.offsets), MOTLEY__BUFFER(e->a.index), MOTLEY__BUFFER(e->a.own),
        MOTLEY__BUFFER(e->a.received), MOTLEY__BUFFER(e->b.index), MOTLEY__BUFFER(e->b.own),
        MOTLEY__BUFFER(e->b.received), MOTLEY__BUFFER(e->dw->segment[segment]), MOTLEY__VALUE(device->tickets),
    };
    const int count = sizeof list / sizeof *list;
    return motley__launch_args(device, kernel, range, error, list, draws ? count : count - 1);
}

int motley__estmm_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                         const struct motley__product_args *args, const struct motley__estmm *e, int segment,
                         struct motley_error *error)
{
    return estmm_launch(device, kernel, range, args, e, segment, 0, error);
}

int motley__estmm_launch_drawing(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                                 const struct motley__product_args *args, const struct motley__estmm *e, int segment,
                                 struct motley_error *error)
{
    return estmm_launch(device, kernel, range, args, e, segment, 1, error);
}

int motley__ess_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                       const struct motley__ess *e, struct motley_error *error)
{
    const struct motley__product_args args = {
        .experts = e->ragged.E,
        .rows = e->ragged.P,
        .O = e->O,
        .own_rows = own_rows(&e->a),
        .activation = MOTLEY__ACT_NONE,
        .accumulate = e->accumulate,
    };
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(e->ragged.offsets),
                          MOTLEY__BUFFER(e->a.index), MOTLEY__BUFFER(e->a.own), MOTLEY__BUFFER(e->a.received),
                          MOTLEY__BUFFER(e->scale), MOTLEY__BUFFER(e->db));
}

int motley__activation_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                              size_t local_bytes, const struct motley__activation_backward *a,
                              struct motley_error *error)
{
    const struct motley__activation_args args = {.first = a->first, .P = a->P, .F = a->F, .activation = a->activation};
    const struct motley__arg list[] = {
        MOTLEY__VALUE(args),     MOTLEY__BUFFER(a->weight), MOTLEY__BUFFER(a->pre), MOTLEY__BUFFER(a->pre3),
        MOTLEY__BUFFER(a->u),    MOTLEY__BUFFER(a->h),      MOTLEY__BUFFER(a->dw),  MOTLEY__LOCAL(local_bytes),
    };
    const int count = sizeof list / sizeof *list;
    return motley__launch_args(device, kernel, range, error, list, local_bytes ? count : count - 1);
}

int motley__dot_bias_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                            size_t local_bytes, const struct motley__dot_bias *d, struct motley_error *error)
{
    const struct motley__product_args args = {
        .experts = d->ragged.E,
        .rows = d->ragged.P,
        .first_pair = d->ragged.first,
        .O = d->D,
        .own_rows = own_rows(&d->dy),
        .activation = MOTLEY__ACT_NONE,
    };
    const struct motley__arg list[] = {
        MOTLEY__VALUE(args),       MOTLEY__BUFFER(d->ragged.offsets), MOTLEY__BUFFER(d->dy.index),
        MOTLEY__BUFFER(d->dy.own), MOTLEY__BUFFER(d->dy.received),    MOTLEY__BUFFER(d->b2),
        MOTLEY__BUFFER(d->dw),     MOTLEY__LOCAL(local_bytes),
    };
    const int count = sizeof list / sizeof *list;
    return motley__launch_args(device, kernel, range, error, list, local_bytes ? count : count - 1);
}

size_t motley__product_tiles(int P, int experts, int height)
{
    return (size_t)P / (size_t)height + (size_t)experts;
}
