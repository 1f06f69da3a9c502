/* One step of AdamW, in place, element by element:
 *
 *   m <- b1 m + (1 - b1) s g          v <- b2 v + (1 - b2) (s g)^2
 *   w <- (1 - r d) w - r m^ / (sqrt(v^) + epsilon),    m^ = m / (1 - b1^step),  v^ = v / (1 - b2^step)
 *
 * One work-item per element; 28 bytes and about 15 flops each, so memory decides.
 * Source: Loshchilov and Hutter (arXiv 1711.05101).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "adamw.h"

__kernel void adamw(const struct motley__adamw_args a, __global float *restrict w, __global const float *restrict dw,
                    __global float *restrict m, __global float *restrict v)
{
    const int i = get_global_id(0);
    if (i >= a.n)
        return;
    const float g = a.scale * dw[i];
    const float mean = a.beta1 * m[i] + (1 - a.beta1) * g;
    const float square = a.beta2 * v[i] + (1 - a.beta2) * g * g;
    m[i] = mean;
    v[i] = square;
    w[i] = a.keep * w[i] - a.rate * mean / (sqrt(square) * a.correction + a.epsilon);
}
