/* The products and activations in plain C: their specification.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stddef.h>

#include "cl/types.h"
#include "product/ref.h"

static const float *row_of(const struct motley__ref_rows *rows, int p, int width)
{
    int i = rows->index ? rows->index[p] : p;
    if (!rows->received || i < rows->own_rows)
        return rows->own + (size_t)i * width;
    return rows->received + (size_t)(i - rows->own_rows) * width;
}

static int first_of(const int *offsets, int expert)
{
    return offsets ? offsets[expert] : 0;
}

static int end_of(const int *offsets, int expert, int P)
{
    return offsets ? offsets[expert + 1] : P;
}

double motley__ref_activation(double x, int activation)
{
    switch (activation) {
    case MOTLEY__ACT_RELU:
        return x < 0 ? 0 : x;
    case MOTLEY__ACT_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case MOTLEY__ACT_SILU:
    case MOTLEY__ACT_SWIGLU:
        return x / (1 + exp(-x));
    default:
        return x;
    }
}

double motley__ref_activation_slope(double x, int activation)
{
    double sigmoid = 1 / (1 + exp(-x));
    switch (activation) {
    case MOTLEY__ACT_RELU:
        return x > 0;
    case MOTLEY__ACT_GELU:
        return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-x * x / 2) / sqrt(2 * acos(-1));
    case MOTLEY__ACT_SILU:
    case MOTLEY__ACT_SWIGLU:
        return sigmoid + x * sigmoid * (1 - sigmoid);
    default:
        return 1;
    }
}

static double dot(int n, const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static void esmm_output(const struct motley__ref_esmm *m, const float *row, int expert, int p, int o)
{
    size_t weight = ((size_t)expert * m->O + o) * m->I, at = (size_t)p * m->O + o;
    double pre = dot(m->I, row, m->w + weight) + (m->bias ? m->bias[(size_t)expert * m->O + o] : 0);
    double y = motley__ref_activation(pre, m->activation);
    if (m->pre)
        m->pre[at] = (float)pre;
    if (m->activation == MOTLEY__ACT_SWIGLU) {
        double pre3 = dot(m->I, row, m->w3 + weight);
        if (m->pre3)
            m->pre3[at] = (float)pre3;
        y *= pre3;
    }
    m->y[at] = (float)(y + (m->accumulate ? m->y[at] : 0));
}

void motley__ref_esmm(const struct motley__ref_esmm *esmm)
{
    for (int e = 0; e < esmm->E; e++)
        for (int p = first_of(esmm->offsets, e); p < end_of(esmm->offsets, e, esmm->P); p++)
            for (int o = 0; o < esmm->O; o++)
                esmm_output(esmm, row_of(&esmm->x, p, esmm->I), e, p, o);
}

void motley__ref_esmm_transposed(const struct motley__ref_esmm *esmm)
{
    for (int e = 0; e < esmm->E; e++)
        for (int p = first_of(esmm->offsets, e); p < end_of(esmm->offsets, e, esmm->P); p++) {
            const float *row = row_of(&esmm->x, p, esmm->O);
            for (int i = 0; i < esmm->I; i++) {
                float *y = esmm->y + (size_t)p * esmm->I + i;
                double sum = esmm->accumulate ? *y : 0;
                for (int o = 0; o < esmm->O; o++)
                    sum += (double)row[o] * esmm->w[((size_t)e * esmm->O + o) * esmm->I + i];
                *y = (float)sum;
            }
        }
}

void motley__ref_estmm(int E, int P, int O, int I, const int *offsets, const struct motley__ref_rows *a,
                       const struct motley__ref_rows *b, int accumulate, float *dw)
{
    for (int e = 0; e < E; e++)
        for (int o = 0; o < O; o++)
            for (int i = 0; i < I; i++) {
                float *to = dw + ((size_t)e * O + o) * I + i;
                double sum = accumulate ? *to : 0;
                for (int p = first_of(offsets, e); p < end_of(offsets, e, P); p++)
                    sum += (double)row_of(a, p, O)[o] * row_of(b, p, I)[i];
                *to = (float)sum;
            }
}

void motley__ref_ess(int E, int P, int O, const int *offsets, const struct motley__ref_rows *a, const float *scale,
                     int accumulate, float *db)
{
    for (int e = 0; e < E; e++)
        for (int o = 0; o < O; o++) {
            float *to = db + (size_t)e * O + o;
            double sum = accumulate ? *to : 0;
            for (int p = first_of(offsets, e); p < end_of(offsets, e, P); p++)
                sum += (scale ? (double)scale[p] : 1.0) * row_of(a, p, O)[o];
            *to = (float)sum;
        }
}

void motley__ref_activation_backward(int P, int F, int activation, const float *weight, const float *pre, float *pre3,
                                     float *u, float *h, float *dw)
{
    for (int p = 0; p < P; p++) {
        double sum = 0, w = weight[p];
        for (size_t at = (size_t)p * F; at < (size_t)(p + 1) * F; at++) {
            double value = motley__ref_activation(pre[at], activation), du = u[at];
            double slope = motley__ref_activation_slope(pre[at], activation);
            int swiglu = activation == MOTLEY__ACT_SWIGLU;
            double product = swiglu ? value * pre3[at] : value;
            sum += du * product;
            u[at] = (float)(w * du * slope * (swiglu ? pre3[at] : 1));
            if (swiglu)
                pre3[at] = (float)(w * du * value);
            h[at] = (float)(w * product);
        }
        dw[p] = (float)sum;
    }
}

void motley__ref_dot_bias(int E, int P, int D, const int *offsets, const struct motley__ref_rows *dy, const float *b2,
                          float *dw)
{
    for (int e = 0; e < E; e++)
        for (int p = first_of(offsets, e); p < end_of(offsets, e, P); p++)
            dw[p] += (float)dot(D, row_of(dy, p, D), b2 + (size_t)e * D);
}
