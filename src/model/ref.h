/* What the model's kernels compute, in plain C and double precision: their specification.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_REF_H
#define MOTLEY_MODEL_REF_H

/* RMSNorm, x, y, dy, dx [T,D], w, dw [D].  dx, dw written. */
void motley__ref_norm(int T, int D, double eps, const double *x, const double *w, double *y);
void motley__ref_norm_backward(int T, int D, double eps, const double *x, const double *w, const double *dy, double *dx,
                               double *dw);

/* Rotary positions, x [T,heads,d] in place; row t is at position past + t % S; back 1: its inverse, the gradient. */
void motley__ref_rope(int T, int S, int past, int heads, int d, double theta, int back, double *x);

/* Causal attention, q, out, dout, dq [B*S,H,d]; k, v, dk, dv [B*(past+S),G,d] (backward: past = 0).
 * lse [B,H,S] or NULL. */
void motley__ref_attention(int B, int S, int past, int H, int G, int d, const double *q, const double *k,
                           const double *v, double *out, double *lse);
void motley__ref_attention_backward(int B, int S, int H, int G, int d, const double *q, const double *k,
                                    const double *v, const double *dout, double *dq, double *dk, double *dv);

/* x [T,D] = w[token]; dw [vocabulary,D] written. */
void motley__ref_embedding(int T, int D, const int *token, const double *w, double *x);
void motley__ref_embedding_backward(int T, int vocabulary, int D, const int *token, const double *dx, double *dw);

/* loss [T]; dlogits [T,C] = scale (softmax - one-hot), or NULL. */
void motley__ref_cross_entropy(int T, int C, const int *target, double scale, const double *logits, double *loss,
                               double *dlogits);

#endif
