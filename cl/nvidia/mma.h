/* A 128 by 128 tile on the tensor cores of any NVIDIA GPU since sm_80, as inline PTX (cp.async, ldmatrix, mma.sync).
 *
 *   c [128,128] f32 += a [128,DEPTH] b [DEPTH,128]      both in local memory, bf16 or f16
 *
 * Four warps, 2 by 2, compute 64 by 64 each out of products m16n8k16.  Work-item `lane` of the warp at row 64 u and
 * column 64 v holds 128 numbers, those of block row i < 4 and block j < 8 being
 *
 *   c[32 i + 4 j + 0,1]  row 64 u + 16 i + lane / 4,      columns 64 v + 8 j + 2 (lane % 4) + 0,1
 *   c[32 i + 4 j + 2,3]  row 64 u + 16 i + lane / 4 + 8,  the same columns
 *
 * An operand fills 8 KiB of a stage in one of two ways, 16-byte chunks exchanged so that neither the writes nor
 * ldmatrix, which reads 8 chunks of 8 rows at once, meet in one bank:
 *
 *   DEEP(line, chunk)   128 lines of the tile, each 4 chunks of 8 along the contraction
 *   WIDE(line, chunk)   DEPTH lines of the contraction, each 16 chunks of 8 along the tile: read by ldmatrix.trans
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_MMA_H
#define MOTLEY_CL_NVIDIA_MMA_H

#include "nvidia/copy.h"

#define ITEMS 128
#define SIDE 128 /* of a tile */
#define DEPTH 32 /* of the contraction, each step */
#define STAGES 3 /* 48 KiB in all, what every device has */
#define OPERAND_BYTES (SIDE * DEPTH * 2)
#define STAGE_BYTES (2 * OPERAND_BYTES)

#define DEEP(line, chunk) (((line) << 6) + (((chunk) ^ ((line) >> 1 & 3)) << 4))
#define WIDE(line, chunk) (((line) << 8) + (((chunk) ^ ((line)&7)) << 4))

#if STORAGE == 2
#define MMA_TYPE "f16"
#else
#define MMA_TYPE "bf16"
#endif

/* Where this work-item's warp is in the tile. */
static inline int warp_row(void)
{
    return get_local_id(0) >> 6 << 6;
}

static inline int warp_column(void)
{
    return (get_local_id(0) >> 5 & 1) << 6;
}

/* Four matrices of 8 rows of 16 bytes, the rows of matrix m at the addresses that lanes 8 m .. 8 m + 7 give.  Of each,
 * a lane gets numbers 2 (lane % 4) + 0,1 of row lane / 4; turned: of column lane / 4. */
#define LDMATRIX(to, at, turned)                                                                                      \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4" turned ".shared.b16 {%0, %1, %2, %3}, [%4];"                         \
                 : "=r"((to)[0]), "=r"((to)[1]), "=r"((to)[2]), "=r"((to)[3]) : "r"(at) : "memory")

/* c [16,8] += a [16,16] b [16,8] */
#define MMA(c, a, b0, b1)                                                                                             \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." MMA_TYPE "." MMA_TYPE ".f32 "                               \
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                    \
                 : "+f"((c)[0]), "+f"((c)[1]), "+f"((c)[2]), "+f"((c)[3])                                             \
                 : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"(b0), "r"(b1))

/* 16 rows of a by 16 of the contraction, from k on: upper and lower 8 rows at the first 8, then at the second. */
static inline INLINE void load_a(uint at, int row, int k, const int wide, uint a[4])
{
    const int lane = get_local_id(0) & 31;
    if (wide)
        LDMATRIX(a, at + WIDE(k + (lane & 7) + (lane >> 4 << 3), (row >> 3) + (lane >> 3 & 1)), ".trans");
    else
        LDMATRIX(a, at + DEEP(row + (lane & 15), (k >> 3) + (lane >> 4)), "");
}

/* 16 of the contraction by 16 columns of b: the first 8 columns at the first 8 and the second 8, then the others. */
static inline INLINE void load_b(uint at, int column, int k, const int wide, uint b[4])
{
    const int lane = get_local_id(0) & 31;
    if (wide)
        LDMATRIX(b, at + WIDE(k + (lane & 15), (column >> 3) + (lane >> 4)), ".trans");
    else
        LDMATRIX(b, at + DEEP(column + (lane & 7) + (lane >> 4 << 3), (k >> 3) + (lane >> 3 & 1)), "");
}

/* c += what one stage holds; a and b: their places in local memory. */
static inline INLINE void multiply(uint a, uint b, const int wide_a, const int wide_b,
                                                           float c[128])
{
    const int row = warp_row(), column = warp_column();
#pragma unroll
    for (int k = 0; k < DEPTH; k += 16) {
        uint of_a[4][4], of_b[4][4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            load_a(a, row + 16 * i, k, wide_a, of_a[i]);
            load_b(b, column + 16 * i, k, wide_b, of_b[i]);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                MMA(c + 32 * i + 8 * j, of_a[i], of_b[j][0], of_b[j][1]);
                MMA(c + 32 * i + 8 * j + 4, of_a[i], of_b[j][2], of_b[j][3]);
            }
        }
    }
}

/* The next stage of the ring. */
static inline uint stage_after(uint stage)
{
    return stage == (STAGES - 1) * STAGE_BYTES ? 0 : stage + STAGE_BYTES;
}

#endif
