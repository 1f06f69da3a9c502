/* Auxiliary losses of the gate over all tokens of all ranks:
 *
 *   GShard balance   E * sum_e mean_t(p_te) * share_e      share_e: fraction of tokens whose first choice is e
 *   z-loss           mean_t(lse_t^2)
 *
 * Each rank sums over its own tokens (losses_sums), the sums are added over ranks, and every rank then knows
 * the losses and the gradient's coefficients.  Source: GShard (arXiv 2006.16668), ST-MoE (arXiv 2202.08906).
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

#endif
