/* Are two results the same but for rounding?  What is wrong must not be timed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_COMPARE_H
#define MOTLEY_BENCH_COMPARE_H

#include "bench/operator.h"

/* The norm of the difference over that of `expected` [count, width], of one result after the queue has drained.  All rows are
 * compared; of experts' matrices at most 8, spread evenly. */
int motley__compare(const struct motley__result *result, const float *expected, double *difference,
                    struct motley_error *error);

#endif
