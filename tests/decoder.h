/* A small decoder whose experts lie on ranks by a plan written by hand, for its tests.  Include first.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_DECODER_H
#define MOTLEY_TESTS_DECODER_H

#include "model.h"
#include "model/decoder.h"
#include "context.h"
#include "plan/plan.h"
#include "tests/device.h"

static motley_context *context; /* of the whole program: a process binds its device once */

static inline struct motley__config small_model(int K)
{
    struct motley__config c = motley__config_default();
    c.vocabulary = 29;
    c.D = 24;
    c.layers = 2;
    c.heads = 3;
    c.kv_heads = K == 2 ? 3 : 1;
    c.F = 20;
    c.E = 5;
    c.K = K;
    c.positions = 37;
    c.balance_coefficient = 0.3;
    c.z_coefficient = 0.1;
    return c;
}

/* A plan written by hand.  Mode expert: experts dealt out, the last ranks first, so that slots are no simple order;
 * model and data: each rank has a part of every expert's hidden dimension, the last ranks the first parts. */
static enum motley_mode mode_of_plans = MOTLEY_MODE_EXPERT;

static inline motley_plan *deal(const struct motley__config *c, int R)
{
    const struct motley_layer_shape shape = {.D = c->D, .F = c->F, .E = c->E, .K = c->K, .activation = MOTLEY_SWIGLU,
                                             .normalize = 1};
    const struct motley_plan_options options = {0};
    motley_plan *plan;
    SUCCEED(motley__plan_alloc(&shape, &options, R, &plan, &error));
    for (int r = 0; r < R; r++) {
        struct motley__holding *holding = &plan->stored.rank[r];
        const int whole = mode_of_plans == MOTLEY_MODE_EXPERT, place = R - 1 - r;
        SUCCEED(motley__holding_alloc(holding, whole ? (c->E + r) / R : c->E, &error));
        for (int i = 0; i < holding->experts; i++)
            holding->expert[i] = whole ? i * R + place : i;
        holding->begin = whole ? 0 : c->F * place / R;
        holding->end = whole ? c->F : c->F * (place + 1) / R;
    }
    plan->mode = mode_of_plans;
    SUCCEED(motley__plan_index(plan, &error));
    return plan;
}

/* Weights large enough that attention and gate have opinions. */
static inline void enlarge(struct motley__decoder *decoder)
{
    int count;
    struct motley__parameter *p = motley__decoder_parameters(decoder, &count);
    for (int i = 0; i < count; i++) {
        float *w = ARRAY(float, p[i].w->O * p[i].w->I);
        for (int e = 0; e < p[i].w->E && p[i].dims == 2; e++) {
            SUCCEED(motley__matrix_get(p[i].w, e, w, &error));
            for (int j = 0; j < p[i].w->O * p[i].w->I; j++)
                w[j] *= 12;
            SUCCEED(motley__matrix_set(p[i].w, e, w, &error));
        }
        free(w);
    }
}

static inline struct motley__decoder *open_stored_decoder(motley_context *where, const struct motley__config *c,
                                                          enum motley_dtype dtype, motley_plan **plan, int trained)
{
    struct motley__decoder *decoder = NULL;
    *plan = deal(c, where->size);
    (*plan)->shape.dtype = dtype;
    SUCCEED(motley__decoder_create(where, c, *plan, trained, test_seed(), &decoder, &error));
    enlarge(decoder);
    return decoder;
}

static inline struct motley__decoder *open_decoder(motley_context *where, const struct motley__config *c,
                                                   motley_plan **plan, int trained)
{
    return open_stored_decoder(where, c, MOTLEY_F32, plan, trained);
}

#endif
