/* `real`: the type in which sums that decide something are taken: double where the device has it.
 *
 * Without double, sums run in float with their rounding errors kept beside them (Ogita, Rump, Oishi 2005,
 * "Dot2": the result is as if taken in twice the precision, then rounded to float).  Contracting a*b+c
 * would break the error terms, and would make equal inputs differ between lanes: it is off in every file
 * that includes this one.
 *
 *   MOTLEY__DOUBLE  1: the device has double, 0: it has not (default 0)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_REAL_H
#define MOTLEY_CL_REAL_H

#pragma OPENCL FP_CONTRACT OFF

#ifndef MOTLEY__DOUBLE
#define MOTLEY__DOUBLE 0
#endif

#define MOTLEY__JOIN_(a, b) a##b
#define MOTLEY__JOIN(a, b) MOTLEY__JOIN_(a, b)

#if MOTLEY__DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
typedef double real;
#define MOTLEY__REALS(n) MOTLEY__JOIN(double, n)
/* sum += a*b: the product of two floats is exact in double. */
#define MOTLEY__ADD_PRODUCT(sum, lost, a, b) ((sum) = fma(a, b, sum))
#else
typedef float real;
#define MOTLEY__REALS(n) MOTLEY__JOIN(float, n)
/* sum + lost += a*b.  `TYPE` of the temporaries is that of sum. */
#define MOTLEY__ADD_PRODUCT(sum, lost, a, b)                              \
    do {                                                                  \
        const __typeof__(sum) p_ = (a) * (b), s_ = (sum) + p_, z_ = s_ - (sum); \
        (lost) += fma(a, b, -p_) + (((sum) - (s_ - z_)) + (p_ - z_));     \
        (sum) = s_;                                                       \
    } while (0)
#endif

#endif
