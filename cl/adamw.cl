/* One step of AdamW, in place, element by element, on the f32 master w of a weight:
 *
 *   m <- b1 m + (1 - b1) s g          v <- b2 v + (1 - b2) (s g)^2
 *   w <- (1 - r d) w - r m^ / (sqrt(v^) + epsilon),    m^ = m / (1 - b1^step),  v^ = v / (1 - b2^step)
 *
 * Where the model computes with another storage type, `stored` is what it computes with: w rounded to nearest even.
 * NULL: the model computes with w itself.
 *
 * One work-item per element; 28 bytes (30 with two bytes stored) and about 15 flops each, so memory decides.
 * Source: Loshchilov and Hutter (arXiv 1711.05101); master weights: Micikevicius et al. (arXiv 1710.03740).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "adamw.h"
#include "storage.h"

/* Where this launch begins, in floats and in stored weights. */
#define FIRST ((size_t)a.first * a.numbers)
#define STORED_FIRST ((size_t)a.stored_first * a.numbers)

__kernel void adamw(const struct motley__adamw_args a, __global float *restrict w, __global const float *restrict dw,
                    __global float *restrict m, __global float *restrict v, __global STORED *restrict stored)
{
    const size_t n = get_global_id(0), i = FIRST + n;
    if (n >= (size_t)a.n)
        return;
    const float g = a.scale * dw[i];
    const float mean = a.beta1 * m[i] + (1 - a.beta1) * g;
    const float square = a.beta2 * v[i] + (1 - a.beta2) * g * g;
    const float updated = a.keep * w[i] - a.rate * mean / (sqrt(square) * a.correction + a.epsilon);
    m[i] = mean;
    v[i] = square;
    w[i] = updated;
    if (stored)
        stored_put(stored, STORED_FIRST + n, updated);
}

/* Without a step: the stored weights of a master, and a master of stored weights. */
__kernel void adamw_round(const struct motley__adamw_args a, __global const float *restrict w,
                          __global STORED *restrict stored)
{
    const size_t n = get_global_id(0);
    if (n < (size_t)a.n)
        stored_put(stored, STORED_FIRST + n, w[FIRST + n]);
}

__kernel void adamw_widen(const struct motley__adamw_args a, __global float *restrict w,
                          __global const STORED *restrict stored)
{
    const size_t n = get_global_id(0);
    if (n < (size_t)a.n)
        w[FIRST + n] = stored_get(stored, STORED_FIRST + n);
}
