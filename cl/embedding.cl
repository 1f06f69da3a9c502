/* The embedding:  x[t,:] = w[token[t],:],   dw[v,:] = sum over t with token[t] = v of dx[t,:], t ascending
 *
 * x, dx [T,D] and w [vocabulary,D] in the storage type, dw [vocabulary,D] f32.  Backward reads the rows of token v from
 * order[offsets[v] .. offsets[v+1]-1], the tokens' positions sorted by token; a token that does not occur gets zeros.
 * A work-item moves V columns of one row.  Bytes in f32 8 T D each way.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "lanes.h"
#include "model.h"

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void embedding_forward(const struct motley__embedding_args a, __global const int *restrict token,
                       __global const STORED *restrict w, __global STORED *restrict x)
{
    const size_t t = get_group_id(0);
    w += (size_t)token[t] * a.D;
    x += t * a.D;
    for (int i = get_local_id(0) * V; i < a.D; i += W * V)
        MOVE(w, x, i / V);
}

__kernel void embedding_backward(const struct motley__embedding_args a, __global const int *restrict order,
                                 __global const int *restrict offsets, __global const STORED *restrict dx,
                                 __global float *restrict dw)
{
    const int i = get_global_id(0) * V, v = get_global_id(1);
    if (i >= a.D)
        return;
    vec sum = 0.0f;
    for (int n = offsets[v]; n < offsets[v + 1]; n++)
        sum += STORED_READ(dx + (size_t)order[n] * a.D + i);
    WRITE(sum, dw + (size_t)v * a.D + i);
}
