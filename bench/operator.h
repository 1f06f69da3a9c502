/* What is measured: the layer's operators, each with what it needs, what it writes and what it must at least cost.
 *
 * An operator works on a problem's tensors; only `run` is timed.  A new one is one entry of the table in operators.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_OPERATOR_H
#define MOTLEY_BENCH_OPERATOR_H

#include "bench/problem.h"

/* One tensor that an operator writes: rows in a buffer, or matrices of experts. */
struct motley__result {
    const struct motley__buffer *rows;
    const struct motley__matrix *matrix;
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
    /* Flops, and bytes of weights once, rows read, rows written; of expert e. */
    struct motley__work (*work)(const struct motley__problem *problem, int e);
};

extern const struct motley__operator motley__operators[];   /* ends with a NULL name */

/* Everything it must do. */
struct motley__work motley__operator_work(const struct motley__operator *op, const struct motley__problem *problem);
/* Seconds: the sum over experts of the larger of flops at the peak and bytes at the bandwidth. */
double motley__operator_limit(const struct motley__operator *op, const struct motley__problem *problem, double flops_per_second,
                              double bytes_per_second);

#endif
