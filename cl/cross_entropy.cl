/* Cross-entropy of a softmax, in nats:
 *
 *   loss[t] = log sum_c exp(logits[t,c]) - logits[t,target[t]]
 *   logits[t,c] <- scale (softmax(logits[t,:])_c - [c == target[t]])      backward 1
 *
 * logits [T,C] in the storage type, target and loss [T]; computed in f32, the gradient is rounded once.  One group of W
 * work-items a row.  Bytes in f32 12 T C, 2 T C exponentials.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "lanes.h"
#include "model.h"

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void cross_entropy(const struct motley__cross_entropy_args a, __global const int *restrict target,
                   __global STORED *restrict logits, __global float *restrict loss)
{
    __local float part[W];
    const size_t t = get_group_id(0);
    const int begin = get_local_id(0) * V;
    logits += t * a.C;

    vec most = -INFINITY;
    for (int c = begin; c < a.C; c += W * V)
        most = fmax(most, STORED_READ(logits + c));
    const float top = lanes_max(lanes_largest(most), part);
    vec sum = 0.0f;
    for (int c = begin; c < a.C; c += W * V)
        sum += exp(STORED_READ(logits + c) - top);
    const float total = lanes_sum(lanes_total(sum), part);
    const int right = target[t];
    const float chosen = stored_get(logits, right);
    if (begin == 0)
        loss[t] = log(total) + (top - chosen);
    if (!a.backward)
        return;

#if W > 1
    barrier(CLK_GLOBAL_MEM_FENCE); /* the target's logit has been read */
#endif
    const float factor = a.scale / total;
    for (int c = begin; c < a.C; c += W * V) {
        STORED_WRITE(exp(STORED_READ(logits + c) - top) * factor, logits + c);
        if (right >= c && right < c + V)
            stored_put(logits, right, exp(chosen - top) * factor - a.scale);
    }
}
