/* AMD RDNA3: v_wmma_f32_16x16x16, waves of 32; see wave.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#define WAVE_LANES 32
#define WAVE_M 16
#define WAVE_N 16
#define WAVE_K 16
#define ROW_STEPS 2
#define COLUMN_STEPS 2

#define A_HELD 16
#define A_ROWS 1                    /* different rows of A that a lane holds; lanes 16 to 31 as 0 to 15 */
#define A_ROW(lane, e) ((lane) % 16)
#define A_K(lane, e) (e)
#define B_HELD 16
#define B_COLUMN(lane) ((lane) % 16)
#define B_K(lane, e) (e)
#define C_HELD 8
#define C_ROW(lane, e) ((e) * 2 + (lane) / 16)
#define A_VECTOR short16
#define B_VECTOR short16
#define C_VECTOR float8

#ifndef EMULATE
#define WAVE_ATTRIBUTES __attribute__((reqd_work_group_size(WAVE_LANES, 1, 1)))
#if STORAGE == 2
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define wave_instruction(a, b, c) \
    ((c)->all = __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(as_half16((a)->all), as_half16((b)->all), (c)->all))
#else
#define wave_instruction(a, b, c) \
    ((c)->all = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32((a)->all, (b)->all, (c)->all))
#endif
#endif
