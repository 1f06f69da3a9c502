/* Operators that go over rows without a product, as they are measured; all are bound by memory.
 *
 *   activation   the backward of swiglu: dh1 over u, dh3 over pre3, w h, and the routing weights' gradients
 *   encode       send [P,D] = x[token,:]
 *   combine      returned [P,D] = w o[where,:], on the expert's rank
 *   decode       y [T,D] = the sum of w o over a token's pairs, on the token's rank
 *
 * All rows count as one expert's.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "bench/operator.h"
#include "layer/decode.h"
#include "layer/encode.h"
#include "product/activation.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static int open_activation(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__G, MOTLEY__PREACT, MOTLEY__PREACT3, MOTLEY__DH, MOTLEY__H,
                                                  MOTLEY__DWEIGHT};
    return motley__operator_tensors(p, tensors, COUNT(tensors), error);
}

/* What it overwrites is as before: u are the numbers of G, pre3 those of pre. */
static int prepare_activation(struct motley__problem *p, struct motley_error *error)
{
    const size_t bytes = p->tensor[MOTLEY__DH]->bytes;
    int status = motley__buffer_copy(p->tensor[MOTLEY__G], 0, p->tensor[MOTLEY__DH], 0, bytes, error);
    return status ? status
                  : motley__buffer_copy(p->tensor[MOTLEY__PREACT], 0, p->tensor[MOTLEY__PREACT3], 0, bytes, error);
}

static int run_activation(struct motley__problem *p, struct motley_error *error)
{
    return motley__activation_backward(p->device, &(struct motley__activation_backward){.P = p->P, .F = p->shape.F,
        .activation = MOTLEY__ACT_SWIGLU, .dtype = p->shape.dtype, .weight = p->list[MOTLEY__PAIR_WEIGHT],
        .pre = p->tensor[MOTLEY__PREACT], .pre3 = p->tensor[MOTLEY__PREACT3], .u = p->tensor[MOTLEY__DH],
        .h = p->tensor[MOTLEY__H], .dw = p->tensor[MOTLEY__DWEIGHT]}, error);
}

static int results_activation(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    static const enum motley__tensor tensors[] = {MOTLEY__DH, MOTLEY__PREACT3, MOTLEY__H, MOTLEY__DWEIGHT};
    for (int j = 0; j < COUNT(tensors); j++)
        result[j] = motley__operator_rows(p, tensors[j]);
    return COUNT(tensors);
}

static double twin_activation(const struct motley__problem *p, int j, int pair, size_t f)
{
    const size_t F = (size_t)p->shape.F, at = (size_t)pair * F + f;
    const double pre = motley__problem_number(p, MOTLEY__PREACT, at), s = 1 / (1 + exp(-pre)),
                 w = p->weight[p->order[pair]];
    const double u = motley__problem_number(p, MOTLEY__G, at), pre3 = pre;
    double sum = 0;
    switch (j) {
    case 0: return w * u * pre3 * (s + s * (1 - s) * pre);
    case 1: return w * u * pre * s;
    case 2: return w * pre * s * pre3;
    default: break;
    }
    for (size_t i = 0; i < F; i++) {
        const double x = motley__problem_number(p, MOTLEY__PREACT, (size_t)pair * F + i);
        sum += motley__problem_number(p, MOTLEY__G, (size_t)pair * F + i) * x / (1 + exp(-x)) * x;
    }
    return sum;
}

/* About 20 operations a number, an exponential among them. */
static struct motley__work work_activation(const struct motley__problem *p, int e)
{
    const double count = e == 0 ? (double)p->P * p->shape.F : 0;
    return (struct motley__work){20 * count, 6 * motley__operator_bytes(p) * count};
}

const struct motley__operator motley__operator_activation = {
    .name = "activation", .backward = 1, .open = open_activation, .prepare = prepare_activation, .run = run_activation,
    .results = results_activation, .twin = twin_activation, .work = work_activation,
};

static int open_encode(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__X, MOTLEY__DX};
    return motley__operator_tensors(p, tensors, COUNT(tensors), error);
}

static int run_encode(struct motley__problem *p, struct motley_error *error)
{
    return motley__encode(p->device, &(struct motley__encode){.dtype = p->shape.dtype,
        .wire = p->shape.dtype, .D = p->shape.D, .K = p->shape.K, .rows = p->P, .x = p->tensor[MOTLEY__X],
        .order = p->list[MOTLEY__ORDER], .send = p->tensor[MOTLEY__DX]}, error);
}

static int results_pairs(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = motley__operator_rows(p, MOTLEY__DX);
    return 1;
}

static double twin_encode(const struct motley__problem *p, int j, int pair, size_t d)
{
    (void)j;
    return motley__problem_number(p, MOTLEY__X, (size_t)p->token[pair] * (size_t)p->shape.D + d);
}

static struct motley__work work_encode(const struct motley__problem *p, int e)
{
    return (struct motley__work){0, e == 0 ? motley__operator_bytes(p) * ((double)p->T + p->P) * p->shape.D : 0};
}

const struct motley__operator motley__operator_encode = {
    .name = "encode", .open = open_encode, .run = run_encode, .results = results_pairs, .twin = twin_encode,
    .work = work_encode,
};

static int open_combine(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__O, MOTLEY__DX};
    return motley__operator_tensors(p, tensors, COUNT(tensors), error);
}

static int run_combine(struct motley__problem *p, struct motley_error *error)
{
    return motley__combine(p->device, &(struct motley__combine){.dtype = p->shape.dtype,
        .wire = p->shape.dtype, .rows = p->P, .D = p->shape.D, .o = p->tensor[MOTLEY__O],
        .begin = p->list[MOTLEY__SAME], .where = p->list[MOTLEY__WHERE], .weight = p->list[MOTLEY__PAIR_WEIGHT],
        .returned = p->tensor[MOTLEY__DX]}, error);
}

static double twin_combine(const struct motley__problem *p, int j, int row, size_t d)
{
    (void)j;
    return p->weight[row] * motley__problem_number(p, MOTLEY__O, (size_t)p->where[row] * (size_t)p->shape.D + d);
}

static struct motley__work work_combine(const struct motley__problem *p, int e)
{
    const double count = e == 0 ? (double)p->P * p->shape.D : 0;
    return (struct motley__work){count, 2 * motley__operator_bytes(p) * count};
}

const struct motley__operator motley__operator_combine = {
    .name = "combine", .open = open_combine, .run = run_combine, .results = results_pairs, .twin = twin_combine,
    .work = work_combine,
};

static int open_decode(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__O, MOTLEY__Y};
    return motley__operator_tensors(p, tensors, COUNT(tensors), error);
}

static int run_decode(struct motley__problem *p, struct motley_error *error)
{
    return motley__decode(p->device, &(struct motley__decode){.dtype = p->shape.dtype,
        .out = p->shape.dtype, .T = p->T, .K = p->shape.K, .D = p->shape.D, .where = p->list[MOTLEY__WHERE],
        .o = p->tensor[MOTLEY__O], .weight = p->list[MOTLEY__PAIR_WEIGHT], .y = p->tensor[MOTLEY__Y]}, error);
}

static int results_decode(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = motley__operator_rows(p, MOTLEY__Y);
    return 1;
}

static double twin_decode(const struct motley__problem *p, int j, int t, size_t d)
{
    const int K = p->shape.K;
    double sum = 0;
    for (int k = 0; k < K; k++)
        sum += twin_combine(p, j, t * K + k, d);
    return sum;
}

static struct motley__work work_decode(const struct motley__problem *p, int e)
{
    const double D = e == 0 ? p->shape.D : 0;
    return (struct motley__work){2 * D * p->P, motley__operator_bytes(p) * D * ((double)p->P + p->T)};
}

const struct motley__operator motley__operator_decode = {
    .name = "decode", .open = open_decode, .run = run_decode, .results = results_decode, .twin = twin_decode,
    .work = work_decode,
};
