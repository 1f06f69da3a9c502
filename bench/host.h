/* What a peer needs beside products, on the host: rows gathered, activations, rows weighed and added; by a team of threads, in
 * the widest vectors the processor has.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_HOST_H
#define MOTLEY_BENCH_HOST_H

#include <stddef.h>

#include "bench/team.h"

/* Zeros, aligned to pages; *floats owned by the caller, free() it.  Errors: MOTLEY_E_MEMORY. */
int motley__host_floats(size_t count, float **floats, struct motley_error *error);

/* to [P,D]: to[p,:] = from[index[p],:] */
void motley__host_gather(struct motley__team *team, int P, int D, const int *index, const float *from, float *to);
/* h [P,F] = silu(pre) * pre3 */
void motley__host_swiglu(struct motley__team *team, int P, int F, const float *pre, const float *pre3, float *h);
void motley__host_zero(struct motley__team *team, size_t count, float *to);

#endif
