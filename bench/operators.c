/* The operators' table, and what they share.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "bench/operator.h"
#include "device/storage.h"

const struct motley__operator *const motley__operators[] = {
    &motley__operator_gate, &motley__operator_esmm, &motley__operator_esmm_swiglu, &motley__operator_esmm_transposed,
    &motley__operator_estmm, &motley__operator_ess, &motley__operator_activation, &motley__operator_encode,
    &motley__operator_combine, &motley__operator_decode, NULL,
};

const struct motley__operator *const motley__layer_operators[] = {
    &motley__operator_layer, &motley__operator_layer_backward, NULL,
};

struct motley__rows motley__rows_by_token(const struct motley__problem *problem, enum motley__tensor which)
{
    return (struct motley__rows){.own = problem->tensor[which], .own_rows = problem->T,
        .index = problem->list[MOTLEY__TOKEN], .dtype = motley__problem_dtype(problem, which)};
}

struct motley__rows motley__rows_by_pair(const struct motley__problem *problem, enum motley__tensor which)
{
    return (struct motley__rows){.own = problem->tensor[which], .own_rows = problem->P,
        .dtype = motley__problem_dtype(problem, which)};
}

double motley__operator_bytes(const struct motley__problem *problem)
{
    return (double)motley__storage_bytes(problem->shape.dtype);
}

struct motley__result motley__operator_rows(const struct motley__problem *problem, enum motley__tensor which)
{
    return (struct motley__result){.rows = problem->tensor[which], .count = motley__problem_rows(problem, which),
        .width = (size_t)motley__problem_width(problem, which), .dtype = motley__problem_dtype(problem, which)};
}

int motley__operator_tensors(struct motley__problem *problem, const enum motley__tensor *tensors, int count,
                             struct motley_error *error)
{
    struct motley__buffer *buffer;
    int status = 0;
    for (int i = 0; i < count && !status; i++)
        status = motley__problem_there(problem, tensors[i], &buffer, error);
    return status;
}

int motley__operator_weights(struct motley__problem *problem, const enum motley__bench_weight *weights, int count,
                             struct motley_error *error)
{
    struct motley__matrix *matrix;
    int status = 0;
    for (int i = 0; i < count && !status; i++)
        status = motley__bench_weights_there(problem->weights, weights[i], &matrix, error);
    return status;
}

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

double motley__operator_limit(const struct motley__operator *op, const struct motley__problem *problem,
                              double flops_per_second, double bytes_per_second)
{
    double seconds = 0;
    for (int e = 0; e < problem->shape.E; e++) {
        const struct motley__work work = op->work(problem, e);
        const double computing = work.flops / flops_per_second, moving = work.bytes / bytes_per_second;
        seconds += computing > moving ? computing : moving;
    }
    return seconds;
}
