/* ESMM: one ragged launch for each weight segment.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "layer/esmm.h"
#include "layer/product.h"

int motley__esmm_panel(const struct motley__device *device)
{
    return motley__product_cpu(device) ? 2 * motley__product_lanes(device) : 1;
}

static int segment_experts(const struct motley__matrix *w, int segment)
{
    int left = w->E - segment * w->per_segment;
    return left < w->per_segment ? left : w->per_segment;
}

static void check(const struct motley__device *device, const struct motley__esmm *esmm)
{
    assert(esmm->w->panel == motley__esmm_panel(device));
    assert(esmm->ragged.E == esmm->w->E && (esmm->ragged.offsets || esmm->ragged.E == 1 || esmm->ragged.P == 0));
    assert((esmm->activation == MOTLEY__ACT_SWIGLU) == (esmm->w3 != NULL));
    assert(!esmm->w3 || (esmm->w3->per_segment == esmm->w->per_segment && !esmm->bias));
    assert(!esmm->accumulate || esmm->activation == MOTLEY__ACT_NONE);
    (void)device;
    (void)esmm;
}

/* The families' kernels have their own arguments: the cpu one takes w3 and pre3 at run time, the generic one has a
 * second kernel, since it holds twice the registers. */
static int launch_forward(struct motley__device *device, const struct motley__esmm *esmm, int segment,
                          struct motley_error *error)
{
    const struct motley__matrix *w = esmm->w;
    const struct motley__buffer *w3 = esmm->w3 ? esmm->w3->segment[segment] : NULL;
    int experts = segment_experts(w, segment), cpu = motley__product_cpu(device);
    struct motley__product_args args =
        motley__product_args(&esmm->ragged, &esmm->x, segment * w->per_segment, experts, w->O, w->I);
    struct motley__range range = motley__product_range(
        device, &args, motley__product_tiles(device, esmm->ragged.P, experts), w->O, w3 ? 2 : 1);
    cl_kernel kernel;

    args.activation = esmm->activation;
    args.accumulate = esmm->accumulate;
    int status = motley__product_kernel(device, "esmm.cl", w3 && !cpu ? "esmm_swiglu" : "esmm", &kernel, error);
    if (status)
        return status;
    if (cpu)
        return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(esmm->ragged.offsets),
                              MOTLEY__BUFFER(esmm->x.index), MOTLEY__BUFFER(esmm->x.own),
                              MOTLEY__BUFFER(esmm->x.received), MOTLEY__BUFFER(w->segment[segment]),
                              MOTLEY__BUFFER(w3), MOTLEY__BUFFER(esmm->bias), MOTLEY__BUFFER(esmm->pre),
                              MOTLEY__BUFFER(esmm->pre3), MOTLEY__BUFFER(esmm->y));
    if (w3)
        return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(esmm->ragged.offsets),
                              MOTLEY__BUFFER(esmm->x.index), MOTLEY__BUFFER(esmm->x.own),
                              MOTLEY__BUFFER(esmm->x.received), MOTLEY__BUFFER(w->segment[segment]),
                              MOTLEY__BUFFER(w3), MOTLEY__BUFFER(esmm->pre), MOTLEY__BUFFER(esmm->pre3),
                              MOTLEY__BUFFER(esmm->y));
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(esmm->ragged.offsets),
                          MOTLEY__BUFFER(esmm->x.index), MOTLEY__BUFFER(esmm->x.own), MOTLEY__BUFFER(esmm->x.received),
                          MOTLEY__BUFFER(w->segment[segment]), MOTLEY__BUFFER(esmm->bias), MOTLEY__BUFFER(esmm->pre),
                          MOTLEY__BUFFER(esmm->y));
}

int motley__esmm(struct motley__device *device, const struct motley__esmm *esmm, struct motley_error *error)
{
    int status = 0;
    if (esmm->ragged.P == 0)
        return 0;
    check(device, esmm);
    for (int s = 0; s < esmm->w->segments && !status; s++)
        status = launch_forward(device, esmm, s, error);
    return status;
}

static int launch_transposed(struct motley__device *device, const struct motley__esmm *esmm, int segment,
                             struct motley_error *error)
{
    const struct motley__matrix *w = esmm->w;
    int experts = segment_experts(w, segment);
    struct motley__product_args args =
        motley__product_args(&esmm->ragged, &esmm->x, segment * w->per_segment, experts, w->O, w->I);
    struct motley__range range =
        motley__product_range(device, &args, motley__product_tiles(device, esmm->ragged.P, experts), w->I, 1);
    cl_kernel kernel;

    args.accumulate = esmm->accumulate;
    int status = motley__product_kernel(device, motley__product_cpu(device) ? "esmm_transposed.cl" : "esmm.cl",
                                        "esmm_transposed", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(esmm->ragged.offsets),
                          MOTLEY__BUFFER(esmm->x.index), MOTLEY__BUFFER(esmm->x.own), MOTLEY__BUFFER(esmm->x.received),
                          MOTLEY__BUFFER(w->segment[segment]), MOTLEY__BUFFER(esmm->y));
}

int motley__esmm_transposed(struct motley__device *device, const struct motley__esmm *esmm, struct motley_error *error)
{
    int status = 0;
    if (esmm->ragged.P == 0)
        return 0;
    assert(!esmm->w3 && !esmm->bias && esmm->activation == MOTLEY__ACT_NONE);
    check(device, esmm);
    for (int s = 0; s < esmm->w->segments && !status; s++)
        status = launch_transposed(device, esmm, s, error);
    return status;
}
