/* Weights that others store, and their gradients.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdlib.h>

#include "layer/weight_cache.h"
#include "product/esmm.h"

enum { TAG_FETCH = 10, TAG_SETTLE = 11 };

int motley__expert_projections(const struct motley_layer_shape *shape, int panel, int gradients,
                               struct motley__projection projection[MOTLEY__EXPERT_MATRICES],
                               int panels[MOTLEY__EXPERT_MATRICES])
{
    const enum motley_dtype dtype = gradients ? MOTLEY_F32 : shape->dtype;
    const struct motley__projection up = {MOTLEY__HIDDEN_ROWS, dtype, shape->F, shape->D};
    int count = 0;
    projection[count++] = up;
    projection[count++] = (struct motley__projection){MOTLEY__HIDDEN_COLUMNS, dtype, shape->D, shape->F};
    if (shape->activation == MOTLEY_SWIGLU)
        projection[count++] = up;
    for (int i = 0; i < count; i++)
        panels[i] = panel;
    if (shape->bias) {
        panels[count] = panels[count + 1] = 1;
        projection[count++] = (struct motley__projection){MOTLEY__HIDDEN_COLUMNS, MOTLEY_F32, 1, shape->F};
        projection[count++] = (struct motley__projection){MOTLEY__HIDDEN_NONE, MOTLEY_F32, 1, shape->D};
    }
    return count;
}

void motley__expert_matrices(const struct motley__experts *experts, int gradients,
                             struct motley__matrix *matrix[MOTLEY__EXPERT_MATRICES])
{
    const struct motley__experts *x = experts;
    int count = 0;
    matrix[count++] = gradients ? x->dw1 : x->w1;
    matrix[count++] = gradients ? x->dw2 : x->w2;
    if (x->w3)
        matrix[count++] = gradients ? x->dw3 : x->w3;
    if (x->b1) {
        matrix[count++] = gradients ? x->db1 : x->b1;
        matrix[count++] = gradients ? x->db2 : x->b2; /* NULL where the slice does not begin at 0 */
    }
}

static int create_errand(const motley_context *context, const motley_plan *plan, int sum, struct motley__errand *errand,
                         struct motley_error *error)
{
    const struct motley__redistribution_options options = {.name = sum ? "sum gradients" : "fetch weights",
                                                           .tag = sum ? TAG_SETTLE : TAG_FETCH, .sum = sum,
                                                           .apart = plan->mode != MOTLEY_MODE_DATA};
    const int panel = motley__esmm_panel(context->device, plan->shape.dtype);
    struct motley__projection projection[MOTLEY__EXPERT_MATRICES];
    int panels[MOTLEY__EXPERT_MATRICES];
    const int count = motley__expert_projections(&plan->shape, panel, sum, projection, panels);
    const struct motley__placement *from = sum ? &plan->computed : &plan->stored;
    const struct motley__placement *to = sum ? &plan->stored : &plan->computed;
    return motley__redistribution_create(context, from, to, projection, panels, count, &options,
                                         &errand->redistribution, error);
}

int motley__weight_cache_create(const motley_context *context, const motley_plan *plan, int trained,
                                struct motley__weight_cache **cache, struct motley_error *error)
{
    const struct motley__holding *all = &plan->computed.rank[context->rank];
    const int data = plan->mode == MOTLEY_MODE_DATA;
    struct motley__weight_cache *c = calloc(1, sizeof *c);
    int status = c ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a cache of weights");
    if (!status) {
        c->plan = plan;
        c->trained = trained;
    }
    if (!status && data) {
        assert(all->begin == 0 && all->end == plan->shape.F);
        status = motley__experts_create(context->device, &plan->shape, all->experts, 0, trained, &c->experts, error);
    }
    status = motley__context_agree(context, status, error);
    if (!status)
        status = create_errand(context, plan, 0, &c->fetch, error);
    if (!status && trained)
        status = create_errand(context, plan, 1, &c->settle, error);
    if (status) {
        motley__weight_cache_destroy(c);
        return status;
    }
    *cache = c;
    return 0;
}

void motley__weight_cache_destroy(struct motley__weight_cache *cache)
{
    if (!cache)
        return;
    motley__redistribution_destroy(cache->fetch.redistribution);
    motley__redistribution_destroy(cache->settle.redistribution);
    motley__experts_destroy(cache->experts);
    free(cache);
}

int motley__weight_cache_fetch(struct motley__weight_cache *cache, const struct motley__experts *stored,
                               const struct motley__experts *computed, struct motley_error *error)
{
    struct motley__errand *fetch = &cache->fetch;
    if (fetch->owner == stored)
        return 0;
    assert(!fetch->owner);
    fetch->owner = stored;
    cache->holds = NULL;
    motley__expert_matrices(stored, 0, fetch->from);
    motley__expert_matrices(computed, 0, fetch->to);
    return motley__redistribution_begin(fetch->redistribution, fetch->from, fetch->to, 0, error);
}

/* Replicas' gradients are added to what the owner has of its own rows. */
int motley__weight_cache_settle(struct motley__weight_cache *cache, const struct motley__experts *stored,
                                const struct motley__experts *computed, struct motley_error *error)
{
    struct motley__errand *settle = &cache->settle;
    assert(!settle->owner);
    settle->owner = stored;
    motley__expert_matrices(computed, 1, settle->from);
    motley__expert_matrices(stored, 1, settle->to);
    return motley__redistribution_begin(settle->redistribution, settle->from, settle->to, !cache->experts, error);
}

/* *done = 1 when the errand is over, or none is under way; *was: whose it was when it ended just now, else NULL. */
static int test(struct motley__errand *errand, int *done, const struct motley__experts **was,
                struct motley_error *error)
{
    int status = 0;
    *done = 1;
    *was = NULL;
    if (errand->owner)
        status = motley__redistribution_test(errand->redistribution, done, error);
    if (!status && *done) {
        *was = errand->owner;
        errand->owner = NULL;
    }
    return status;
}

int motley__weight_cache_fetched(void *self, int *done, struct motley_error *error)
{
    struct motley__weight_cache *cache = self;
    const struct motley__experts *was;
    int status = test(&cache->fetch, done, &was, error);
    if (was)
        cache->holds = was;
    return status;
}

int motley__weight_cache_settled(void *self, int *done, struct motley_error *error)
{
    struct motley__weight_cache *cache = self;
    const struct motley__experts *was;
    return test(&cache->settle, done, &was, error);
}

void motley__weight_cache_fetch_missing(const void *cache, char *text, int size)
{
    motley__redistribution_missing(((const struct motley__weight_cache *)cache)->fetch.redistribution, text, size);
}

void motley__weight_cache_settle_missing(const void *cache, char *text, int size)
{
    motley__redistribution_missing(((const struct motley__weight_cache *)cache)->settle.redistribution, text, size);
}

uint64_t motley__weight_cache_scratch(const struct motley__weight_cache *cache)
{
    return motley__redistribution_memory(cache->fetch.redistribution) +
           (cache->settle.redistribution ? motley__redistribution_memory(cache->settle.redistribution) : 0);
}
