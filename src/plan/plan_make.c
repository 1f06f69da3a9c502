/* From what was measured to who computes what: the pure part of planning.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coactivation/coactivation.h"
#include "cost/cost.h"
#include "device/storage.h"
#include "layer/cosine.h"
#include "layer/expert.h"
#include "plan/plan.h"

enum { LARGEST_WIDTH = 1 << 20, LARGEST_EXPERTS = 1 << 20 };

static int check_size(const char *name, const char *meaning, int value, int most, struct motley_error *error)
{
    if (value >= 1 && value <= most)
        return 0;
    return motley__fail(error, MOTLEY_E_INVALID, "%s (%s) is %d, expected 1 to %d", name, meaning, value, most);
}

static int check_gate(const struct motley_layer_shape *shape, struct motley_error *error)
{
    if ((int)shape->gate < MOTLEY_GATE_SOFTMAX || shape->gate > MOTLEY_GATE_FORCED)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "gate is %d, expected softmax (0), sigmoid (1), cosine (2) or forced (3)",
                            (int)shape->gate);
    if (shape->gate == MOTLEY_GATE_COSINE)
        return check_size("gate width", "what the cosine gate projects tokens to", shape->gate_width,
                          MOTLEY__COSINE_WIDEST, error);
    return shape->gate_width == 0 ? 0 : motley__fail(error, MOTLEY_E_INVALID,
                                                     "gate width is %d, expected 0 where the gate is not cosine",
                                                     shape->gate_width);
}

static int check_coactivation(const struct motley_layer_shape *shape, const struct motley_plan_options *options,
                              struct motley_error *error)
{
    const motley_coactivation *coactivation = options->coactivation;
    if (!coactivation)
        return 0;
    if (coactivation->E != shape->E)
        return motley__fail(error, MOTLEY_E_INVALID, "the co-activation is of %d experts, but the layer has %d",
                            coactivation->E, shape->E);
    if (options->coactivation_layer < 0 || options->coactivation_layer > coactivation->layers)
        return motley__fail(error, MOTLEY_E_INVALID, "coactivation_layer is %d, expected 0 to %d",
                            options->coactivation_layer, coactivation->layers);
    return 0;
}

static int check_exchange(const struct motley_plan_options *options, struct motley_error *error)
{
    const int d = options->pipeline;
    if ((int)options->exchange < MOTLEY_EXCHANGE_AUTO || options->exchange > MOTLEY_EXCHANGE_HIERARCHICAL)
        return motley__fail(error, MOTLEY_E_INVALID, "exchange is %d, expected auto (0), linear (1) or "
                            "hierarchical (2)", (int)options->exchange);
    if (d != 0 && d != 1 && d != 2 && d != 4 && d != 8)
        return motley__fail(error, MOTLEY_E_INVALID, "pipeline is %d, expected 1, 2, 4 or 8 chunks, or 0 for auto", d);
    return 0;
}

static int check_loads(const struct motley_layer_shape *shape, const struct motley_plan_options *options,
                       struct motley_error *error)
{
    double sum = 0;
    if (!options->load)
        return 0;
    for (int e = 0; e < shape->E; e++) {
        if (!isfinite(options->load[e]) || options->load[e] < 0)
            return motley__fail(error, MOTLEY_E_INVALID, "the load of expert %d is %g, expected a number from 0 on", e,
                                options->load[e]);
        sum += options->load[e];
    }
    if (sum > 0 && isfinite(sum))
        return 0;
    return motley__fail(error, MOTLEY_E_INVALID, "the loads of all experts together are %g, expected more than 0", sum);
}

static int check_wire(enum motley_dtype dtype, enum motley_dtype wire, struct motley_error *error)
{
    if ((int)wire < MOTLEY_F32 || wire > MOTLEY_F16)
        return motley__fail(error, MOTLEY_E_INVALID, "wire is %d, expected f32 (0), bf16 (1) or f16 (2)", (int)wire);
    if (dtype == MOTLEY_F32 || wire == MOTLEY_F32 || wire == dtype)
        return 0;
    return motley__fail(error, MOTLEY_E_INVALID, "rows stored in %s cannot travel in %s, expected f32 (as they are "
                        "stored) or %s", motley__storage_name(dtype), motley__storage_name(wire),
                        motley__storage_name(dtype));
}

int motley__plan_check(const struct motley_layer_shape *shape, const struct motley_plan_options *options,
                       struct motley_error *error)
{
    int status = check_size("D", "model width", shape->D, LARGEST_WIDTH, error);
    if (!status)
        status = check_size("F", "hidden width of an expert", shape->F, LARGEST_WIDTH, error);
    if (!status)
        status = check_size("E", "experts", shape->E, LARGEST_EXPERTS, error);
    if (!status && (shape->K < 1 || shape->K > shape->E))
        status = motley__fail(error, MOTLEY_E_INVALID, "K (experts per token) is %d, expected 1 to E = %d", shape->K,
                              shape->E);
    if (!status && ((int)shape->activation < MOTLEY_RELU || shape->activation > MOTLEY_SWIGLU))
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "activation is %d, expected relu (0), gelu (1), silu (2) or swiglu (3)",
                              (int)shape->activation);
    if (!status && ((int)shape->dtype < MOTLEY_F32 || shape->dtype > MOTLEY_F16))
        status = motley__fail(error, MOTLEY_E_INVALID, "dtype is %d, expected f32 (0), bf16 (1) or f16 (2)",
                              (int)shape->dtype);
    if (!status)
        status = check_gate(shape, error);
    if (!status && shape->activation == MOTLEY_SWIGLU && shape->bias)
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "swiglu experts have no biases: leave b1 and b2 out, or choose relu, gelu or silu");
    if (!status && !isfinite(options->capacity))
        status = motley__fail(error, MOTLEY_E_INVALID, "the capacity is %g, expected a finite number",
                              options->capacity);
    if (!status && options->tokens < 0)
        status = motley__fail(error, MOTLEY_E_INVALID, "tokens per step is %lld, expected 0 or more",
                              (long long)options->tokens);
    if (!status && (options->sequence < 0 || (options->sequence > 0 && options->tokens % options->sequence)))
        status = motley__fail(error, MOTLEY_E_INVALID, "tokens per step is %lld, expected whole sequences of %d",
                              (long long)options->tokens, options->sequence);
    if (!status && ((int)options->shares < MOTLEY_SHARES_MEASURED || options->shares > MOTLEY_SHARES_EVEN))
        status = motley__fail(error, MOTLEY_E_INVALID, "shares is %d, expected measured (0) or even (1)",
                              (int)options->shares);
    if (!status && ((int)options->mode < MOTLEY_MODE_AUTO || options->mode > MOTLEY_MODE_HYBRID))
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "mode is %d, expected auto (0), expert (1), data (2), model (3) or hybrid (4)",
                              (int)options->mode);
    if (!status && (options->mode == MOTLEY_MODE_HYBRID) != (options->group != 0))
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "group is %d, expected the ranks of a group in mode hybrid and 0 in others",
                              options->group);
    if (!status)
        status = check_exchange(options, error);
    if (!status)
        status = check_wire(shape->dtype, options->wire, error);
    if (!status && (options->layers < 0 || options->moments < 0))
        status = motley__fail(error, MOTLEY_E_INVALID, "layers is %d and moments is %d, expected 0 or more",
                              options->layers, options->moments);
    if (!status)
        status = check_coactivation(shape, options, error);
    return status ? status : check_loads(shape, options, error);
}

/* What each rank brings, where that is said. */
static int check_tokens(const struct motley_plan_options *options, int R, struct motley_error *error)
{
    int64_t sum = 0;
    for (int r = 0; r < R && options->tokens_of; r++) {
        if (options->tokens_of[r] < 0 || options->tokens_of[r] > options->tokens - sum)
            return motley__fail(error, MOTLEY_E_INVALID, "rank %d brings %lld tokens, expected 0 to %lld: what is left "
                                "of %lld", r, (long long)options->tokens_of[r], (long long)(options->tokens - sum),
                                (long long)options->tokens);
        sum += options->tokens_of[r];
    }
    if (options->tokens_of && sum != options->tokens)
        return motley__fail(error, MOTLEY_E_INVALID, "the ranks bring %lld tokens, expected the %lld of a step",
                            (long long)sum, (long long)options->tokens);
    return 0;
}

int motley__plan_possible(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                          struct motley_error *error)
{
    int status = motley__plan_check(shape, options, error);
    if (!status)
        status = check_tokens(options, R, error);
    if (!status)
        status = motley__mode_possible(options->mode, options->group, R, error);
    return status;
}

/* Printable ASCII without the table's separator: names come from drivers. */
static void copy_name(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from[i] && i + 1 < size; i++)
        to[i] = from[i] < ' ' || from[i] > '~' || from[i] == '|' ? '?' : from[i];
    to[i] = 0;
}

static double dense_gflops(const struct motley__dense_time *dense)
{
    return dense->seconds > 0 ? 6e-9 * dense->T * dense->O * dense->I / dense->seconds : 0;
}

/* Everything about a rank but its experts.  rows: of one expert. */
static void describe(const motley_plan *plan, const struct motley__profile_entry *entry, double rows, double seconds,
                     struct motley__plan_entry *rank)
{
    const int trained = plan->options.backward != 0;
    double flops = motley__experts_flops(&plan->shape, rows, 0);
    if (trained)
        flops += motley__experts_flops(&plan->shape, rows, 1);
    copy_name(rank->host, sizeof rank->host, entry->key.host);
    copy_name(rank->device, sizeof rank->device, entry->key.name);
    copy_name(rank->family, sizeof rank->family, entry->key.family);
    copy_name(rank->variant, sizeof rank->variant, entry->key.variant);
    rank->dense = plan->shape.dtype == MOTLEY_F32 ? entry->dense.path : MOTLEY__DENSE_ESMM; /* CLBlast has no bf16 */
    rank->dense_gflops = dense_gflops(&entry->dense);
    rank->gflops = seconds > 0 ? 1e-9 * flops / seconds : 0;
}

static int take_replicas(motley_plan *plan, const struct motley__division *division, struct motley_error *error)
{
    const size_t count = (size_t)division->replicas;
    if (!count)
        return 0;
    plan->replica = malloc(count * sizeof *plan->replica);
    if (!plan->replica)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu replicas of experts", count);
    memcpy(plan->replica, division->replica, count * sizeof *plan->replica);
    plan->replicas = division->replicas;
    return 0;
}

/* How rows travel, and what ranks are, in the plan and in its layers'. */
static void take_way(motley_plan *plan, const struct motley__way *way)
{
    plan->exchange = way->exchange;
    plan->pipeline = way->chunks;
    for (int l = 0; l < plan->layers; l++) {
        memcpy(plan->layer[l]->rank, plan->rank, (size_t)plan->R * sizeof *plan->rank);
        take_way(plan->layer[l], way);
    }
}

/* The chosen division becomes the plan's: what ranks store and bring, and what that costs them. */
static int hand_over(motley_plan *plan, const struct motley__task *task, struct motley__division *division,
                     struct motley__rank_cost *cost, struct motley_error *error)
{
    const double rows = fmax(1, motley__cost_rows(&task->shape, task->options.tokens));
    struct motley__prediction *predicted = &plan->alternative[plan->chosen].predicted;
    int status = motley__division_placement(division, &plan->stored, error);
    if (!status)
        status = take_replicas(plan, division, error);
    plan->mode = division->mode;
    if (!status && task->options.coactivation)
        status = motley__plan_collocate(plan, task, division, error);
    if (!status && plan->layers)
        status = motley__predict(task, division, cost, predicted, error);
    for (int r = 0; r < plan->R && !status; r++) {
        struct motley__plan_entry *rank = &plan->rank[r];
        describe(plan, task->entry[r], rows,
                 motley__cost_expert(task->entry[r], &task->shape, rows, task->options.backward), rank);
        rank->tokens = division->tokens[r];
        rank->seconds = motley__division_seconds(task, division, r, 0);
        rank->forward = cost[r].forward;
        rank->backward = cost[r].backward;
        rank->bytes = cost[r].bytes;
    }
    take_way(plan, &predicted->way[0]);
    return status ? status : motley__plan_index(plan, error);
}

/* Choose, and keep what else was considered. */
static int decide(motley_plan *plan, const struct motley__task *task, struct motley_error *error)
{
    struct motley__division division = {0};
    struct motley__rank_cost *cost = malloc((size_t)plan->R * sizeof *cost);
    int status = 0;
    plan->alternative = malloc(MOTLEY__ALTERNATIVES * sizeof *plan->alternative);
    if (!cost || !plan->alternative)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", plan->R);
    if (!status)
        status = motley__mode_choose(task, plan->alternative, &plan->alternatives, &plan->chosen, &division, cost,
                                     error);
    if (!status)
        status = hand_over(plan, task, &division, cost, error);
    motley__division_clear(&division);
    free(cost);
    return status;
}

int motley__plan_make(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                      const struct motley__profile_entry *const *entry, const struct motley__links *links,
                      motley_plan **plan, struct motley_error *error)
{
    struct motley__task task = {.shape = *shape, .options = *options, .R = R, .entry = entry, .links = links};
    motley_plan *made = NULL;
    if (options->shares == MOTLEY_SHARES_EVEN && !options->pipeline)
        task.options.pipeline = 1;   /* what chunks hide depends on the devices, which even shares do not look at */
    int status = motley__plan_possible(shape, options, R, error);
    if (!status)
        status = motley__plan_alloc(shape, options, R, &made, error);
    if (!status)
        status = motley__task_open(&task, error);
    if (!status)
        status = decide(made, &task, error);
    motley__task_close(&task);
    if (status) {
        motley_plan_destroy(made);
        return status;
    }
    *plan = made;
    return 0;
}
