/* What the operators do that make weights travel: in data mode, and for replicas.
 *
 *   forward     fetch weights -> experts -> prefetch the next layer's
 *   backward    (fetch weights) -> experts backward -> sum gradients, prefetch the weights of the layer before
 *
 * Weights are fetched anew in every forward, for an optimizer may have changed them, but replicas of a layer that is
 * not trained once; backward uses those of its forward where they are still there.  What is left under way at the end
 * of a list goes on while the caller enqueues what lies between two layers, and is polled by the next list.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "base/wait.h"
#include "layer/state.h"

int motley__layer_open_cache(motley_layer *layer, struct motley_error *error)
{
    struct motley__scratch *scratch = layer->scratch;
    int status = 0;

    assert(!scratch->cache || scratch->cache->trained == layer->trained);
    if (!scratch->cache)
        status = motley__weight_cache_create(layer->context, layer->plan, layer->trained, &scratch->cache, error);
    if (!status) {
        layer->cache = scratch->cache;
        layer->stale = 1;
        if (layer->cache->experts)
            layer->experts = layer->cache->experts;
    }
    return status;
}

void motley__layer_link(motley_layer *layer, motley_layer *previous, motley_layer *next)
{
    layer->previous = previous;
    layer->next = next;
}

int motley__layer_fetches(const motley_layer *layer)
{
    const struct motley__weight_cache *cache = layer->cache;

    return cache && (cache->experts || layer->trained || layer->stale || cache->fetch.owner == layer->stored);
}

int motley__layer_prefetch(motley_layer *layer, struct motley_error *error)
{
    if (!motley__layer_fetches(layer))
        return 0;
    layer->stale = 0;
    return motley__weight_cache_fetch(layer->cache, layer->stored, layer->experts, error);
}

int motley__layer_share_news(motley_layer *layer, struct motley_error *error)
{
    MPI_Request request;
    int status;

    if (!layer->cache || layer->cache->experts || layer->trained)
        return 0;
    status = motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, &layer->stale, 1, MPI_INT, MPI_MAX,
                                                    layer->context->comm, &request), "MPI_Iallreduce");
    return status ? status : motley__wait(&request, layer->context->time_limit, "whether weights changed", error);
}

int motley__forward_fetch(void *self, struct motley_error *error)
{
    return motley__layer_prefetch(self, error);
}

int motley__forward_prefetch(void *self, struct motley_error *error)
{
    motley_layer *layer = self;

    return motley__layer_prefetch(layer->next, error);
}

int motley__backward_prefetch(void *self, struct motley_error *error)
{
    motley_layer *layer = self;

    return motley__layer_prefetch(layer->previous, error);
}

int motley__backward_settle(void *self, struct motley_error *error)
{
    motley_layer *layer = self;

    return motley__weight_cache_settle(layer->cache, layer->stored, layer->experts, error);
}
