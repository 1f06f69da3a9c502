/* CLBlast as a peer, on the same device: rows gathered by a kernel, then one product for each expert.
 *
 * What it has no kernel for (gathering, the activation, weighing and adding) is done by Motley's.  f32 only.  It has
 * its own copies of weights; rows it only reads are shared, since caches are cold before every run.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_CLBLAST_H
#define MOTLEY_BENCH_CLBLAST_H

#include "bench/peer.h"

struct motley__clblast {
    const struct motley__clblast_method *method;    /* of the last open */
    struct motley__problem *problem;                /* borrowed, of the last open */
    const struct motley__bench_weights *weights;    /* borrowed: those that `matrix` was copied from */
    struct motley__matrix *matrix[MOTLEY__WEIGHTS]; /* canonical; owned, kept while the weights stay */
    struct motley__buffer *scratch[MOTLEY__SCRATCHES];  /* owned, of this problem */
    struct motley__buffer *out;                     /* [T,D]; owned, of this problem */
    struct motley__buffer *dweight;                 /* [P]; owned, of this problem */
    float *host;                                    /* owned: the result that was asked for last */
};

/* One way to compute an operator; the tables end with a NULL name. */
struct motley__clblast_method {
    const char *name;
    int backward;
    unsigned weights, tensors, scratches;           /* MOTLEY__BIT of each */
    int (*prepare)(struct motley__clblast *peer, struct motley_error *error);   /* before each run; may be NULL */
    int (*run)(struct motley__clblast *peer, struct motley_error *error);
    /* Where result j is: a buffer of rows, or a matrix. */
    const struct motley__buffer *(*rows)(const struct motley__clblast *peer, int j);
    const struct motley__matrix *(*gradient)(const struct motley__clblast *peer, int j);
};
extern const struct motley__clblast_method motley__clblast_methods[];

/* As motley__openblas_products and _gradients; enqueued. */
int motley__clblast_products(const struct motley__clblast *peer, int transposed, enum motley__bench_weight which,
                             const struct motley__buffer *x, int accumulate, struct motley__buffer *y,
                             struct motley_error *error);
int motley__clblast_gradients(const struct motley__clblast *peer, enum motley__bench_weight which,
                              const struct motley__buffer *a, const struct motley__buffer *b,
                              struct motley_error *error);

/* clblast: zero before; borrowed, released by the peer's release. */
struct motley__peer motley__clblast_peer(struct motley__clblast *clblast, struct motley__device *device);

#endif
