/* The sum of squares of a long vector, in lanes: lane l adds the squares of elements l, l + L, l + 2L, ... in that
 * order to what it holds, so the result does not depend on how the device runs its work-items.
 *
 *   sums[l] = (accumulate ? sums[l] : 0) + sum over j of x[l + j L]^2       l < L = the global size
 *
 * The host adds the lanes in double.  4 bytes and 2 flops per element: memory decides.
 *
 * SPDX-License-Identifier: BSD-3-Clause */

__kernel void squares(const int n, const int accumulate, __global const float *restrict x,
                      __global float *restrict sums)
{
    const int lanes = get_global_size(0), lane = get_global_id(0);
    float sum = accumulate ? sums[lane] : 0.0f;
    for (int i = lane; i < n; i += lanes)
        sum += x[i] * x[i];
    sums[lane] = sum;
}
