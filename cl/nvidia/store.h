/* A warp's share of a result, from the tensor cores' spread to rows in memory.
 *
 * Four neighbouring work-items hold two neighbouring columns each of 8; in four such blocks of 8 columns every one
 * collects a whole block by two exchanges, and stores 16 bytes of storage type at once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_STORE_H
#define MOTLEY_CL_NVIDIA_STORE_H

#include "nvidia/pack.h"

static inline uint exchange(uint value, int lanes)
{
    uint got;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(got) : "r"(value), "r"(lanes));
    return got;
}

/* Number j of 4 of work-item q of 4: columns 2q, 2q+1 of block j.  Returned: number i is columns 2i, 2i+1 of block q.
 * Written as choices of values, not of places, so that all stays in registers. */
static inline uint4 gather_block(uint4 block)
{
    const int odd = get_local_id(0) & 1, upper = get_local_id(0) & 2;
    uint a = block.x, b = block.y, c = block.z, d = block.w;
    const uint got_ab = exchange(odd ? a : b, 1), got_cd = exchange(odd ? c : d, 1);
    a = odd ? got_ab : a;
    b = odd ? b : got_ab;
    c = odd ? got_cd : c;
    d = odd ? d : got_cd;
    const uint got_ac = exchange(upper ? a : c, 2), got_bd = exchange(upper ? b : d, 2);
    return (uint4)(upper ? got_ac : a, upper ? got_bd : b, upper ? c : got_ac, upper ? d : got_bd);
}

static inline void store_one(__global ushort *row, int column, int end, uint bits, int add)
{
    if (column < end)
        row[column] = (ushort)(add ? pack(unpack(row[column]) + unpack(bits), 0.0f) : bits);
}

static inline uint pair_sum(uint a, uint b)
{
    return pack(unpack(a & 0xffff) + unpack(b & 0xffff), unpack(a >> 16) + unpack(b >> 16));
}

/* 8 numbers to an address that is a multiple of 16; add: to what is there. */
static inline void store_chunk(__global ushort *to, uint4 block, int add)
{
    if (add) {
        const uint4 old = *(__global uint4 *)to;
        block = (uint4)(pair_sum(old.x, block.x), pair_sum(old.y, block.y), pair_sum(old.z, block.z),
                        pair_sum(old.w, block.w));
    }
    *(__global uint4 *)to = block;
}

/* 8 numbers to columns column .. column+7 of a row, one by one, as far as they lie below `end`; add: to what is
 * there. */
static inline void store_block(__global ushort *row, int column, int end, uint4 block, int add)
{
    const ushort8 numbers = as_ushort8(block);
    store_one(row, column, end, numbers.s0, add);
    store_one(row, column + 1, end, numbers.s1, add);
    store_one(row, column + 2, end, numbers.s2, add);
    store_one(row, column + 3, end, numbers.s3, add);
    store_one(row, column + 4, end, numbers.s4, add);
    store_one(row, column + 5, end, numbers.s5, add);
    store_one(row, column + 6, end, numbers.s6, add);
    store_one(row, column + 7, end, numbers.s7, add);
}

/* Two neighbouring numbers of an f32 row, as far as `left` reaches; whole: rows begin at even places. */
static inline void store_pair(__global float *to, float2 value, int left, int whole, int add)
{
    if (whole && left > 1) {
        __global float2 *both = (__global float2 *)to;
        *both = add ? *both + value : value;
        return;
    }
    if (left > 0)
        to[0] = add ? to[0] + value.x : value.x;
    if (left > 1)
        to[1] = add ? to[1] + value.y : value.y;
}

#endif
