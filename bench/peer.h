/* What Motley is measured against: others' ways to the same results.
 *
 * A peer has its own copies of weights and rows, so that neither finds its data in a cache because of the other.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_PEER_H
#define MOTLEY_BENCH_PEER_H

#include "bench/blas.h"
#include "bench/operator.h"
#include "bench/team.h"

/* OpenBLAS: rows gathered by a team of threads, one product for each expert with all of its own threads, the activation by the
 * team. */
struct motley__openblas {
    const struct motley__blas *blas;            /* borrowed */
    struct motley__team *team;                  /* borrowed */
    const struct motley__problem *problem;      /* borrowed, of the last open */
    const struct motley__operator *op;
    struct motley__bench_weights *weights;            /* borrowed: those that `weight` was copied from */
    float *weight[MOTLEY__WEIGHTS];             /* [E,..] canonical; owned, kept while the weights stay */
    float *tensor[MOTLEY__TENSORS];             /* owned, of this problem */
    float *gathered, *pre, *pre3;               /* [P,D] [P,F] [P,F]; owned, of this problem */
};

/* Ready to run an operator.  *known = 0: this peer does not have it.  Errors: MOTLEY_E_MEMORY. */
int motley__openblas_open(struct motley__openblas *peer, struct motley__problem *problem, const struct motley__operator *op,
                          int *known, struct motley_error *error);
/* Blocking; self is the peer. */
int motley__openblas_run(void *self, struct motley_error *error);
/* Result number j as operator.h lists them: [count, width]. */
const float *motley__openblas_result(const struct motley__openblas *peer, int j);
void motley__openblas_close(struct motley__openblas *peer);     /* what belongs to the problem */
void motley__openblas_release(struct motley__openblas *peer);   /* everything */

#endif
