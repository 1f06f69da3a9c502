/* What an NVIDIA GPU's tensor cores can do at most by mma.sync: products of numbers that lie in registers already.
 *
 *   peak    loops times CHAINS independent c [16,8] += a [16,16] b [16,8] by each warp
 *
 * 4096 CHAINS flops a turn and warp.  The numbers are of all sizes and signs, for zeros take less power and so run at a
 * higher clock.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "nvidia/mma.h"

#define CHAINS 8

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void peak(int loops, __global float *out)
{
    const uint ones = STORAGE == 2 ? 0x3c003c00u : 0x3f803f80u;
    uint a[4], b[2];
    float c[CHAINS][4], sum = 0.0f;

#pragma unroll
    for (int i = 0; i < 4; i++)
        a[i] = ((get_local_id(0) * 4 + i + 1) * 2654435761u & 0x807f807fu) | ones;
#pragma unroll
    for (int i = 0; i < 2; i++)
        b[i] = ((get_local_id(0) * 2 + i + 1) * 2246822519u & 0x807f807fu) | ones;
#pragma unroll
    for (int j = 0; j < CHAINS; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            c[j][i] = 0.0f;
    for (int n = 0; n < loops; n++)
#pragma unroll
        for (int j = 0; j < CHAINS; j++)
            MMA(c[j], a, b[0], b[1]);
#pragma unroll
    for (int j = 0; j < CHAINS; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            sum += c[j][i];
    out[get_global_id(0)] = sum;
}
