/* OpenBLAS, found when it is wanted: Motley needs it neither to be built nor to run.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_BLAS_H
#define MOTLEY_BENCH_BLAS_H

#include "base/error.h"

struct motley__blas {
    void *handle;                       /* owned; NULL: none was found */
    char version[128];                  /* what it says of itself, or why it cannot be used */
    int threads;
    void (*sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
                  int lda, const float *b, int ldb, float beta, float *c, int ldc);
};

/* Its threads sleep soon after a call, so that what is timed next has the cores (OPENBLAS_THREAD_TIMEOUT=4, unless the
 * environment says otherwise).  threads 0: as many as it likes.  blas->handle says whether it was found. */
void motley__blas_open(struct motley__blas *blas, int threads);
void motley__blas_close(struct motley__blas *blas);

/* c [m,n] = op(a) op(b) + beta c, row-major without gaps: a [m,k] or [k,m] when transpose_a, b [k,n] or [n,k] when
 * transpose_b.  Nothing when m or n is 0. */
void motley__blas_product(const struct motley__blas *blas, int transpose_a, int transpose_b, int m, int n, int k,
                          const float *a, const float *b, float beta, float *c);

#endif
