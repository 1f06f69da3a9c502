/* OpenBLAS as a peer: one product for each expert with all of its threads.
 *
 * Rows are gathered, activated, weighed and added by a team of as many threads in the widest vectors, for all experts
 * at once, so that the comparison is with a peer made well.  It has its own copies of weights and rows, so that neither
 * side finds its data in a cache because of the other.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_OPENBLAS_H
#define MOTLEY_BENCH_OPENBLAS_H

#include "bench/blas.h"
#include "bench/peer.h"
#include "bench/team.h"

struct motley__openblas {
    const struct motley__blas *blas;            /* borrowed */
    struct motley__team *team;                  /* borrowed */
    uint64_t most_bytes;                        /* of host memory that it may still take at the next open */
    const struct motley__method *method;        /* of the last open */
    const struct motley__problem *problem;      /* borrowed, of the last open */
    const struct motley__bench_weights *weights;/* borrowed: those that `weight` was copied from */
    float *weight[MOTLEY__WEIGHTS];             /* [E,..] canonical; owned, kept while the weights stay */
    float *tensor[MOTLEY__TENSORS];             /* owned, of this problem */
    float *scratch[MOTLEY__SCRATCHES];          /* owned, of this problem */
    float *dweight;                             /* [P] owned, of this problem: gradients of the routing weights */
};

/* One way to compute an operator: what it needs, what it does, where the results are. */
struct motley__method {
    const char *name;                           /* of the operator */
    int backward;
    unsigned weights, tensors, scratches;       /* MOTLEY__BIT of each that it needs */
    void (*prepare)(struct motley__openblas *peer);         /* once, after opening; may be NULL */
    void (*run)(struct motley__openblas *peer);
    const float *(*result)(const struct motley__openblas *peer, int j);
};

/* Tables that end with a NULL name. */
extern const struct motley__method motley__openblas_operators[], motley__openblas_layers[];

/* y rows [n,O] of every expert = x rows [n,I] W^T (W [O,I]), or x rows [n,O] W when transposed; y += ... when beta
 * is 1. */
void motley__openblas_products(const struct motley__openblas *peer, int transposed, enum motley__bench_weight which,
                               const float *x, float beta, float *y);
/* dW = a^T b of every expert's rows; zero where it has none. */
void motley__openblas_gradients(const struct motley__openblas *peer, enum motley__bench_weight which, const float *a,
                                const float *b);

/* blas, team and most_bytes are the caller's to set in `openblas`, which is borrowed and released by the peer's
 * release. */
struct motley__peer motley__openblas_peer(struct motley__openblas *openblas);

#endif
