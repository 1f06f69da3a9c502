/* Weights that a rank computes with and others store, and the gradients it has of them; one for all layers of a model.
 *
 *   fetch    a layer's weights are gathered from the ranks that store them
 *   settle   the gradients that its backward left here are summed to the ranks that store them
 *
 * In data mode they are all experts, in one place that the layers use in turn: memory for the experts of one layer,
 * with gradients when trained, however many layers there are.  Else they are replicas of hot experts, which lie in each
 * layer behind what its rank stores.
 *
 * Both begin and are tested, so that they run under computation, also beyond the list of operators that began them.
 * At most one fetch and one settling are under way.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_WEIGHT_CACHE_H
#define MOTLEY_LAYER_WEIGHT_CACHE_H

#include "exchange/redistribution.h"
#include "layer/expert.h"
#include "plan/plan.h"

enum { MOTLEY__EXPERT_MATRICES = 5 };

/* One redistribution and whose it is. */
struct motley__errand {
    struct motley__redistribution *redistribution;  /* owned */
    struct motley__matrix *from[MOTLEY__EXPERT_MATRICES], *to[MOTLEY__EXPERT_MATRICES];
    const struct motley__experts *owner;            /* stored experts that it is under way for; NULL: none */
};

struct motley__weight_cache {
    const motley_plan *plan;                /* borrowed */
    int trained;
    struct motley__experts *experts;        /* all of them; owned.  NULL: replicas, in the layers */
    struct motley__errand fetch, settle;    /* settle: when trained */
    const struct motley__experts *holds;    /* the stored experts whose weights are in it, as of the last fetch */
};

/* Collective, agreed.  Errors: those of motley__experts_create and motley__redistribution_create. */
int motley__weight_cache_create(const motley_context *context, const motley_plan *plan, int trained,
                                struct motley__weight_cache **cache, struct motley_error *error);
void motley__weight_cache_destroy(struct motley__weight_cache *cache); /* accepts NULL */

/* Begin, unless it is under way for these already; nobody may use the weights that come until it is done.  stored: the
 * experts of a layer that this rank stores, computed: those it computes with; borrowed until done. */
int motley__weight_cache_fetch(struct motley__weight_cache *cache, const struct motley__experts *stored,
                               const struct motley__experts *computed, struct motley_error *error);
/* Begin: all gradients are complete, or will be by what is on the compute queue. */
int motley__weight_cache_settle(struct motley__weight_cache *cache, const struct motley__experts *stored,
                                const struct motley__experts *computed, struct motley_error *error);
/* *done = 1 when none is under way.  cache: a struct motley__weight_cache *. */
int motley__weight_cache_fetched(void *cache, int *done, struct motley_error *error);
int motley__weight_cache_settled(void *cache, int *done, struct motley_error *error);
void motley__weight_cache_fetch_missing(const void *cache, char *text, int size);
void motley__weight_cache_settle_missing(const void *cache, char *text, int size);

/* Device bytes of the redistributions. */
uint64_t motley__weight_cache_scratch(const struct motley__weight_cache *cache);

/* What a rank's experts are made of, in the order w1, w2, w3, b1, b2, as far as the shape has them; returns how many.
 * panel: of this rank's layout.  gradients 1: all in f32. */
int motley__expert_projections(const struct motley_layer_shape *shape, int panel, int gradients,
                               struct motley__projection projection[MOTLEY__EXPERT_MATRICES],
                               int panels[MOTLEY__EXPERT_MATRICES]);
void motley__expert_matrices(const struct motley__experts *experts, int gradients,
                             struct motley__matrix *matrix[MOTLEY__EXPERT_MATRICES]);

#endif
