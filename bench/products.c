/* The products of experts as they are measured.
 *
 *   esmm              h [P,F] = x[token,:] W1^T
 *   esmm_swiglu       h [P,F] = silu(x[token,:] W1^T) * (x[token,:] W3^T)
 *   esmm_transposed   dx [P,D] = g W1
 *   estmm             dW1 [E,F,D] = g^T x[token,:] of each expert's pairs
 *   ess               db [E,F] = the sum of g over each expert's pairs
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "bench/operator.h"
#include "product/esmm.h"
#include "product/estmm.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static int rows_of(const struct motley__problem *p, int e)
{
    return p->offsets[e + 1] - p->offsets[e];
}

/* A product of n rows with matrices [F,D]: weights are moved only where there are rows. */
static struct motley__work product_work(const struct motley__problem *p, int e, int matrices, int read, int written)
{
    const double n = rows_of(p, e), weights = n > 0 ? (double)matrices * p->shape.D * p->shape.F : 0;
    return (struct motley__work){2 * n * matrices * p->shape.D * p->shape.F,
                                 motley__operator_bytes(p) * (weights + n * ((double)read + written))};
}

static int open_esmm(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__X, MOTLEY__H};
    static const enum motley__bench_weight weights[] = {MOTLEY__W1};
    int status = motley__operator_tensors(p, tensors, COUNT(tensors), error);
    return status ? status : motley__operator_weights(p, weights, COUNT(weights), error);
}

static int run_esmm(struct motley__problem *p, struct motley_error *error)
{
    return motley__esmm(p->device, &(struct motley__esmm){.w = p->weights->matrix[MOTLEY__W1],
        .ragged = motley__problem_ragged(p), .x = motley__rows_by_token(p, MOTLEY__X), .activation = MOTLEY__ACT_NONE,
        .dtype = p->shape.dtype, .y = p->tensor[MOTLEY__H]}, error);
}

static int results_hidden(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = motley__operator_rows(p, MOTLEY__H);
    return 1;
}

/* <x of a pair's token, row f of its expert's matrix> */
static double hidden(const struct motley__problem *p, enum motley__bench_weight which, int pair, size_t f)
{
    const size_t D = (size_t)p->shape.D, row = (size_t)p->token[pair] * D;
    const int e = motley__problem_expert(p, pair);
    double sum = 0;
    for (size_t i = 0; i < D; i++)
        sum += motley__problem_number(p, MOTLEY__X, row + i) *
               motley__bench_weights_number(p->weights, which, e, f * D + i);
    return sum;
}

static double twin_esmm(const struct motley__problem *p, int j, int pair, size_t f)
{
    (void)j;
    return hidden(p, MOTLEY__W1, pair, f);
}

static struct motley__work work_esmm(const struct motley__problem *p, int e)
{
    return product_work(p, e, 1, p->shape.D, p->shape.F);
}

const struct motley__operator motley__operator_esmm = {
    .name = "esmm", .open = open_esmm, .run = run_esmm, .results = results_hidden, .twin = twin_esmm, .work = work_esmm,
};

static int open_swiglu(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__X, MOTLEY__H};
    static const enum motley__bench_weight weights[] = {MOTLEY__W1, MOTLEY__W3};
    int status = motley__operator_tensors(p, tensors, COUNT(tensors), error);
    return status ? status : motley__operator_weights(p, weights, COUNT(weights), error);
}

static int run_swiglu(struct motley__problem *p, struct motley_error *error)
{
    return motley__esmm(p->device, &(struct motley__esmm){.w = p->weights->matrix[MOTLEY__W1],
        .w3 = p->weights->matrix[MOTLEY__W3], .ragged = motley__problem_ragged(p),
        .x = motley__rows_by_token(p, MOTLEY__X), .activation = MOTLEY__ACT_SWIGLU, .dtype = p->shape.dtype,
        .y = p->tensor[MOTLEY__H]}, error);
}

static double twin_swiglu(const struct motley__problem *p, int j, int pair, size_t f)
{
    const double pre = hidden(p, MOTLEY__W1, pair, f);
    (void)j;
    return pre / (1 + exp(-pre)) * hidden(p, MOTLEY__W3, pair, f);
}

static struct motley__work work_swiglu(const struct motley__problem *p, int e)
{
    return product_work(p, e, 2, p->shape.D, p->shape.F);
}

const struct motley__operator motley__operator_esmm_swiglu = {
    .name = "esmm_swiglu", .open = open_swiglu, .run = run_swiglu, .results = results_hidden, .twin = twin_swiglu,
    .work = work_swiglu,
};

static int open_transposed(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__G, MOTLEY__DX};
    static const enum motley__bench_weight weights[] = {MOTLEY__W1};
    int status = motley__operator_tensors(p, tensors, COUNT(tensors), error);
    return status ? status : motley__operator_weights(p, weights, COUNT(weights), error);
}

static int run_transposed(struct motley__problem *p, struct motley_error *error)
{
    return motley__esmm_transposed(p->device, &(struct motley__esmm){.w = p->weights->matrix[MOTLEY__W1],
        .ragged = motley__problem_ragged(p), .x = motley__rows_by_pair(p, MOTLEY__G), .activation = MOTLEY__ACT_NONE,
        .dtype = p->shape.dtype, .y = p->tensor[MOTLEY__DX]}, error);
}

static int results_transposed(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = motley__operator_rows(p, MOTLEY__DX);
    return 1;
}

static double twin_transposed(const struct motley__problem *p, int j, int pair, size_t d)
{
    const size_t D = (size_t)p->shape.D, F = (size_t)p->shape.F;
    const int e = motley__problem_expert(p, pair);
    double sum = 0;
    (void)j;
    for (size_t f = 0; f < F; f++)
        sum += motley__problem_number(p, MOTLEY__G, (size_t)pair * F + f) *
               motley__bench_weights_number(p->weights, MOTLEY__W1, e, f * D + d);
    return sum;
}

static struct motley__work work_transposed(const struct motley__problem *p, int e)
{
    return product_work(p, e, 1, p->shape.F, p->shape.D);
}

const struct motley__operator motley__operator_esmm_transposed = {
    .name = "esmm_transposed", .backward = 1, .open = open_transposed, .run = run_transposed,
    .results = results_transposed, .twin = twin_transposed, .work = work_transposed,
};

static int open_estmm(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__G, MOTLEY__X};
    static const enum motley__bench_weight weights[] = {MOTLEY__DW1};
    int status = motley__operator_tensors(p, tensors, COUNT(tensors), error);
    return status ? status : motley__operator_weights(p, weights, COUNT(weights), error);
}

static int run_estmm(struct motley__problem *p, struct motley_error *error)
{
    return motley__estmm(p->device,
                         &(struct motley__estmm){motley__problem_ragged(p), motley__rows_by_pair(p, MOTLEY__G),
                                                 motley__rows_by_token(p, MOTLEY__X), 0,
                                                 p->weights->matrix[MOTLEY__DW1]},
                         error);
}

static int results_estmm(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = (struct motley__result){.matrix = p->weights->matrix[MOTLEY__DW1], .count = p->shape.E,
        .width = (size_t)p->shape.D * (size_t)p->shape.F};
    return 1;
}

static double twin_estmm(const struct motley__problem *p, int j, int e, size_t at)
{
    const size_t D = (size_t)p->shape.D, F = (size_t)p->shape.F, f = at / D, d = at % D;
    double sum = 0;
    (void)j;
    for (int pair = p->offsets[e]; pair < p->offsets[e + 1]; pair++)
        sum += motley__problem_number(p, MOTLEY__G, (size_t)pair * F + f) *
               motley__problem_number(p, MOTLEY__X, (size_t)p->token[pair] * D + d);
    return sum;
}

/* The gradient of every expert is written, also where it is zero. */
static struct motley__work work_estmm(const struct motley__problem *p, int e)
{
    const double n = rows_of(p, e), D = p->shape.D, F = p->shape.F;
    return (struct motley__work){2 * n * D * F, sizeof(float) * D * F + motley__operator_bytes(p) * n * (D + F)};
}

const struct motley__operator motley__operator_estmm = {
    .name = "estmm", .backward = 1, .open = open_estmm, .run = run_estmm, .results = results_estmm, .twin = twin_estmm,
    .work = work_estmm,
};

static int open_ess(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__G, MOTLEY__DB};
    return motley__operator_tensors(p, tensors, COUNT(tensors), error);
}

static int run_ess(struct motley__problem *p, struct motley_error *error)
{
    return motley__ess(p->device, &(struct motley__ess){.ragged = motley__problem_ragged(p),
        .a = motley__rows_by_pair(p, MOTLEY__G), .O = p->shape.F, .db = p->tensor[MOTLEY__DB]}, error);
}

static int results_ess(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = motley__operator_rows(p, MOTLEY__DB);
    return 1;
}

static double twin_ess(const struct motley__problem *p, int j, int e, size_t f)
{
    double sum = 0;
    (void)j;
    for (int pair = p->offsets[e]; pair < p->offsets[e + 1]; pair++)
        sum += motley__problem_number(p, MOTLEY__G, (size_t)pair * (size_t)p->shape.F + f);
    return sum;
}

static struct motley__work work_ess(const struct motley__problem *p, int e)
{
    const double n = rows_of(p, e), F = p->shape.F;
    return (struct motley__work){n * F, motley__operator_bytes(p) * n * F + sizeof(float) * F};
}

const struct motley__operator motley__operator_ess = {
    .name = "ess", .backward = 1, .open = open_ess, .run = run_ess, .results = results_ess, .twin = twin_ess,
    .work = work_ess,
};
