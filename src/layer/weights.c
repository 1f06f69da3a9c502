/* A layer's weights in and out: of whole canonical matrices the part that this rank stores.
 *
 *   w1, w3 [F,D], b1 [F]   rows begin..end-1, which are neighbours
 *   w2 [D,F]               columns begin..end-1
 *   b2 [D]                 all of it where the part begins at 0, else nothing
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "layer/state.h"

static const char *const NAME[] = {"gate", "w1", "w2", "w3", "b1", "b2", "gate_correction", "cos_proj", "cos_bias",
                                   "cos_temperature"};

int motley__gate_weights(const struct motley_layer_shape *shape, enum motley_weight which[MOTLEY__GATE_WEIGHTS_MOST])
{
    static const enum motley_weight kinds[][MOTLEY__GATE_WEIGHTS_MOST] = {
        [MOTLEY_GATE_SOFTMAX] = {MOTLEY_GATE}, [MOTLEY_GATE_FORCED] = {MOTLEY_GATE},
        [MOTLEY_GATE_SIGMOID] = {MOTLEY_GATE, MOTLEY_GATE_CORRECTION},
        [MOTLEY_GATE_COSINE] = {MOTLEY_GATE, MOTLEY_COS_PROJ, MOTLEY_COS_BIAS, MOTLEY_COS_TEMPERATURE}};

    memcpy(which, kinds[shape->gate], sizeof *kinds);
    return shape->gate == MOTLEY_GATE_SIGMOID ? 2 : shape->gate == MOTLEY_GATE_COSINE ? 4 : 1;
}

/* On every rank, whole. */
static int is_everywhere(enum motley_weight which)
{
    return which == MOTLEY_GATE || which > MOTLEY_B2;
}

struct motley__matrix *motley__layer_matrix(const motley_layer *layer, enum motley_weight which, int gradient)
{
    const struct motley__experts *x = layer->stored;
    const struct motley__cosine *c = layer->cosine;
    struct motley__matrix *const weight[] = {layer->gate->w, x->w1, x->w2, x->w3, x->b1, x->b2, layer->correction,
                                             c ? c->projection->w : NULL, c ? c->bias : NULL,
                                             c ? c->temperature : NULL};
    struct motley__matrix *const slope[] = {layer->gate->dw, x->dw1, x->dw2, x->dw3, x->db1, x->db2, NULL,
                                            c ? c->projection->dw : NULL, c ? c->dbias : NULL,
                                            c ? c->dtemperature : NULL};

    return gradient ? slope[which] : weight[which];
}

/* The matrix of a weight or of its gradient, and the local number of the expert in it; *matrix is NULL where the rank
 * has nothing of it, as of b2. */
static int find_matrix(const motley_layer *layer, enum motley_weight which, int expert, int gradient,
                       struct motley__matrix **matrix, int *local, struct motley_error *error)
{
    const struct motley__experts *x = layer->stored;

    if ((int)which < 0 || which > MOTLEY_COS_TEMPERATURE)
        return motley__fail(error, MOTLEY_E_INVALID, "there is no weight number %d in a layer", (int)which);
    *matrix = motley__layer_matrix(layer, which, gradient);
    *local = 0;
    if (!*matrix && !(which == MOTLEY_B2 && (gradient ? x->db1 : x->b1)))
        return motley__fail(error, MOTLEY_E_INVALID, "this layer has no %s%s", gradient ? "gradient of " : "",
                            NAME[which]);
    if (is_everywhere(which))
        return 0;
    *local = expert < 0 ? -1 : motley__holding_find(layer->stores, expert);
    if (*local < 0)
        return motley__fail(error, MOTLEY_E_INVALID, "%s of expert %d is not on rank %d", NAME[which], expert,
                            layer->context->rank);
    return 0;
}

/* The first number of the rank's part of a canonical matrix whose part is contiguous. */
static size_t first_number(const motley_layer *layer, enum motley_weight which)
{
    const size_t begin = (size_t)layer->stores->begin;

    switch (which) {
    case MOTLEY_W1:
    case MOTLEY_W3: return begin * (size_t)layer->shape.D;
    case MOTLEY_B1: return begin;
    default: return 0;
    }
}

/* Where the rank's columns of row d begin in a whole w2. */
static size_t first_column(const motley_layer *layer, size_t d)
{
    return d * (size_t)layer->shape.F + (size_t)layer->stores->begin;
}

/* Hidden rows that the rank stores. */
static size_t stored_width(const motley_layer *layer)
{
    return (size_t)(layer->stores->end - layer->stores->begin);
}

/* Host memory for the part of w2; NULL where the part is the whole. */
static int part_of(const motley_layer *layer, enum motley_weight which, float **part, struct motley_error *error)
{
    *part = NULL;
    if (which != MOTLEY_W2 || stored_width(layer) == (size_t)layer->shape.F)
        return 0;
    *part = malloc((size_t)layer->shape.D * stored_width(layer) * sizeof **part);
    return *part ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a part of w2");
}

int motley_layer_set(motley_layer *layer, enum motley_weight which, int expert, const float *host,
                     struct motley_error *error)
{
    const size_t width = stored_width(layer);
    struct motley__matrix *matrix;
    float *part;
    int local, status = find_matrix(layer, which, expert, 0, &matrix, &local, error);

    if (status || !matrix)
        return status;
    status = part_of(layer, which, &part, error);
    for (size_t d = 0; !status && part && d < (size_t)layer->shape.D; d++)
        memcpy(part + d * width, host + first_column(layer, d), width * sizeof *part);
    if (!status)
        status = motley__matrix_set(matrix, local, part ? part : host + first_number(layer, which), error);
    layer->stale = 1;
    free(part);
    return status;
}

static int get(const motley_layer *layer, enum motley_weight which, int expert, int gradient, float *host,
               struct motley_error *error)
{
    const size_t width = stored_width(layer);
    struct motley__matrix *matrix;
    float *part;
    int local, status = find_matrix(layer, which, expert, gradient, &matrix, &local, error);

    if (status || !matrix)
        return status;
    status = part_of(layer, which, &part, error);
    if (!status)
        status = motley__matrix_get(matrix, local, part ? part : host + first_number(layer, which), error);
    for (size_t d = 0; !status && part && d < (size_t)layer->shape.D; d++)
        memcpy(host + first_column(layer, d), part + d * width, width * sizeof *part);
    free(part);
    return status;
}

int motley_layer_get(const motley_layer *layer, enum motley_weight which, int expert, float *host,
                     struct motley_error *error)
{
    return get(layer, which, expert, 0, host, error);
}

int motley_layer_get_gradient(const motley_layer *layer, enum motley_weight which, int expert, float *host,
                              struct motley_error *error)
{
    return get(layer, which, expert, 1, host, error);
}
