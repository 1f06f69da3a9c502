/* A decoder's parts, put together and taken apart.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "device/queue.h"
#include "model/rope.h"
#include "model/state.h"
#include "profile/names.h"

enum { EXPERT_MATRICES = 3 };

static const struct {
    const char *name;
    int residual;
    enum motley__hidden hidden;
} expert_matrix[EXPERT_MATRICES] = {
    {"w1", 0, MOTLEY__HIDDEN_ROWS}, {"w2", 1, MOTLEY__HIDDEN_COLUMNS}, {"w3", 0, MOTLEY__HIDDEN_ROWS},
};

/* The experts' matrices of a block, in the order of expert_matrix. */
static void matrices_of(const struct motley__experts *experts, struct motley__matrix *w[EXPERT_MATRICES],
                        struct motley__matrix *dw[EXPERT_MATRICES])
{
    w[0] = experts->w1, w[1] = experts->w2, w[2] = experts->w3;
    dw[0] = experts->dw1, dw[1] = experts->dw2, dw[2] = experts->dw3;
}

static int check_plan(const struct motley__config *c, const motley_plan *plan, struct motley_error *error)
{
    const struct motley_layer_shape *s = &plan->shape, wanted = motley__config_shape(c, s->dtype);
    if (s->D == c->D && s->F == c->F && s->E == c->E && s->K == c->K && s->activation == wanted.activation &&
        s->gate == wanted.gate && s->gate_width == wanted.gate_width && s->normalize == wanted.normalize &&
        (!plan->layers || plan->layers == c->layers))
        return 0;
    if (plan->layers && plan->layers != c->layers)
        return motley__fail(error, MOTLEY_E_INVALID, "the plan places the experts of %d layers, but the model has %d: "
                            "plan anew", plan->layers, c->layers);
    return motley__fail(error, MOTLEY_E_INVALID,
                        "the plan is for D=%d F=%d E=%d K=%d%s%s and a %s gate of width %d, but the model needs D=%d "
                        "F=%d E=%d K=%d, swiglu and a normalised %s gate of width %d: plan anew",
                        s->D, s->F, s->E, s->K, s->activation == MOTLEY_SWIGLU ? "" : ", not swiglu",
                        s->normalize ? "" : ", not normalised", motley__gate_names[s->gate], s->gate_width, c->D, c->F,
                        c->E, c->K, motley__gate_names[c->gate], c->gate_width);
}

/* A file of one layer is every block's. */
static int collaborate(const struct motley__decoder *d, motley_layer *moe, int block, struct motley_error *error)
{
    return motley_layer_collaborate(moe, d->coactivation,
                                    motley_coactivation_layers(d->coactivation) > 1 ? block + 1 : 0, d->collaborators,
                                    error);
}

int motley__decoder_collaborate(struct motley__decoder *d, const motley_coactivation *coactivation, int collaborators,
                                struct motley_error *error)
{
    int status = 0;
    d->coactivation = coactivation;
    d->collaborators = collaborators;
    for (int i = 0; i < d->config.layers && !status; i++)
        status = collaborate(d, d->block[i].moe, i, error);
    return motley__context_agree(d->context, status, error);
}

/* What its kind of gate and of routing asks of a layer. */
static int prepare_layer(const struct motley__decoder *d, motley_layer *moe, int i, struct motley_error *error)
{
    const struct motley_routing routing = {.before = d->config.before};
    /* The model's losses are means over its layers. */
    motley__layer_coefficients(moe)->balance = d->config.balance_coefficient / d->config.layers;
    motley__layer_coefficients(moe)->z = d->config.z_coefficient / d->config.layers;
    int status = motley__layer_set_routing(moe, &routing, error);
    return status || !d->collaborators ? status : collaborate(d, moe, i, error);
}

int motley__decoder_make_layer(struct motley__decoder *d, int i, const motley_plan *plan, struct motley_error *error)
{
    struct motley__dense_weight *gate = &d->block[i].weight[MOTLEY__GATE];
    struct motley__weight_place place[MOTLEY__GATE_WEIGHTS_MOST];
    enum motley_weight which[MOTLEY__GATE_WEIGHTS_MOST];
    const int parts = motley__gate_weights(&plan->shape, which);
    motley_layer *moe;
    for (int k = 0; k < parts; k++)
        place[k] = (struct motley__weight_place){gate[k].storage, gate[k].gradient};
    int status = motley__layer_create(d->context, motley__plan_of_layer(plan, i), d->trained, d->scratch, place, &moe,
                                      error);
    if (status)
        return status;
    status = motley__context_agree(d->context, prepare_layer(d, moe, i, error), error);
    if (status) {
        motley_layer_destroy(moe);
        return status;
    }
    d->block[i].moe = moe;
    for (int k = 0; k < parts; k++) {
        gate[k].w = motley__layer_matrix(moe, which[k], 0);
        gate[k].dw = motley__layer_matrix(moe, which[k], 1);
    }
    return 0;
}

int motley__decoder_route(struct motley__decoder *d, const struct motley_routing *routing, double importance,
                          struct motley_error *error)
{
    struct motley_routing own = *routing;
    int status = 0;
    own.before = d->config.before;
    for (int i = 0; i < d->config.layers && !status; i++) {
        const uint64_t layer = (uint64_t)i;
        own.seed = motley__hash_bytes(motley__hash_bytes(MOTLEY__HASH_START, &routing->seed, sizeof routing->seed),
                                      &layer, sizeof layer); /* one noise for each */
        motley__layer_coefficients(d->block[i].moe)->importance = importance / d->config.layers;
        status = motley__layer_set_routing(d->block[i].moe, &own, error);
    }
    return status;
}

void motley__decoder_link_layers(struct motley__decoder *d)
{
    for (int i = 0; i < d->config.layers; i++)
        motley__layer_link(d->block[i].moe, i > 0 ? d->block[i - 1].moe : NULL,
                           i + 1 < d->config.layers ? d->block[i + 1].moe : NULL);
}

static int create_blocks(struct motley__decoder *d, struct motley_error *error)
{
    int status = 0;
    for (int i = 0; i < d->config.layers && !status; i++) {
        d->block[i] = (struct motley__block){.device = d->device, .config = &d->config, .dtype = d->dtype,
                                             .rope = d->rope, .weight = motley__weights_block(d->weights, i)};
        status = motley__decoder_make_layer(d, i, d->plan, error);
    }
    if (!status)
        motley__decoder_link_layers(d);
    return status;
}

/* Start values of what this rank holds of an expert's matrix. */
static int draw_expert(struct motley__decoder *d, const struct motley__parameter *p, int layer, int e, int m,
                       uint64_t seed, struct motley_error *error)
{
    const struct motley__part_shape part = motley__parameter_part(p, p->mine);
    char name[128];
    snprintf(name, sizeof name, "model.layers.%d.block_sparse_moe.experts.%d.%s.weight", layer, p->mine->expert[e],
             expert_matrix[m].name);
    return motley__weights_draw_part(p->w, e, name, part.row, part.column, p->I,
                                     motley__weights_deviation(expert_matrix[m].residual, d->config.layers), seed,
                                     error);
}

static void add_dense(struct motley__decoder *d, const struct motley__dense_weight *weight)
{
    struct motley__parameter *p = &d->parameter[d->parameters++];
    const int vector = motley__dense_is_vector(weight->kind);
    *p = (struct motley__parameter){.w = weight->w, .dw = weight->dw, .dims = vector ? 1 : 2, .O = weight->O,
                                    .I = weight->I, .decay = !vector, .counted = weight->counted};
    snprintf(p->name, sizeof p->name, "%s", weight->name);
}

static void add_experts(struct motley__decoder *d, int block)
{
    const struct motley__placement *stored = &motley__plan_of_layer(d->plan, block)->stored;
    struct motley__matrix *w[EXPERT_MATRICES], *dw[EXPERT_MATRICES];
    matrices_of(motley__layer_experts(d->block[block].moe), w, dw);
    for (int m = 0; m < EXPERT_MATRICES; m++) {
        struct motley__parameter *p = &d->parameter[d->parameters++];
        const int columns = expert_matrix[m].hidden == MOTLEY__HIDDEN_COLUMNS;
        *p = (struct motley__parameter){
            .w = w[m], .dw = dw[m], .dims = 2, .O = columns ? d->config.D : d->config.F,
            .I = columns ? d->config.F : d->config.D, .placement = stored,
            .mine = &stored->rank[d->context->rank], .hidden = expert_matrix[m].hidden, .decay = 1,
        };
        snprintf(p->name, sizeof p->name, "model.layers.%d.block_sparse_moe.experts.%%d.%s.weight", block,
                 expert_matrix[m].name);
    }
}

static int draw_experts(struct motley__decoder *d, uint64_t seed, struct motley_error *error)
{
    const struct motley__parameter *p = d->parameter + 1; /* behind the embedding */
    int status = 0;
    for (int i = 0; i < d->config.layers; i++, p += EXPERT_MATRICES) {
        p += d->weights->per_block;
        for (int e = 0; e < p->mine->experts; e++)
            for (int m = 0; m < EXPERT_MATRICES && !status; m++)
                status = draw_expert(d, &p[m], i, e, m, seed, error);
    }
    return status;
}

static void list_parameters(struct motley__decoder *d)
{
    add_dense(d, motley__weights_embedding(d->weights));
    for (int i = 0; i < d->config.layers; i++) {
        for (int which = 0; which < d->weights->per_block; which++)
            add_dense(d, &motley__weights_block(d->weights, i)[which]);
        add_experts(d, i);
    }
    add_dense(d, motley__weights_norm(d->weights));
    add_dense(d, motley__weights_head(d->weights));
}

/* What needs no other rank. */
static int create_local(struct motley__decoder *d, struct motley_error *error)
{
    const struct motley__config *c = &d->config;
    int status = motley__config_check(c, error);
    if (!status)
        status = check_plan(c, d->plan, error);
    if (status)
        return status;
    d->sets = d->trained ? c->layers : 1;
    d->scratch = motley__scratch_create();
    d->block = calloc((size_t)c->layers, sizeof *d->block);
    d->saved = calloc((size_t)d->sets, sizeof *d->saved);
    d->host_offsets = calloc((size_t)c->vocabulary + 1, sizeof *d->host_offsets);
    if (!d->scratch || !d->block || !d->saved || !d->host_offsets)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a model of %d layers", c->layers);
    status = motley__rope_table(d->device, c->positions, c->D / c->heads, c->rope_theta, &d->rope, error);
    if (!status)
        status = motley__weights_create(d->device, c, d->dtype,
                                        (enum motley__dense)d->plan->rank[d->context->rank].dense, d->trained,
                                        &d->weights, error);
    if (status)
        return status;
    d->parameter = calloc((size_t)(d->weights->count + c->layers * EXPERT_MATRICES), sizeof *d->parameter);
    return d->parameter ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a model of %d layers",
                                           c->layers);
}

int motley__decoder_create(motley_context *context, const struct motley__config *config, const motley_plan *plan,
                           int trained, uint64_t seed, struct motley__decoder **decoder, struct motley_error *error)
{
    struct motley__decoder *d = calloc(1, sizeof *d);
    int status = d ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a model");
    if (d)
        *d = (struct motley__decoder){.context = context, .device = context->device, .plan = plan, .config = *config,
                                      .dtype = plan->shape.dtype, .trained = trained};
    status = motley__context_agree(context, status, error);
    if (!status) /* before any matrix: it decides their layout */
        status = motley__context_admit(context, d->dtype, error);
    if (!status)
        status = motley__context_agree(context, create_local(d, error), error);
    if (!status)
        status = create_blocks(d, error);
    if (!status)
        status = motley__weights_draw(d->weights, d->config.layers, seed, error);
    if (!status) {
        list_parameters(d);
        status = draw_experts(d, seed, error);
    }
    status = motley__context_agree(context, status, error);
    if (status) {
        motley__decoder_destroy(d);
        return status;
    }
    *decoder = d;
    return 0;
}

void motley__decoder_destroy(struct motley__decoder *decoder)
{
    if (!decoder)
        return;
    struct motley__decoder *d = decoder;
    for (int i = 0; d->cache && i < d->config.layers; i++) {
        motley__buffer_destroy(d->cache[i].kt);
        motley__buffer_destroy(d->cache[i].v);
    }
    struct motley__buffer *buffers[] = {d->token, d->target, d->order, d->offsets, d->x, d->r, d->n, d->logits,
                                        d->loss, d->dx, d->rope};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        motley__buffer_destroy(buffers[i]);
    motley__workspace_release(&d->workspace);
    for (int i = 0; d->saved && i < d->sets; i++)
        motley__activations_release(&d->saved[i]);
    for (int i = 0; d->block && i < d->config.layers; i++)
        motley_layer_destroy(d->block[i].moe);
    motley__scratch_destroy(d->scratch);
    motley__weights_destroy(d->weights);
    free(d->cache);
    free(d->host_loss);
    free(d->host_offsets);
    free(d->host_tokens);
    free(d->saved);
    free(d->parameter);
    free(d->block);
    free(d);
}

struct motley__parameter *motley__decoder_parameters(struct motley__decoder *decoder, int *count)
{
    *count = decoder->parameters;
    return decoder->parameter;
}

struct motley__buffer *motley__decoder_dense_gradients(struct motley__decoder *decoder)
{
    return decoder->weights->gradients;
}

struct motley__matrix *motley__decoder_correction(const struct motley__decoder *d, int layer)
{
    return motley__layer_matrix(d->block[layer].moe, MOTLEY_GATE_CORRECTION, 0);
}

int motley__decoder_choices(const struct motley__decoder *d, int layer, int32_t *indices, struct motley_error *error)
{
    return motley__layer_choices(d->block[layer].moe, indices, error);
}

void motley__decoder_expert_phase(const struct motley__decoder *d, double *seconds, double *pairs)
{
    *seconds = *pairs = 0;
    for (int i = 0; i < d->config.layers; i++) {
        *seconds += motley_layer_forward_times(d->block[i].moe).experts +
                    motley_layer_backward_times(d->block[i].moe).experts;
        *pairs += motley__layer_pairs(d->block[i].moe);
    }
}

int motley__decoder_add_rows(const struct motley__decoder *d, int apart, double *rows, struct motley_error *error)
{
    int status = 0;
    for (int i = 0; i < d->config.layers && !status; i++)
        status = motley__layer_read_rows(d->block[i].moe, error);
    if (!status)
        status = motley__queue_wait(d->context->device, error);
    for (int i = 0; i < d->config.layers && !status; i++)
        motley__layer_add_rows(d->block[i].moe, rows + (apart ? i * d->config.E : 0));
    return status;
}

const struct motley__config *motley__decoder_config(const struct motley__decoder *decoder)
{
    return &decoder->config;
}
