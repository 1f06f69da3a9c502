/* Rows as vectors: `vec` is V floats, V divides the row's width.
 *
 *   V   1, 4, or 16 (default 1); the host picks the widest that divides D, 16 only on CPUs
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_VECTOR_H
#define MOTLEY_CL_VECTOR_H

/* A row's sum must not depend on which products were rounded on another rank: a*b+c is never contracted. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef V
#define V 1
#endif

#if V == 1
typedef float vec;
#define LOAD(row, c) ((row)[c])
#define STORE(value, row, c) ((row)[c] = (value))
#elif V == 4
typedef float4 vec;
#define LOAD(row, c) (((__global const float4 *)(row))[c])
#define STORE(value, row, c) (((__global float4 *)(row))[c] = (value))
#else
typedef float16 vec;
#define LOAD(row, c) vload16(c, row)
#define STORE(value, row, c) vstore16(value, c, row)
#endif

#endif
