/* Dense matrix products through CLBlast, where it was built in.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_DEVICE_GEMM_H
#define MOTLEY_DEVICE_GEMM_H

#include "device/buffer.h"

/* c [M,N] = op(a) op(b) (+ c when accumulate), all row-major without gaps:
 *   a [M,K], or [K,M] with transpose_a;  b [K,N], or [N,K] with transpose_b */
struct motley__gemm {
    int M, N, K, transpose_a, transpose_b, accumulate;
    const struct motley__buffer *a, *b;
    struct motley__buffer *c;
    size_t a_first, b_first, c_first;       /* where each begins in its buffer, in numbers */
};

/* 1: CLBlast was built in. */
int motley__gemm_available(void);
/* Enqueued on the compute queue, not waited for.  Nothing when M or N is 0.
 * Errors: MOTLEY_E_UNSUPPORTED without CLBlast, MOTLEY_E_DEVICE. */
int motley__gemm(struct motley__device *device, const struct motley__gemm *gemm, struct motley_error *error);

#endif
