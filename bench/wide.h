/* Loops over long arrays in the widest vectors the processor has: what a well-made peer would do.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_WIDE_H
#define MOTLEY_BENCH_WIDE_H

#include <stddef.h>

/* y += weight x */
void motley__wide_add(size_t count, float weight, const float *x, float *y);

/* h = silu(pre) pre3;  h = relu(pre) */
void motley__wide_swiglu(size_t count, const float *pre, const float *pre3, float *h);
void motley__wide_relu(size_t count, const float *pre, float *h);

/* Backward of both: returns <u, h>, then h <- weight h, u <- weight u dh/dpre, and dpre3 <- weight u dh/dpre3. */
float motley__wide_swiglu_backward(size_t count, float weight, const float *pre, const float *pre3, float *u,
                                   float *dpre3, float *h);
float motley__wide_relu_backward(size_t count, float weight, const float *pre, float *u, float *h);

#endif
