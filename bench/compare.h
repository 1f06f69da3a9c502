/* Are two results the same but for rounding?  What is wrong must not be timed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_COMPARE_H
#define MOTLEY_BENCH_COMPARE_H

#include "bench/operator.h"

/* The norm of the difference over that of `expected` [count, width], of one result after the queue has drained.  All
 * rows are compared; of experts' matrices at most 8, spread evenly. */
int motley__compare(const struct motley__result *result, const float *expected, double *difference,
                    struct motley_error *error);

/* The same for a sample of an operator's results against its twin in double, for want of a peer; 0 without a twin. */
int motley__compare_twin(const struct motley__operator *op, struct motley__problem *problem, double *difference,
                         struct motley_error *error);

#endif
