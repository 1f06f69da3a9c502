/* One step of a matrix instruction, C += A B, of a wave: which element of A, B and C each lane holds.
 *
 *              M   N   K   lanes   a lane holds of A               of B                      of C
 *   mfma      32  32   8   64      row l%32, k 4(l/32)+e, e<4      column l%32, k as A       row 8(e/4)+4(l/32)+e%4
 *   wmma      16  16  16   32      row l%16, k e, e<16             column l%16, k e          row 2e+l/16
 *   dpas 16    8  16  16   16      row e, k l, e<8                 column l, k e, e<16       row e
 *   dpas 8     8   8  16    8      row e/2, k 2l+e%2, e<16         column l, k e, e<16       row e
 *
 * (C's column is B's.)  Sources: AMD's CDNA2, CDNA3 and RDNA3 ISA documents; Khronos' text of
 * cl_intel_subgroup_matrix_multiply_accumulate.  The kernels of this folder know no more than these tables, and with
 * -DEMULATE the instruction is computed from them through local memory, so that any device can check the kernels.
 *
 *   WAVE      the instruction: 1 mfma, 2 wmma, 3 dpas 16, 4 dpas 8 (-D; enum motley__instruction on the host)
 *   STORAGE   1 bf16, 2 f16 (storage.h)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_WAVE_H
#define MOTLEY_CL_WAVE_H

#include "storage.h"

#define WAVE_MFMA 1
#define WAVE_WMMA 2
#define WAVE_DPAS16 3
#define WAVE_DPAS8 4

#if STORAGE != 1 && STORAGE != 2
#error "matrix instructions take bf16 or f16"
#endif

#if WAVE == WAVE_MFMA
#include "wave/mfma.h"
#elif WAVE == WAVE_WMMA
#include "wave/wmma.h"
#else
#include "wave/dpas.h"
#endif

/* A wave computes ROW_STEPS x COLUMN_STEPS instructions' outputs. */
#define TILE_ROWS (ROW_STEPS * WAVE_M)
#define TILE_COLUMNS (COLUMN_STEPS * WAVE_N)

/* Registers have no index, so every loop over what a lane holds is unrolled; emulated it lies in memory. */
#ifdef EMULATE
#define WAVE_UNROLL _Pragma("nounroll")
#else
#define WAVE_UNROLL _Pragma("unroll")
#endif

#ifdef EMULATE
#define WAVE_ATTRIBUTES __attribute__((reqd_work_group_size(WAVE_LANES, 1, 1)))
#endif

typedef union {
    ushort one[A_HELD];
    A_VECTOR all;
} wave_a;

typedef union {
    ushort one[B_HELD];
    B_VECTOR all;
} wave_b;

typedef union {
    float one[C_HELD];
    C_VECTOR all;
} wave_c;

#ifdef EMULATE
#define WAVE_SCRATCH __local ushort wave_scratch[(WAVE_M + WAVE_N) * WAVE_K];
#define WAVE_SCRATCH_PARAMETER , __local ushort *wave_scratch
#define WAVE_SCRATCH_ARGUMENT , wave_scratch
#define wave_multiply(a, b, c) wave_emulate((a), (b), (c), wave_scratch)

static inline float wave_float(ushort stored)
{
#if STORAGE == 1
    return as_float((uint)stored << 16);
#else
    return vload_half(0, (const half *)&stored);
#endif
}

static inline void wave_emulate(const wave_a *a, const wave_b *b, wave_c *c, __local ushort *scratch)
{
    int lane = get_local_id(0);
    __local ushort *left = scratch, *right = scratch + WAVE_M * WAVE_K;
    for (int e = 0; e < A_HELD; e++)
        left[A_ROW(lane, e) * WAVE_K + A_K(lane, e)] = a->one[e];
    for (int e = 0; e < B_HELD; e++)
        right[B_COLUMN(lane) * WAVE_K + B_K(lane, e)] = b->one[e];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int e = 0; e < C_HELD; e++)
        for (int k = 0; k < WAVE_K; k++)
            c->one[e] += wave_float(left[C_ROW(lane, e) * WAVE_K + k]) *
                         wave_float(right[B_COLUMN(lane) * WAVE_K + k]);
    barrier(CLK_LOCAL_MEM_FENCE);
}
#else
#define WAVE_SCRATCH
#define WAVE_SCRATCH_PARAMETER
#define WAVE_SCRATCH_ARGUMENT
#define wave_multiply(a, b, c) wave_instruction((a), (b), (c))
#endif

#endif
