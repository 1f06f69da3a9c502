/* Weights before the experts in plain C: what they mean.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/ref.h"

void motley__ref_scale(int P, int D, const float *x, const int *index, const float *weight, float *scaled)
{
    for (int p = 0; p < P; p++)
        for (int d = 0; d < D; d++)
            scaled[(size_t)p * D + d] = weight[p] * x[(size_t)index[p] * D + d];
}

void motley__ref_scale_backward(int P, int D, const float *x, const int *index, const float *weight, float *dx,
                                float *dw)
{
    for (int p = 0; p < P; p++, dx += D) {
        double dot = 0;
        for (int d = 0; d < D; d++) {
            dot += (double)x[(size_t)index[p] * D + d] * dx[d];
            dx[d] *= weight[p];
        }
        dw[p] = (float)dot;
    }
}
