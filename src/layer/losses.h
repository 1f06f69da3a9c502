/* Auxiliary losses of the gate over all tokens of all ranks:
 *
 *   GShard balance   E * sum_e mean_t(p_te) * share_e      share_e: fraction of tokens whose first choice is e
 *   z-loss           mean_t(lse_t^2)
 *   importance       (CV^2(sum_t q_te) + CV^2(sum_t Phi((c_te - last_t) / sigma))) / 2
 *
 * c are the logits without noise, q their softmax, last_t the noisy logit of the token's last choice and sigma the
 * noise's deviation: Phi(...) is the chance that e would be chosen under other noise.  CV^2 is a variance over experts,
 * divided by the square of the mean.
 *
 * Each rank sums over its own tokens (losses_sums, importance_sums), the sums are added over ranks, and every rank then
 * knows the losses and the gradient's coefficients.  Source: GShard (arXiv 2006.16668), ST-MoE (arXiv 2202.08906);
 * importance and load: Shazeer et al. (arXiv 1701.06538).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_LOSSES_H
#define MOTLEY_LAYER_LOSSES_H

#include "device/buffer.h"

/* sums [2E+2] float, device, written: sum_t p_te [E], first choices [E], sum_t lse^2, T.  T may be 0. */
int motley__losses_sums(struct motley__device *device, int T, int E, int K, const struct motley__buffer *p,
                        const struct motley__buffer *lse, const struct motley__buffer *indices,
                        struct motley__buffer *sums, struct motley_error *error);

/* Host arithmetic on the global sums [2E+2]: the two losses, and balance_gradient [E] = coefficient * E *
 * share_e / tokens (the `balance` of motley__gate_backward; all zero when there are no tokens). */
void motley__losses_value(int E, const double *sums, double coefficient, double *balance, double *z,
                          float *balance_gradient);

/* Of the importance loss.  T may be 0. */
struct motley__importance {
    int T, E, K;
    double sigma;
    const struct motley__buffer *clean;     /* [T,E] c */
    const struct motley__buffer *lse;       /* [T] of c */
    const struct motley__buffer *last;      /* [T] */
    const struct motley__buffer *indices;   /* [T,K] int; backward only */
};
/* sums [2E+2] float, device, written: sum_t q_te [E], sum_t Phi [E], sum_t lse^2, T. */
int motley__importance_sums(struct motley__device *device, const struct motley__importance *importance,
                            struct motley__buffer *sums, struct motley_error *error);

/* Host arithmetic on the global sums: the loss, and gradient [2E], coefficient times its slope along each of the first
 * 2E (all zero when there are no tokens). */
double motley__importance_value(int E, const double *sums, double coefficient, float *gradient);

/* dlogits [T,E] += the loss's gradient; gradient [2E] device. */
int motley__importance_backward(struct motley__device *device, const struct motley__importance *importance,
                                const struct motley__buffer *gradient, struct motley__buffer *dlogits,
                                struct motley_error *error);

#endif
