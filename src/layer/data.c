/* What the operators of data mode do: tokens stay, weights travel.
 *
 *   forward     fetch weights -> experts -> prefetch the next layer's
 *   backward    (fetch weights) -> experts backward -> sum gradients, prefetch the weights of the layer before
 *
 * Weights are fetched anew in every forward, for an optimizer may have changed them; backward uses those of its forward
 * where they are still in the cache.  What is left under way at the end of a list goes on while the caller enqueues
 * what lies between two layers, and is polled by the next list.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

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
        layer->experts = layer->cache->experts;
    }
    return status;
}

void motley__layer_link(motley_layer *layer, motley_layer *previous, motley_layer *next)
{
    layer->previous = previous;
    layer->next = next;
}

int motley__layer_prefetch(motley_layer *layer, struct motley_error *error)
{
    return layer->cache ? motley__weight_cache_fetch(layer->cache, layer->stored, error) : 0;
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

    return motley__weight_cache_settle(layer->cache, layer->stored, error);
}
