/* The experts' activation by itself, for dense products that cannot fuse it.
 *
 *   h[i] = silu(pre[i]) * pre3[i], or relu(pre[i]) where pre3 is null;  i < count
 *
 * One work-item a number; 12 bytes each (relu: 8): memory decides.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "nonlinear.h"

__kernel void activate(const ulong count, __global const float *restrict pre, __global const float *restrict pre3,
                       __global float *restrict h)
{
    const size_t i = get_global_id(0);
    if (i < count)
        h[i] = pre3 ? nonlinear(pre[i], MOTLEY__ACT_SILU) * pre3[i] : nonlinear(pre[i], MOTLEY__ACT_RELU);
}
