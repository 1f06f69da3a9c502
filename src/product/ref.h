/* The products and activations of experts in plain C: their specification.  Host memory, canonical weights, no device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_REF_H
#define MOTLEY_PRODUCT_REF_H

/* rows.h, on the host. */
struct motley__ref_rows {
    const float *own, *received;
    int own_rows;
    const int *index;
};

/* esmm.h; weights canonical [E,O,I], offsets [E+1] or NULL.  Sums in double. */
struct motley__ref_esmm {
    int E, P, O, I;
    const int *offsets;
    struct motley__ref_rows x;
    const float *w, *w3, *bias;
    int activation, accumulate;
    float *pre, *pre3, *y;
};
void motley__ref_esmm(const struct motley__ref_esmm *esmm);
void motley__ref_esmm_transposed(const struct motley__ref_esmm *esmm);

/* estmm.h; dw [E,O,I] canonical. */
void motley__ref_estmm(int E, int P, int O, int I, const int *offsets, const struct motley__ref_rows *a,
                       const struct motley__ref_rows *b, int accumulate, float *dw);
void motley__ref_ess(int E, int P, int O, const int *offsets, const struct motley__ref_rows *a, const float *scale,
                     int accumulate, float *db);

/* activation.h */
double motley__ref_activation(double x, int activation);
double motley__ref_activation_slope(double x, int activation);
void motley__ref_activation_backward(int P, int F, int activation, const float *weight, const float *pre, float *pre3,
                                     float *u, float *h, float *dw);
void motley__ref_dot_bias(int E, int P, int D, const int *offsets, const struct motley__ref_rows *dy, const float *b2,
                          float *dw);

#endif
