/* What Hopper's tensor cores can do at most: products of numbers that lie in local memory already.
 *
 *   peak    loops times c [64,256] += a [64,64] b [64,256] by each of a work-group's two warpgroups
 *
 * 4 MiFLOP a turn and work-group, of which one fills a multiprocessor.  The numbers are of all sizes and signs, for
 * zeros take less power and so run at a higher clock.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "nvidia/async.h"
#include "nvidia/wgmma.h"

#define ITEMS 256
#define A_BYTES (64 * 128)
#define B_BYTES (256 * 128)

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void peak(int loops, __global float *out)
{
    __local uchar memory[2 * A_BYTES + B_BYTES] __attribute__((aligned(1024)));
    const uint group = get_local_id(0) >> 7, a = LOCAL_ADDRESS(memory) + group * A_BYTES;
    const uint b = LOCAL_ADDRESS(memory) + 2 * A_BYTES;
    float c[128], sum = 0.0f;

    for (int i = get_local_id(0); i < (2 * A_BYTES + B_BYTES) / 2; i += ITEMS) {
        const uint mixed = (uint)i * 2654435761u; /* signs and fractions of numbers around 1 */
        ((__local ushort *)memory)[i] = (ushort)((mixed >> 16 & 0x807f) | (STORAGE == 2 ? 0x3c00 : 0x3f80));
    }
    publish();
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int n = 0; n < loops; n++) {
        wgmma_begin();
#pragma unroll
        for (int i = 0; i < 4; i++)
            WGMMA(c, DESCRIPTOR(DEPTH_ROWS, a) + i * DEPTH_ROWS_STEP, DESCRIPTOR(DEPTH_ROWS, b) + i * DEPTH_ROWS_STEP,
                  0, 0, n == 0 && i == 0);
        wgmma_commit();
        if (n > 0)
            WGMMA_WAIT(1);
    }
    WGMMA_WAIT(0);
    WGMMA_DONE(c);
#pragma unroll
    for (int i = 0; i < 128; i++)
        sum += c[i];
    out[get_global_id(0)] = sum;
}
