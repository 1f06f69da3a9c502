/* The experts' activations and their slopes, on REAL = float or a vector of floats.
 *
 *   relu  max(x, 0)      gelu  x Phi(x), Phi the normal distribution's integral by erf      silu  x / (1 + exp(-x))
 *
 * Written without branches so that one text serves scalars and vectors; NaN comes out as NaN.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NONLINEAR_H
#define MOTLEY_CL_NONLINEAR_H

#include "types.h"

#ifndef REAL
#define REAL float
#endif

/* NATIVE: the device's own exponential and division, for results that are stored in 16 bits. */
#ifdef NATIVE
#define EXPONENTIAL(x) native_exp(x)
#define QUOTIENT(a, b) native_divide((a), (b))
#else
#define EXPONENTIAL(x) exp(x)
#define QUOTIENT(a, b) ((a) / (b))
#endif

/* erf(x) = x P(x^2) / Q(x^2), a weighted least-squares fit on |x| < 3.95, beyond which erf is 1 in f32; relative error
 * 2e-8 exactly and at most 3.4e-7 (6 ulp) in f32 arithmetic.  The built-in one branches, which no vector likes. */
static inline REAL nonlinear_erf(REAL x)
{
    REAL c = clamp(x, -3.95f, 3.95f);
    REAL t = c * c;
    REAL p = 2.02593901e-06f;
    p = p * t + 0.000284682552f;
    p = p * t + 0.00380795449f;
    p = p * t + 0.052874811f;
    p = p * t + 0.191545561f;
    p = p * t + 1.12837911f;
    REAL q = 3.78318509e-05f;
    q = q * t + 0.00117067446f;
    q = q * t + 0.0150546776f;
    q = q * t + 0.114557654f;
    q = q * t + 0.503085494f;
    q = q * t + 1.0f;
    return QUOTIENT(c * p, q);
}

static inline REAL nonlinear_sigmoid(REAL x)
{
    return QUOTIENT((REAL)1.0f, 1.0f + EXPONENTIAL(-x));
}

static inline REAL nonlinear_phi(REAL x)
{
    return 0.5f + 0.5f * nonlinear_erf(x * 0.70710678118654752f);
}

/* The activation; swiglu's is silu, its product is the caller's. */
static inline REAL nonlinear(REAL x, int activation)
{
    switch (activation) {
    case MOTLEY__ACT_RELU:
        return x < 0.0f ? (REAL)0.0f : x;
    case MOTLEY__ACT_GELU:
        return x * nonlinear_phi(x);
    case MOTLEY__ACT_SILU:
    case MOTLEY__ACT_SWIGLU:
        return x * nonlinear_sigmoid(x);
    default:
        return x;
    }
}

/* Its derivative. */
static inline REAL nonlinear_slope(REAL x, int activation)
{
    switch (activation) {
    case MOTLEY__ACT_RELU:
        return x > 0.0f ? (REAL)1.0f : (REAL)0.0f;
    case MOTLEY__ACT_GELU:
        return nonlinear_phi(x) + x * 0.39894228040143268f * EXPONENTIAL(-0.5f * x * x);
    case MOTLEY__ACT_SILU:
    case MOTLEY__ACT_SWIGLU: {
        REAL s = nonlinear_sigmoid(x);
        return s + s * (1.0f - s) * x;
    }
    default:
        return (REAL)1.0f;
    }
}

#endif
