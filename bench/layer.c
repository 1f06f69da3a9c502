/* The library's layer without its router.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "bench/layer.h"
#include "layer/state.h"
#include "plan/plan.h"
#include "product/esmm.h"

struct motley__bench_layer {
    motley_context alone;                   /* this rank as if there were no others; borrows from the real one */
    int node;                               /* number 0: alone.node_of */
    motley_plan *plan;
    motley_layer *layer;
    int trained;
    struct motley__step forward, backward;
};

void motley__bench_layer_destroy(struct motley__bench_layer *layer)
{
    if (!layer)
        return;
    motley_layer_destroy(layer->layer);
    motley_plan_destroy(layer->plan);
    free(layer);
}

/* Each behind the one before it, as the queue is in order. */
static void add(void *self, struct motley__step *step, const char *name, int (*begin)(void *, struct motley_error *))
{
    motley__step_add(step, (struct motley__op){.name = name, .stream = MOTLEY__COMPUTATION,
        .phase = MOTLEY__PHASE_EXPERTS, .begin = begin, .self = self});
}

/* The layer's own lists on one rank (layer/layer.c), the gate left out. */
static void make_lists(struct motley__bench_layer *l)
{
    struct motley__numbered *batch = &l->layer->number[0]; /* the only one */

    add(l->layer, &l->forward, "route", motley__forward_route);
    add(l->layer, &l->forward, "place", motley__forward_place);
    add(batch, &l->forward, "experts", motley__forward_experts);
    add(l->layer, &l->forward, "decode", motley__forward_decode);
    add(batch, &l->backward, "experts backward", motley__backward_experts);
    add(batch, &l->backward, "experts' gradients", motley__backward_gradients);
    add(l->layer, &l->backward, "decode dx", motley__backward_decode);
}

static int set_weights(const struct motley__bench_layer *l, const struct motley__bench_weights *weights,
                       struct motley_error *error)
{
    static const struct {
        enum motley_weight there;
        enum motley__bench_weight here;
    } pairs[] = {{MOTLEY_W1, MOTLEY__W1}, {MOTLEY_W2, MOTLEY__W2}, {MOTLEY_W3, MOTLEY__W3}};
    const int count = weights->shape.activation == MOTLEY_SWIGLU ? 3 : 2;
    const size_t each = (size_t)weights->shape.D * (size_t)weights->shape.F;
    float *host = malloc(each * sizeof *host);
    int status =
        host ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a matrix of %zu numbers", each);
    for (int i = 0; i < count && !status; i++)
        for (int e = 0; e < weights->shape.E && !status; e++) {
            motley__bench_weights_numbers(weights, pairs[i].here, e, 0, each, host);
            status = motley_layer_set(l->layer, pairs[i].there, e, host, error);
        }
    free(host);
    return status;
}

static int create(struct motley__bench_weights *weights, int trained, struct motley__bench_layer **layer,
                  struct motley_error *error)
{
    const struct motley__bench_shape *s = &weights->shape;
    const struct motley_layer_shape shape = {.D = s->D, .F = s->F, .E = s->E, .K = s->K, .activation = s->activation,
        .dtype = s->dtype, .gate = MOTLEY_GATE_FORCED};
    const struct motley_plan_options options = {.backward = trained, .shares = MOTLEY_SHARES_EVEN};
    struct motley__profile_entry entry = {.key = {.memory_bytes = UINT64_MAX}};  /* the device itself says what fits */
    const struct motley__profile_entry *const entries[] = {&entry};
    struct motley__bench_layer *l = calloc(1, sizeof *l);
    if (!l)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a layer");
    l->alone = *weights->context;
    l->alone.comm = l->alone.node = MPI_COMM_SELF;
    l->alone.rank = l->alone.node_rank = 0;
    l->alone.size = l->alone.node_size = 1;
    l->alone.node_of = &l->node;
    l->alone.info = &weights->context->info[weights->context->rank];
    l->trained = trained;
    entry.panel = motley__esmm_panel(weights->device, s->dtype);
    int status = motley__plan_make(&shape, &options, 1, entries, NULL, &l->plan, error);
    if (!status)
        status = motley_layer_create(&l->alone, l->plan, &l->layer, error);
    if (!status)
        status = set_weights(l, weights, error);
    if (status) {
        motley__bench_layer_destroy(l);
        return status;
    }
    make_lists(l);
    *layer = l;
    return 0;
}

/* The right layer with the problem's rows in it, both directions run once by the layer's own lists. */
static int open_layer(struct motley__problem *p, int trained, struct motley_error *error)
{
    struct motley__bench_weights *weights = p->weights;
    struct motley__buffer *x, *y, *dy;
    int status = 0;
    if (weights->layer && weights->layer->trained != trained) {
        motley__bench_layer_destroy(weights->layer);
        weights->layer = NULL;
    }
    if (!weights->layer)
        status = create(weights, trained, &weights->layer, error);
    if (!status)
        status = motley__problem_there(p, MOTLEY__X, &x, error);
    if (!status)
        status = motley__problem_there(p, MOTLEY__Y, &y, error);
    if (!status && trained)
        status = motley__problem_there(p, MOTLEY__DY, &dy, error);
    if (!status)
        status = motley__layer_forward(weights->layer->layer, p->T, x, p->indices, 0, y, error);
    if (!status && trained)
        status = motley__layer_backward(weights->layer->layer, p->T, dy, 0, y, error);
    if (!status)
        status = motley__buffer_write(weights->layer->layer->saved[MOTLEY__SAVED_WEIGHTS], 0, p->weight,
                                      (size_t)p->P * sizeof *p->weight, error);
    return status;
}

static int open_forward(struct motley__problem *p, struct motley_error *error)
{
    return open_layer(p, 0, error);
}

static int open_backward(struct motley__problem *p, struct motley_error *error)
{
    return open_layer(p, 1, error);
}

static int run(struct motley__problem *p, const struct motley__step *step, struct motley_error *error)
{
    const struct motley__executor executor = {.device = p->device, .time_limit = p->weights->context->time_limit};
    struct motley__step_times times;
    return motley__execute(&executor, step, &times, error);
}

static int run_forward(struct motley__problem *p, struct motley_error *error)
{
    return run(p, &p->weights->layer->forward, error);
}

static int run_backward(struct motley__problem *p, struct motley_error *error)
{
    return run(p, &p->weights->layer->backward, error);
}

static int results_forward(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = (struct motley__result){.rows = p->tensor[MOTLEY__Y], .count = p->T, .width = (size_t)p->shape.D,
        .dtype = motley__problem_dtype(p, MOTLEY__Y)};
    return 1;
}

static int results_backward(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    const struct motley__experts *experts = motley__layer_experts(p->weights->layer->layer);
    const struct motley__matrix *const gradient[] = {experts->dw1, experts->dw2, experts->dw3};
    int count = results_forward(p, result); /* dx is where y was */
    for (int i = 0; i < 3 && gradient[i]; i++)
        result[count++] = (struct motley__result){.matrix = gradient[i], .count = p->shape.E,
            .width = (size_t)p->shape.D * (size_t)p->shape.F};
    return count;
}

/* Weights once where there are rows; x read, y written. */
static struct motley__work work_forward(const struct motley__problem *p, int e)
{
    const double n = p->offsets[e + 1] - p->offsets[e], matrices = p->shape.activation == MOTLEY_SWIGLU ? 3 : 2;
    const double weights = matrices * p->shape.D * p->shape.F;
    return (struct motley__work){2 * n * weights,
                                 motley__operator_bytes(p) * ((n > 0 ? weights : 0) + n * 2 * p->shape.D)};
}

/* Weights once where there are rows, every gradient written; x, dy and what was kept of the activations read, dx
 * written. */
static struct motley__work work_backward(const struct motley__problem *p, int e)
{
    const double n = p->offsets[e + 1] - p->offsets[e], matrices = p->shape.activation == MOTLEY_SWIGLU ? 3 : 2;
    const double weights = matrices * p->shape.D * p->shape.F;
    const double rows = n * (3.0 * p->shape.D + (matrices - 1) * p->shape.F);
    return (struct motley__work){4 * n * weights, motley__operator_bytes(p) * ((n > 0 ? weights : 0) + rows) +
                                                  sizeof(float) * weights};
}

const struct motley__operator motley__operator_layer = {
    .name = "layer", .open = open_forward, .run = run_forward, .results = results_forward, .work = work_forward,
};
const struct motley__operator motley__operator_layer_backward = {
    .name = "layer", .backward = 1, .open = open_backward, .prepare = run_forward, .run = run_backward,
    .results = results_backward, .work = work_backward,
};
