/* Routing held to collaborators (C2R, arXiv 2504.01337): beside its first choice a token may choose only experts that
 * tokens chose most often with that one.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdlib.h>

#include "coactivation/coactivation.h"
#include "layer/gate.h"
#include "layer/state.h"

static int check(const motley_layer *layer, const motley_coactivation *coactivation, int coactivation_layer, int most,
                 struct motley_error *error)
{
    const int K = layer->shape.K, E = layer->shape.E;

    if (layer->shape.gate == MOTLEY_GATE_FORCED)
        return motley__fail(error, MOTLEY_E_INVALID, "collaborators bound what a gate chooses, but the gate is "
                            "forced");
    if (coactivation->E != E)
        return motley__fail(error, MOTLEY_E_INVALID, "the co-activation is of %d experts, but the layer has %d",
                            coactivation->E, E);
    if (coactivation_layer < 0 || coactivation_layer > coactivation->layers)
        return motley__fail(error, MOTLEY_E_INVALID, "coactivation_layer is %d, expected 0 to %d", coactivation_layer,
                            coactivation->layers);
    if (most < K - 1 || most < 1)
        return motley__fail(error, MOTLEY_E_INVALID, "collaborators is %d, expected at least %d: a token with %d "
                            "expert%s chooses %d beside the first", most, K > 2 ? K - 1 : 1, K, K == 1 ? "" : "s",
                            K - 1);
    return 0;
}

int motley_layer_collaborate(motley_layer *layer, const motley_coactivation *coactivation, int coactivation_layer,
                             int most, struct motley_error *error)
{
    const int E = layer->shape.E;
    const size_t bytes = (size_t)E * (size_t)motley__gate_mask_words(E) * sizeof(uint32_t);
    uint32_t *mask;
    int status = check(layer, coactivation, coactivation_layer, most, error);

    if (status)
        return status;
    mask = malloc(bytes);
    if (!mask)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the collaborators of %d experts", E);
    static_assert(MOTLEY__ALL_LAYERS == -1, "the layer before the first is all of them");
    status = motley__coactivation_mask(coactivation, coactivation_layer - 1, most, mask, error);
    if (!status)
        status = motley__buffer_reserve(layer->context->device, &layer->collaborators, bytes, error);
    if (!status)
        status = motley__buffer_write(layer->collaborators, 0, mask, bytes, error);
    free(mask);
    layer->collaborators_most = status ? layer->collaborators_most : most;
    return status;
}
