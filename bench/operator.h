/* What is measured: the layer's operators, each with what it needs, what it writes and what it must at least cost.
 *
 * An operator works on a problem's tensors; only `run` is timed.  A new one is one struct and one line of the table.
 *
 *   products.c   esmm, esmm_swiglu, esmm_transposed, estmm, ess
 *   rowwise.c    activation, encode, combine, decode
 *   gate.c       gate
 *   layer.c      a whole layer
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_OPERATOR_H
#define MOTLEY_BENCH_OPERATOR_H

#include "bench/problem.h"

/* One tensor that an operator writes: rows in a buffer, or matrices of experts. */
struct motley__result {
    const struct motley__buffer *rows;
    const struct motley__matrix *matrix;
    enum motley_dtype dtype;            /* of the rows */
    int count;                          /* rows or experts: parts that are compared */
    size_t width;                       /* numbers in each */
};
enum { MOTLEY__RESULTS = 4 };

/* What one expert's part must at least do. */
struct motley__work {
    double flops, bytes;
};

struct motley__operator {
    const char *name;
    int backward;
    /* Make the tensors it needs, on the device. */
    int (*open)(struct motley__problem *problem, struct motley_error *error);
    /* What comes before each run and is not timed; may be NULL. */
    int (*prepare)(struct motley__problem *problem, struct motley_error *error);
    /* Enqueue it. */
    int (*run)(struct motley__problem *problem, struct motley_error *error);
    /* Returns how many results there are. */
    int (*results)(struct motley__problem *problem, struct motley__result result[MOTLEY__RESULTS]);
    /* What element `at` of part `part` of result j should be, in double; NULL: only peers can tell. */
    double (*twin)(const struct motley__problem *problem, int j, int part, size_t at);
    /* Flops, and bytes of weights once, rows read, rows written; of expert e. */
    struct motley__work (*work)(const struct motley__problem *problem, int e);
};

extern const struct motley__operator motley__operator_esmm, motley__operator_esmm_swiglu,
    motley__operator_esmm_transposed, motley__operator_estmm, motley__operator_ess, motley__operator_activation,
    motley__operator_gate, motley__operator_encode, motley__operator_combine, motley__operator_decode;
extern const struct motley__operator motley__operator_layer, motley__operator_layer_backward;

/* NULL ends both. */
extern const struct motley__operator *const motley__operators[], *const motley__layer_operators[];

/* For operators' own use: make these tensors; these weights. */
int motley__operator_tensors(struct motley__problem *problem, const enum motley__tensor *tensors, int count,
                             struct motley_error *error);
int motley__operator_weights(struct motley__problem *problem, const enum motley__bench_weight *weights, int count,
                             struct motley_error *error);
/* Bytes of a number of rows and weights. */
double motley__operator_bytes(const struct motley__problem *problem);
/* A tensor that was written. */
struct motley__result motley__operator_rows(const struct motley__problem *problem, enum motley__tensor which);
/* Rows of tokens, found by the pairs' index; rows that lie where their pairs do. */
struct motley__rows motley__rows_by_token(const struct motley__problem *problem, enum motley__tensor which);
struct motley__rows motley__rows_by_pair(const struct motley__problem *problem, enum motley__tensor which);

/* Everything it must do. */
struct motley__work motley__operator_work(const struct motley__operator *op, const struct motley__problem *problem);
/* Seconds: the sum over experts of the larger of flops at the peak and bytes at the bandwidth. */
double motley__operator_limit(const struct motley__operator *op, const struct motley__problem *problem,
                              double flops_per_second, double bytes_per_second);

#endif
