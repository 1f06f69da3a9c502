/* From what was measured to who computes what: the pure part of planning.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layer/expert.h"
#include "plan/allocate.h"
#include "plan/cost.h"
#include "plan/plan.h"

enum { LARGEST_WIDTH = 1 << 20, LARGEST_EXPERTS = 1 << 20 };

static int check_size(const char *name, const char *meaning, int value, int most, struct motley_error *error)
{
    if (value >= 1 && value <= most)
        return 0;
    return motley__fail(error, MOTLEY_E_INVALID, "%s (%s) is %d, expected 1 to %d", name, meaning, value, most);
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
    if (!status && ((int)shape->gate < MOTLEY_GATE_SOFTMAX || shape->gate > MOTLEY_GATE_FORCED))
        status = motley__fail(error, MOTLEY_E_INVALID, "gate is %d, expected softmax (0) or forced (1)",
                              (int)shape->gate);
    if (!status && shape->activation == MOTLEY_SWIGLU && shape->bias)
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "swiglu experts have no biases: leave b1 and b2 out, or choose relu, gelu or silu");
    if (!status && options->tokens < 0)
        status = motley__fail(error, MOTLEY_E_INVALID, "tokens per step is %lld, expected 0 or more",
                              (long long)options->tokens);
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
    if (!status && (options->layers < 0 || options->moments < 0))
        status = motley__fail(error, MOTLEY_E_INVALID, "layers is %d and moments is %d, expected 0 or more",
                              options->layers, options->moments);
    return status;
}

int motley__plan_possible(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                          struct motley_error *error)
{
    int status = motley__plan_check(shape, options, error);
    if (!status && R > shape->E)
        status = motley__fail(error, MOTLEY_E_UNSUPPORTED,
                              "%d ranks but only %d expert%s: run at most %d rank%s, or a layer of at least %d "
                              "experts", R, shape->E, shape->E == 1 ? "" : "s", shape->E, shape->E == 1 ? "" : "s", R);
    return status;
}

/* What the cost functions need to know of every rank. */
struct load {
    const double *expert_seconds;   /* [R] of one expert */
};

static double expert_seconds(const void *data, int rank, int items)
{
    const struct load *load = data;
    return items * load->expert_seconds[rank];
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

/* Experts per rank, by the measured optimum or evenly.  most [R]: what the memory holds. */
static int share_out(const motley_plan *plan, const double *seconds, const int *most, int *share,
                     struct motley_error *error)
{
    const int E = plan->shape.E, R = plan->R;
    const struct load load = {seconds};
    if (plan->options.shares == MOTLEY_SHARES_MEASURED)
        return motley__allocate(E, R, expert_seconds, &load, most, "experts", share, error);
    motley__allocate_even(E, R, share);
    for (int r = 0; r < R; r++)
        if (share[r] > most[r])
            return motley__fail(error, MOTLEY_E_DEVICE_MEMORY,
                                "even shares give rank %d %d experts but its device has memory for %d: use measured "
                                "shares, more ranks, fewer tokens per step, or a higher --memory-limit", r, share[r],
                                most[r]);
    return 0;
}

/* Ascending blocks by rank, and what they cost. */
static int hand_over(motley_plan *plan, const struct motley__profile_entry *const *entry, const double *seconds,
                     double rows, const int *share, struct motley_error *error)
{
    const int64_t T = plan->options.tokens, R = plan->R;
    int next = 0;
    for (int r = 0; r < plan->R; r++) {
        struct motley__plan_entry *rank = &plan->rank[r];
        struct motley__holding *holding = &plan->stored.rank[r];
        int status = motley__holding_alloc(holding, share[r], error);
        if (status)
            return status;
        for (int i = 0; i < share[r]; i++)
            holding->expert[i] = next++;
        holding->end = plan->shape.F;
        describe(plan, entry[r], rows, seconds[r], rank);
        rank->tokens = T / R + (r < T % R);
        rank->seconds = share[r] * seconds[r];
        rank->bytes = motley__cost_bytes(&plan->shape, &plan->options, plan->R, share[r], entry[r]->panel);
    }
    return motley__plan_index(plan, error);
}

int motley__plan_make(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                      const struct motley__profile_entry *const *entry, motley_plan **plan, struct motley_error *error)
{
    motley_plan *made = NULL;
    double *seconds = calloc((size_t)R, sizeof *seconds);
    int *most = calloc((size_t)R * 2, sizeof *most), *share = most ? most + R : NULL;
    int status = 0;
    if (!seconds || !most)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", R);
    if (!status)
        status = motley__plan_possible(shape, options, R, error);
    if (!status)
        status = motley__plan_alloc(shape, options, R, &made, error);
    const double rows = fmax(1, motley__cost_rows(shape, options->tokens));
    for (int r = 0; !status && r < R; r++) {
        seconds[r] = motley__cost_expert(entry[r], shape, rows, options->backward);
        most[r] = seconds[r] > 0 || options->shares == MOTLEY_SHARES_EVEN
                      ? motley__cost_most_experts(shape, options, R, entry[r]->panel, entry[r]->key.memory_bytes)
                      : 0;
    }
    if (!status)
        status = share_out(made, seconds, most, share, error);
    if (!status)
        status = hand_over(made, entry, seconds, rows, share, error);
    free(most);
    free(seconds);
    if (status) {
        motley_plan_destroy(made);
        return status;
    }
    *plan = made;
    return 0;
}

static double sequence_seconds(const void *data, int rank, int items)
{
    const motley_plan *plan = data;
    return items / plan->rank[rank].dense_gflops;
}

int motley__plan_dense_shares(const motley_plan *plan, int B, int *share, struct motley_error *error)
{
    int known = plan->options.shares == MOTLEY_SHARES_MEASURED;
    for (int r = 0; r < plan->R; r++)
        known = known && plan->rank[r].dense_gflops > 0;
    if (known)
        return motley__allocate(B, plan->R, sequence_seconds, plan, NULL, "sequences", share, error);
    motley__allocate_even(B, plan->R, share);
    return 0;
}
