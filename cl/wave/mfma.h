/* AMD CDNA2 and later: v_mfma_f32_32x32x8, waves of 64; see wave.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#define WAVE_LANES 64
#define WAVE_M 32
#define WAVE_N 32
#define WAVE_K 8
#define ROW_STEPS 2
#define COLUMN_STEPS 2

#define A_HELD 4
#define A_ROWS 1                    /* different rows of A that a lane holds */
#define A_ROW(lane, e) ((lane) % 32)
#define A_K(lane, e) ((lane) / 32 * 4 + (e))
#define B_HELD 4
#define B_COLUMN(lane) ((lane) % 32)
#define B_K(lane, e) A_K(lane, e)
#define C_HELD 16
#define C_ROW(lane, e) ((e) / 4 * 8 + (lane) / 32 * 4 + (e) % 4)
#define A_VECTOR short4
#define B_VECTOR short4
#define C_VECTOR float16

#ifndef EMULATE
#define WAVE_ATTRIBUTES __attribute__((reqd_work_group_size(WAVE_LANES, 1, 1)))
#if STORAGE == 2
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define wave_instruction(a, b, c) \
    ((c)->all = __builtin_amdgcn_mfma_f32_32x32x8f16(as_half4((a)->all), as_half4((b)->all), (c)->all, 0, 0, 0))
#else
#define wave_instruction(a, b, c) \
    ((c)->all = __builtin_amdgcn_mfma_f32_32x32x8bf16_1k((a)->all, (b)->all, (c)->all, 0, 0, 0))
#endif
#endif
