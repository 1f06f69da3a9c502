/* Sums and maxima over a work-group of W items, in a fixed order; every item gets the result.
 *
 *   W   work-items of a group, a power of two; 1: no __local memory is touched
 *
 * part [W] is __local scratch.  Include real.h before, and define W.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_REDUCE_H
#define MOTLEY_CL_REDUCE_H

static real reduce_sum(real value, __local real *part)
{
#if W == 1
    return value;
#else
    const int item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    part[item] = value;
    for (int width = W / 2; width > 0; width /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < width)
            part[item] += part[item + width];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
#endif
}

/* NaN only when all are. */
static real reduce_max(real value, __local real *part)
{
#if W == 1
    return value;
#else
    const int item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    part[item] = value;
    for (int width = W / 2; width > 0; width /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < width)
            part[item] = fmax(part[item], part[item + width]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
#endif
}

#endif
