/* Gate, losses and routing in plain C: their specification (ref_gate.c, ref_cosine.c,
 * ref_losses.c, ref_route.c, ref_scale.c).  Host memory, no device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_REF_H
#define MOTLEY_LAYER_REF_H

#include <stddef.h>
#include <stdint.h>

#include "cl/types.h"

/* Arguments as in gate.h; w [E,D] canonical, correction [E] (sigmoid), forced [T,K] and collaborators [E,words] or
 * NULL, logits [T,E].  Double inside. */
void motley__ref_gate_logits(int T, int D, int E, const float *x, const float *w, double *logits);
void motley__ref_gate_select(int T, int E, int K, int normalize, const double *logits, const float *correction,
                             const int *forced, const uint32_t *collaborators, float *p, float *lse, int *indices,
                             float *weights);
void motley__ref_gate_backward(int T, int E, int K, int normalize, int sigmoid, const float *p, const float *lse,
                               const int *indices, const float *weights, const float *dweights, const float *balance,
                               float z, double *dlogits);

/* cosine.h; x [T,D], projection [P,D], bias [P], matrix [E,P], all canonical. */
struct motley__ref_cosine {
    int T, D, P, E;
    const float *x, *projection, *bias, *matrix;
    float temperature;
};
/* unit [T,P], length [T], logits [T,E] written. */
void motley__ref_cosine_forward(const struct motley__ref_cosine *cosine, double *unit, double *length, double *logits);
/* Added to.  scratch [P]. */
struct motley__ref_cosine_gradient {
    double *x, *projection, *bias, *matrix, temperature;
};
void motley__ref_cosine_backward(const struct motley__ref_cosine *cosine, const double *unit, const double *length,
                                 const double *dlogits, struct motley__ref_cosine_gradient *gradient, double *scratch);

/* noise.h; logits [T,E]. */
void motley__ref_noise_add(int T, int E, double sigma, uint64_t seed, int64_t first, double *logits);

/* losses.h; sums [2E+2]; dlogits added to. */
void motley__ref_losses_sums(int T, int E, int K, const float *p, const float *lse, const int *indices, double *sums);
void motley__ref_importance_sums(int T, int E, double sigma, const float *clean, const float *lse, const float *last,
                                 double *sums);
void motley__ref_importance_backward(int T, int E, int K, double sigma, const float *clean, const float *lse,
                                     const float *last, const int *indices, const float *gradient, double *dlogits);

/* scale.h */
void motley__ref_scale(int P, int D, const float *x, const int *index, const float *weight, float *scaled);
void motley__ref_scale_backward(int P, int D, const float *x, const int *index, const float *weight, float *dx,
                                float *dw);

/* route.h; slot NULL: an index is its own slot. */
void motley__ref_route(int N, int E, int slots, const int *indices, const int *slot, int *order, int *where,
                       int *offsets);

/* encode.h; list in 2-byte units. */
void motley__ref_heads(const struct motley__heads_args *a, const int *indices, const int *server, int *slots,
                       int *heads);
void motley__ref_encode(int D, int K, int rows, const float *x, const int *order, float *send);
void motley__ref_encode_pairs(int slots, const int *indices, const int *name, const float *weights, const int *order,
                              const int *pair_offsets, const int *row, const int *row_offsets, uint16_t *list);

/* guests.h */
void motley__ref_guests(const struct motley__guests_args *a, const int *own_indices, const float *own_weights,
                        const int *source, const uint16_t *list, int *indices, float *weights, int *at);
void motley__ref_staying(const struct motley__staying_args *a, const int *order, const int *offsets, int *own);

/* place.h */
void motley__ref_arrive(const struct motley__arrive_args *a, const int *indices, const int *source,
                        const uint16_t *list, int *expert, int *begin, int *row, float *received);
void motley__ref_place(int P, int N, int K, int own_rows, const int *order, const float *weights, const int *row,
                       const float *received, int *index, float *weight);

/* decode.h; the products and the sums in float, in the kernels' order, so that results are equal bit for bit. */
void motley__ref_combine(int rows, int D, int first, const float *o, const int *begin, const int *where,
                         const float *weight, float *returned);
struct motley__ref_returned {
    int groups, streams;
    struct motley__chunks chunks;
    const int *indices, *server, *row, *pair, *table;
    const float *rows, *scalars;
};
void motley__ref_decode(int T, int K, int D, const int *where, const float *o, const float *weight,
                        const struct motley__ref_returned *returned, int accumulate, float *y);
void motley__ref_decode_scalars(int T, int K, const int *where, const float *s,
                                const struct motley__ref_returned *returned, float *out);

#endif
