/* Intel Xe: cl_intel_subgroup_matrix_multiply_accumulate with subgroups of 16 (Xe-HPC) or 8 (Xe-HPG); see wave.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#define WAVE_M 8
#define WAVE_K 16
#define ROW_STEPS 4
#define COLUMN_STEPS 2

#define B_HELD 16
#define B_COLUMN(lane) (lane)
#define B_K(lane, e) (e)
#define C_HELD 8
#define C_ROW(lane, e) (e)
#define B_VECTOR int8
#define C_VECTOR float8

/* A_ROWS: different rows of A that a lane holds */
#if WAVE == WAVE_DPAS16
#define WAVE_LANES 16
#define WAVE_N 16
#define A_HELD 8
#define A_ROWS 8
#define A_ROW(lane, e) (e)
#define A_K(lane, e) (lane)
#define A_VECTOR short8
#else
#define WAVE_LANES 8
#define WAVE_N 8
#define A_HELD 16
#define A_ROWS 8
#define A_ROW(lane, e) ((e) / 2)
#define A_K(lane, e) ((lane) * 2 + (e) % 2)
#define A_VECTOR int8
#endif

#ifndef EMULATE
#define WAVE_ATTRIBUTES \
    __attribute__((reqd_work_group_size(WAVE_LANES, 1, 1))) __attribute__((intel_reqd_sub_group_size(WAVE_LANES)))
/* Compilers that have the built-in but no header with it (2022) take a declaration. */
#ifndef cl_intel_subgroup_matrix_multiply_accumulate
__attribute__((overloadable)) float8 intel_sub_group_bf16_bf16_matrix_mad_k16(A_VECTOR a, B_VECTOR b, C_VECTOR c);
__attribute__((overloadable)) float8 intel_sub_group_f16_f16_matrix_mad_k16(A_VECTOR a, B_VECTOR b, C_VECTOR c);
#endif
#if STORAGE == 2
#define wave_instruction(a, b, c) ((c)->all = intel_sub_group_f16_f16_matrix_mad_k16((a)->all, (b)->all, (c)->all))
#else
#define wave_instruction(a, b, c) ((c)->all = intel_sub_group_bf16_bf16_matrix_mad_k16((a)->all, (b)->all, (c)->all))
#endif
#endif
