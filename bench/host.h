/* What a peer needs beside products, on the host: rows gathered, activations, rows weighed and added; by a team of
 * threads, in the widest vectors the processor has.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_HOST_H
#define MOTLEY_BENCH_HOST_H

#include <stddef.h>

#include "bench/team.h"

/* Zeros, on large pages where there are some, as Motley's buffers; *floats owned by the caller, free() it.
 * Errors: MOTLEY_E_MEMORY. */
int motley__host_floats(size_t count, float **floats, struct motley_error *error);
void motley__host_zero(struct motley__team *team, size_t count, float *to);

/* to [P,D]: to[p,:] = from[index[p],:] */
void motley__host_gather(struct motley__team *team, int P, int D, const int *index, const float *from, float *to);
/* y [T,D]: y[t,:] = sum over k of weight[t,k] o[where[t,k],:]; weight NULL: ones */
void motley__host_combine(struct motley__team *team, int T, int K, int D, const int *where, const float *weight,
                          const float *o, float *y);

/* h [P,F] = silu(pre) pre3, or relu(pre) where pre3 is NULL */
void motley__host_activate(struct motley__team *team, int P, int F, const float *pre, const float *pre3, float *h);

/* As motley__activation_backward, but what pre3 becomes goes to dpre3; pair p's routing weight is weight[pair[p]] */
struct motley__host_backward {
    int P, F;
    const int *pair;                    /* [P] */
    const float *weight;                /* [T,K] */
    const float *pre, *pre3;            /* [P,F]; pre3 NULL: relu */
    float *u, *dpre3, *h;               /* [P,F] */
    float *dweight;                     /* [P] */
};
void motley__host_activate_backward(struct motley__team *team, const struct motley__host_backward *b);

#endif
