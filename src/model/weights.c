/* The dense weights of a decoder, laid out in one buffer.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "layer/layer.h"
#include "model/weights.h"

struct motley__dense_weight *motley__weights_embedding(struct motley__weights *weights)
{
    return &weights->weight[0];
}

struct motley__dense_weight *motley__weights_block(struct motley__weights *weights, int block)
{
    return &weights->weight[1 + block * weights->per_block];
}

struct motley__dense_weight *motley__weights_norm(struct motley__weights *weights)
{
    return &weights->weight[weights->count - 2];
}

struct motley__dense_weight *motley__weights_head(struct motley__weights *weights)
{
    return &weights->weight[weights->count - 1];
}

static struct motley__dense_weight named(const char *name, enum motley__dense_kind kind, enum motley_dtype dtype, int O,
                                         int I)
{
    const int stored = kind == MOTLEY__DENSE_TABLE || kind == MOTLEY__DENSE_LINEAR;
    struct motley__dense_weight weight = {.kind = kind, .dtype = stored ? dtype : MOTLEY_F32, .rows = dtype, .O = O,
                                          .I = I, .start = 1};
    snprintf(weight.name, sizeof weight.name, "%s", name);
    return weight;
}

/* What a gate has beside its matrix: names as `motley layer` reads them. */
static struct motley__dense_weight gate_part(const struct motley__config *c, enum motley_dtype dtype, int block,
                                             enum motley_weight which)
{
    const char *const name = which == MOTLEY_GATE_CORRECTION ? "gate_correction" : which == MOTLEY_COS_PROJ ? "cos_proj"
                             : which == MOTLEY_COS_BIAS ? "cos_bias" : "cos_temperature";
    const int I = which == MOTLEY_GATE_CORRECTION ? c->E : which == MOTLEY_COS_BIAS ? c->gate_width : 1;
    struct motley__dense_weight part = which == MOTLEY_COS_PROJ
        ? named("", MOTLEY__DENSE_GATE, dtype, c->gate_width, c->D)
        : named("", MOTLEY__DENSE_GATE_VECTOR, dtype, 1, I);
    part.start = which == MOTLEY_COS_TEMPERATURE ? log(2) : 0; /* Flex begins with cosines over 0.5 */
    part.counted = which == MOTLEY_GATE_CORRECTION;
    snprintf(part.name, sizeof part.name, "model.layers.%d.block_sparse_moe.%s", block, name);
    return part;
}

static void list_block(const struct motley__config *c, enum motley_dtype dtype, int block,
                       struct motley__dense_weight *weight)
{
    const int D = c->D, keys = D / c->heads * c->kv_heads, cosine = c->gate == MOTLEY_GATE_COSINE;
    const struct motley_layer_shape shape = motley__config_shape(c, dtype);
    const struct {
        const char *name;
        enum motley__dense_kind kind;
        int O, I, residual;
    } list[] = {
        [MOTLEY__NORM1] = {"input_layernorm", MOTLEY__DENSE_VECTOR, 1, D, 0},
        [MOTLEY__Q] = {"self_attn.q_proj", MOTLEY__DENSE_LINEAR, D, D, 0},
        [MOTLEY__KEY] = {"self_attn.k_proj", MOTLEY__DENSE_LINEAR, keys, D, 0},
        [MOTLEY__VALUE] = {"self_attn.v_proj", MOTLEY__DENSE_LINEAR, keys, D, 0},
        [MOTLEY__O] = {"self_attn.o_proj", MOTLEY__DENSE_LINEAR, D, D, 1},
        [MOTLEY__NORM2] = {"post_attention_layernorm", MOTLEY__DENSE_VECTOR, 1, D, 0},
        [MOTLEY__GATE] = {"block_sparse_moe.gate", MOTLEY__DENSE_GATE, c->E, cosine ? c->gate_width : D, 0},
    };
    enum motley_weight of_gate[MOTLEY__GATE_WEIGHTS_MOST];
    const int parts = motley__gate_weights(&shape, of_gate);
    for (int i = 0; i <= MOTLEY__GATE; i++) {
        weight[i] = named("", list[i].kind, dtype, list[i].O, list[i].I);
        weight[i].residual = list[i].residual;
        snprintf(weight[i].name, sizeof weight[i].name, "model.layers.%d.%s.weight", block, list[i].name);
    }
    if (cosine)
        weight[MOTLEY__GATE].rows = MOTLEY_F32; /* tokens of length 1 */
    for (int i = 1; i < parts; i++)
        weight[MOTLEY__GATE + i] = gate_part(c, dtype, block, of_gate[i]);
}

/* Numbers of a weight with its padding. */
static size_t numbers_of(const struct motley__weights *weights, const struct motley__dense_weight *weight,
                         enum motley__dense path)
{
    if (motley__dense_is_vector(weight->kind) || weight->kind == MOTLEY__DENSE_TABLE)
        return motley__matrix_numbers(weight->O, weight->I, 1);
    return motley__linear_numbers(weights->device, path, weight->rows, weight->dtype, weight->O, weight->I);
}

/* Names, shapes and places; the bytes of both arenas. */
static void lay_out(struct motley__weights *weights, const struct motley__config *c, enum motley_dtype dtype,
                    enum motley__dense path, size_t *bytes, size_t *gradient_bytes)
{
    *bytes = *gradient_bytes = 0;
    *motley__weights_embedding(weights) = named("model.embed_tokens.weight", MOTLEY__DENSE_TABLE, dtype, c->vocabulary,
                                                c->D);
    for (int block = 0; block < c->layers; block++)
        list_block(c, dtype, block, motley__weights_block(weights, block));
    *motley__weights_norm(weights) = named("model.norm.weight", MOTLEY__DENSE_VECTOR, dtype, 1, c->D);
    *motley__weights_head(weights) = named("lm_head.weight", MOTLEY__DENSE_LINEAR, dtype, c->vocabulary, c->D);
    for (int i = 0; i < weights->count; i++) {
        struct motley__dense_weight *weight = &weights->weight[i];
        const size_t numbers = numbers_of(weights, weight, path);
        weight->offset = *bytes;
        weight->bytes = numbers * motley__storage_bytes(weight->dtype);
        weight->gradient_offset = *gradient_bytes;
        weight->gradient_bytes = weight->counted ? 0 : numbers * sizeof(float);
        *bytes = motley__align(weights->device, weight->offset + weight->bytes);
        *gradient_bytes = motley__align(weights->device, weight->gradient_offset + weight->gradient_bytes);
    }
}

static int open_weight(struct motley__weights *weights, struct motley__dense_weight *weight, enum motley__dense path,
                       struct motley_error *error)
{
    const int trained = weights->gradients != NULL && !weight->counted;
    int status = motley__buffer_view(weights->values, weight->offset, weight->bytes, &weight->storage, error);
    if (!status && trained)
        status = motley__buffer_view(weights->gradients, weight->gradient_offset, weight->gradient_bytes,
                                     &weight->gradient, error);
    if (status || weight->kind == MOTLEY__DENSE_GATE || weight->kind == MOTLEY__DENSE_GATE_VECTOR)
        return status;
    if (weight->kind == MOTLEY__DENSE_LINEAR) {
        status = motley__linear_create(weights->device, path, weight->dtype, weight->dtype, weight->O, weight->I,
                                       trained, weight->storage, weight->gradient, &weight->linear, error);
        if (!status) {
            weight->w = weight->linear->w;
            weight->dw = weight->linear->dw;
        }
        return status;
    }
    status = motley__matrix_create(weights->device, weight->dtype, 1, weight->O, weight->I, 1, weight->storage,
                                   &weight->w, error);
    if (!status && trained)
        status = motley__matrix_create(weights->device, MOTLEY_F32, 1, weight->O, weight->I, 1, weight->gradient,
                                       &weight->dw, error);
    return status;
}

static int open_arenas(struct motley__weights *weights, size_t bytes, size_t gradient_bytes, int trained,
                       struct motley_error *error)
{
    /* Zeroed whole, the gaps too: they are exchanged and counted with the rest. */
    int status = motley__buffer_create(weights->device, bytes, &weights->values, error);
    if (!status)
        status = motley__buffer_zero(weights->values, 0, bytes, error);
    if (!status && trained)
        status = motley__buffer_create(weights->device, gradient_bytes, &weights->gradients, error);
    if (!status && trained)
        status = motley__buffer_zero(weights->gradients, 0, gradient_bytes, error);
    return status;
}

static int per_block(const struct motley__config *config)
{
    const struct motley_layer_shape shape = motley__config_shape(config, MOTLEY_F32);
    enum motley_weight of_gate[MOTLEY__GATE_WEIGHTS_MOST];
    return MOTLEY__GATE + motley__gate_weights(&shape, of_gate);
}

int motley__weights_create(struct motley__device *device, const struct motley__config *config, enum motley_dtype dtype,
                           enum motley__dense path, int trained, struct motley__weights **weights,
                           struct motley_error *error)
{
    size_t bytes, gradient_bytes;
    struct motley__weights *w = calloc(1, sizeof *w);
    if (!w)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a model");
    w->device = device;
    w->per_block = per_block(config);
    w->weight = calloc((size_t)(config->layers * w->per_block + 3), sizeof *w->weight);
    if (!w->weight) {
        free(w);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a model");
    }
    w->count = config->layers * w->per_block + 3;
    lay_out(w, config, dtype, path, &bytes, &gradient_bytes);
    int status = open_arenas(w, bytes, gradient_bytes, trained, error);
    for (int i = 0; i < w->count && !status; i++)
        status = open_weight(w, &w->weight[i], path, error);
    if (status) {
        motley__weights_destroy(w);
        return status;
    }
    *weights = w;
    return 0;
}

void motley__weights_destroy(struct motley__weights *weights)
{
    if (!weights)
        return;
    for (int i = weights->count - 1; i >= 0; i--) {
        struct motley__dense_weight *weight = &weights->weight[i];
        if (weight->kind == MOTLEY__DENSE_VECTOR || weight->kind == MOTLEY__DENSE_TABLE) {
            motley__matrix_destroy(weight->dw);
            motley__matrix_destroy(weight->w);
        }
        motley__linear_destroy(weight->linear);
        motley__buffer_destroy(weight->gradient);
        motley__buffer_destroy(weight->storage);
    }
    motley__buffer_destroy(weights->gradients);
    motley__buffer_destroy(weights->values);
    free(weights->weight);
    free(weights);
}

double motley__weights_deviation(int residual, int layers)
{
    return residual ? 0.02 / sqrt(2.0 * layers) : 0.02;
}

int motley__weights_draw_part(struct motley__matrix *w, int expert, const char *name, int row, int column, int I,
                              double deviation, uint64_t seed, struct motley_error *error)
{
    const uint64_t stream = motley__hash_text(name);
    float *host = malloc((size_t)w->O * (size_t)w->I * sizeof *host), *next = host;
    if (!host)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the start values of %s", name);
    for (int o = row; o < row + w->O; o++)
        for (int i = column; i < column + w->I; i++)
            *next++ = (float)(deviation * motley__random_normal(seed, stream, (uint64_t)o * (uint64_t)I + (uint64_t)i));
    int status = motley__matrix_set(w, expert, host, error);
    free(host);
    return status;
}

static int set_all(struct motley__matrix *w, double value, struct motley_error *error)
{
    float *host = malloc((size_t)w->I * sizeof *host);
    if (!host)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a vector of %d", w->I);
    for (int i = 0; i < w->I; i++)
        host[i] = (float)value;
    int status = motley__matrix_set(w, 0, host, error);
    free(host);
    return status;
}

int motley__weights_draw(const struct motley__weights *weights, int layers, uint64_t seed, struct motley_error *error)
{
    int status = 0;
    for (int i = 0; i < weights->count && !status; i++) {
        const struct motley__dense_weight *weight = &weights->weight[i];
        assert(weight->w); /* the gates' have been made */
        if (motley__dense_is_vector(weight->kind))
            status = set_all(weight->w, weight->start, error);
        else
            status = motley__weights_draw_part(weight->w, 0, weight->name, 0, 0, weight->I,
                                               motley__weights_deviation(weight->residual, layers), seed, error);
    }
    return status;
}
