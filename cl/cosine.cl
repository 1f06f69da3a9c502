/* The cosine gate, around its two products (cl/logits.cl).
 *
 *   cosine_rows             v = u[t,:] + b;   length[t] = max(|v|, TINY);   unit[t,:] = v / length[t]
 *   cosine_rows_backward    g[t,:] <- (g[t,:] - unit[t,:] <unit[t,:], g[t,:]>) / length[t]
 *   cosine_matrix           S[e,:] = s M[e,:] / |M[e,:]|,   s = exp(min(tau, log 100)),   |.| at least TINY
 *   cosine_matrix_backward  A[e,:] <- s / |M| (A[e,:] - m <m, A[e,:]>),  m = M[e,:] / |M|;   slope[e] = s <m, A[e,:]>
 *   cosine_temperature      dtau = sum_e slope[e], e ascending; 0 where tau is beyond log 100
 *
 * u [T,stride] real, the projection before its bias; b [P]; unit, g [T,P]; M, S, A [E,P] in panels
 * (src/layer/matrix.h).  One group of W items for a token, or for an expert.  Bytes 8 T P + 4 T P and 12 T P for rows,
 * 12 E P for matrices; 3 T P and 6 T P flops: the memory is the bound, and all of it is small beside the products.
 *
 *   W       work-items of a group, a power of two: 1 on CPUs (default), 64 on GPUs
 *   PANEL   panel width of the matrices (default 1)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "real.h"

#ifndef W
#define W 1
#endif
#include "reduce.h"

#ifndef PANEL
#define PANEL 1
#endif
#define AT(e, i, P) (((size_t)((uint)(e) / PANEL) * (P) + (i)) * PANEL + (uint)(e) % PANEL)

#define TINY ((real)1e-12f)
#if MOTLEY__DOUBLE
#define MOST_TEMPERATURE 4.605170185988091 /* log 100 */
#else
#define MOST_TEMPERATURE 4.605170185988091f
#endif

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void cosine_rows(const struct motley__cosine_args a, __global const real *restrict u, __global const float *restrict b,
                 __global float *restrict unit, __global float *restrict length, __local real *part)
{
    const size_t t = get_group_id(0);
    real squares = 0;
    u += t * a.stride;
    for (int i = get_local_id(0); i < a.P; i += W) {
        const real v = u[i] + b[i];
        squares += v * v;
    }
    const real norm = fmax(sqrt(reduce_sum(squares, part)), TINY);
    for (int i = get_local_id(0); i < a.P; i += W)
        unit[t * a.P + i] = (u[i] + b[i]) / norm;
    if (get_local_id(0) == 0)
        length[t] = norm;
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void cosine_rows_backward(const struct motley__cosine_args a, __global const float *restrict unit,
                          __global const float *restrict length, __global float *restrict g, __local real *part)
{
    const size_t t = get_group_id(0);
    real along = 0;
    unit += t * a.P;
    g += t * a.P;
    for (int i = get_local_id(0); i < a.P; i += W)
        along += (real)unit[i] * g[i];
    along = reduce_sum(along, part);
    for (int i = get_local_id(0); i < a.P; i += W)
        g[i] = (g[i] - unit[i] * along) / length[t];
}

static real scale_of(float temperature)
{
    return exp(temperature > MOST_TEMPERATURE ? MOST_TEMPERATURE : (real)temperature);
}

/* |M[e,:]| */
static real norm_of(int e, int P, __global const float *matrix, __local real *part)
{
    real squares = 0;
    for (int i = get_local_id(0); i < P; i += W) {
        const real m = matrix[AT(e, i, P)];
        squares += m * m;
    }
    return fmax(sqrt(reduce_sum(squares, part)), TINY);
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void cosine_matrix(const struct motley__cosine_args a, __global const float *restrict matrix,
                   __global const float *restrict temperature, __global float *restrict scaled, __local real *part)
{
    const int e = get_group_id(0);
    const real scale = scale_of(temperature[0]) / norm_of(e, a.P, matrix, part);
    for (int i = get_local_id(0); i < a.P; i += W)
        scaled[AT(e, i, a.P)] = scale * matrix[AT(e, i, a.P)];
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void cosine_matrix_backward(const struct motley__cosine_args a, __global const float *restrict matrix,
                            __global const float *restrict temperature, __global float *restrict gradient,
                            __global float *restrict slope, __local real *part)
{
    const int e = get_group_id(0);
    const real norm = norm_of(e, a.P, matrix, part), scale = scale_of(temperature[0]);
    real along = 0;
    for (int i = get_local_id(0); i < a.P; i += W)
        along += matrix[AT(e, i, a.P)] / norm * gradient[AT(e, i, a.P)];
    along = reduce_sum(along, part);
    for (int i = get_local_id(0); i < a.P; i += W) {
        const size_t at = AT(e, i, a.P);
        gradient[at] = scale / norm * (gradient[at] - matrix[at] / norm * along);
    }
    if (get_local_id(0) == 0)
        slope[e] = scale * along;
}

__kernel void cosine_temperature(const struct motley__cosine_args a, __global const float *restrict temperature,
                                 __global const float *restrict slope, __global float *restrict gradient)
{
    real sum = 0;
    for (int e = 0; e < a.E; e++)
        sum += slope[e];
    gradient[0] = temperature[0] <= MOST_TEMPERATURE ? sum : 0;
}
