/* Activations of long arrays in the widest vectors the processor has: what a well-made peer would do.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_WIDE_H
#define MOTLEY_BENCH_WIDE_H

#include <stddef.h>

/* h = silu(pre) * pre3 */
void motley__wide_swiglu(size_t count, const float *pre, const float *pre3, float *h);

#endif
