/* The operators' table.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "bench/operator.h"
#include "layer/esmm.h"
#include "layer/estmm.h"

/* Tokens, found by the pairs' index. */
static struct motley__rows by_token(const struct motley__problem *p, enum motley__tensor which)
{
    return (struct motley__rows){.own = p->tensor[which], .own_rows = p->T, .index = p->token_there};
}

/* Rows that lie where their pairs do. */
static struct motley__rows by_pair(const struct motley__problem *p, enum motley__tensor which)
{
    return (struct motley__rows){.own = p->tensor[which], .own_rows = p->P};
}

static int rows_of(const struct motley__problem *p, int e)
{
    return p->offsets[e + 1] - p->offsets[e];
}

static struct motley__result rows_result(struct motley__problem *p, enum motley__tensor which)
{
    return (struct motley__result){.rows = p->tensor[which], .count = motley__problem_rows(p, which),
                                   .width = (size_t)motley__problem_width(p, which)};
}

static int need(struct motley__problem *p, const enum motley__tensor *tensors, int count, struct motley_error *error)
{
    struct motley__buffer *buffer;
    int status = 0;
    for (int i = 0; i < count && !status; i++)
        status = motley__problem_there(p, tensors[i], &buffer, error);
    return status;
}

static int need_weights(struct motley__problem *p, const enum motley__bench_weight *weights, int count, struct motley_error *error)
{
    struct motley__matrix *matrix;
    int status = 0;
    for (int i = 0; i < count && !status; i++)
        status = motley__bench_weights_there(p->weights, weights[i], &matrix, error);
    return status;
}
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* A product of n rows with a matrix [F,D]: its weights are moved only where there are rows. */
static struct motley__work product_work(const struct motley__problem *p, int e, int matrices, int read, int written)
{
    const double n = rows_of(p, e), weights = n > 0 ? (double)matrices * p->shape.D * p->shape.F : 0;
    return (struct motley__work){2 * n * matrices * p->shape.D * p->shape.F,
                                 sizeof(float) * (weights + n * ((double)read + written))};
}

/* h [P,F] = x[token,:] W1^T */
static int open_esmm(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__X, MOTLEY__H};
    static const enum motley__bench_weight weights[] = {MOTLEY__W1};
    int status = need(p, tensors, COUNT(tensors), error);
    return status ? status : need_weights(p, weights, COUNT(weights), error);
}

static int run_esmm(struct motley__problem *p, struct motley_error *error)
{
    return motley__esmm(p->device, &(struct motley__esmm){.w = p->weights->matrix[MOTLEY__W1],
        .ragged = motley__problem_ragged(p), .x = by_token(p, MOTLEY__X), .activation = MOTLEY__ACT_NONE,
        .y = p->tensor[MOTLEY__H]}, error);
}

static int results_hidden(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = rows_result(p, MOTLEY__H);
    return 1;
}

static struct motley__work work_esmm(const struct motley__problem *p, int e)
{
    return product_work(p, e, 1, p->shape.D, p->shape.F);
}

/* h [P,F] = silu(x[token,:] W1^T) * (x[token,:] W3^T) */
static int open_swiglu(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__X, MOTLEY__H};
    static const enum motley__bench_weight weights[] = {MOTLEY__W1, MOTLEY__W3};
    int status = need(p, tensors, COUNT(tensors), error);
    return status ? status : need_weights(p, weights, COUNT(weights), error);
}

static int run_swiglu(struct motley__problem *p, struct motley_error *error)
{
    return motley__esmm(p->device, &(struct motley__esmm){.w = p->weights->matrix[MOTLEY__W1],
        .w3 = p->weights->matrix[MOTLEY__W3], .ragged = motley__problem_ragged(p), .x = by_token(p, MOTLEY__X),
        .activation = MOTLEY__ACT_SWIGLU, .y = p->tensor[MOTLEY__H]}, error);
}

static struct motley__work work_swiglu(const struct motley__problem *p, int e)
{
    return product_work(p, e, 2, p->shape.D, p->shape.F);
}

/* dx [P,D] = g W1 */
static int open_transposed(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__G, MOTLEY__DX};
    static const enum motley__bench_weight weights[] = {MOTLEY__W1};
    int status = need(p, tensors, COUNT(tensors), error);
    return status ? status : need_weights(p, weights, COUNT(weights), error);
}

static int run_transposed(struct motley__problem *p, struct motley_error *error)
{
    return motley__esmm_transposed(p->device, &(struct motley__esmm){.w = p->weights->matrix[MOTLEY__W1],
        .ragged = motley__problem_ragged(p), .x = by_pair(p, MOTLEY__G), .activation = MOTLEY__ACT_NONE,
        .y = p->tensor[MOTLEY__DX]}, error);
}

static int results_transposed(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = rows_result(p, MOTLEY__DX);
    return 1;
}

static struct motley__work work_transposed(const struct motley__problem *p, int e)
{
    return product_work(p, e, 1, p->shape.F, p->shape.D);
}

/* dW [E,F,D] = g^T x[token,:] of each expert's pairs */
static int open_estmm(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__G, MOTLEY__X};
    static const enum motley__bench_weight weights[] = {MOTLEY__DW1};
    int status = need(p, tensors, COUNT(tensors), error);
    return status ? status : need_weights(p, weights, COUNT(weights), error);
}

static int run_estmm(struct motley__problem *p, struct motley_error *error)
{
    return motley__estmm(p->device, &(struct motley__estmm){motley__problem_ragged(p), by_pair(p, MOTLEY__G),
        by_token(p, MOTLEY__X), 0, p->weights->matrix[MOTLEY__DW1]}, error);
}

static int results_estmm(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = (struct motley__result){.matrix = p->weights->matrix[MOTLEY__DW1], .count = p->shape.E,
                                        .width = (size_t)p->shape.D * (size_t)p->shape.F};
    return 1;
}

/* The gradient of every expert is written, also where it is zero. */
static struct motley__work work_estmm(const struct motley__problem *p, int e)
{
    const double n = rows_of(p, e), D = p->shape.D, F = p->shape.F;
    return (struct motley__work){2 * n * D * F, sizeof(float) * (D * F + n * (D + F))};
}

const struct motley__operator motley__operators[] = {
    {"esmm", 0, open_esmm, NULL, run_esmm, results_hidden, work_esmm},
    {"esmm_swiglu", 0, open_swiglu, NULL, run_swiglu, results_hidden, work_swiglu},
    {"esmm_transposed", 1, open_transposed, NULL, run_transposed, results_transposed, work_transposed},
    {"estmm", 1, open_estmm, NULL, run_estmm, results_estmm, work_estmm},
    {0},
};

struct motley__work motley__operator_work(const struct motley__operator *op, const struct motley__problem *problem)
{
    struct motley__work sum = {0};
    for (int e = 0; e < problem->shape.E; e++) {
        const struct motley__work work = op->work(problem, e);
        sum.flops += work.flops;
        sum.bytes += work.bytes;
    }
    return sum;
}

double motley__operator_limit(const struct motley__operator *op, const struct motley__problem *problem, double flops_per_second,
                              double bytes_per_second)
{
    double seconds = 0;
    for (int e = 0; e < problem->shape.E; e++) {
        const struct motley__work work = op->work(problem, e);
        const double computing = work.flops / flops_per_second, moving = work.bytes / bytes_per_second;
        seconds += computing > moving ? computing : moving;
    }
    return seconds;
}
