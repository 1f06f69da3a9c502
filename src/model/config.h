/* The sizes of a decoder: what a config.json says.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_CONFIG_H
#define MOTLEY_MODEL_CONFIG_H

#include "base/error.h"

/* A value. */
struct motley__config {
    int vocabulary;                /* tokens are bytes: at most 256 */
    int D;                         /* width */
    int layers;
    int heads;                     /* query heads; D/heads floats each, an even number */
    int kv_heads;                  /* key and value heads, divides heads */
    int F, E, K;                   /* experts: hidden width, number, per token */
    int positions;                 /* the longest sequence */
    double rope_theta;
    double norm_eps;
    double balance_coefficient;    /* of the gate's balance loss, mean over layers */
    double z_coefficient;          /* of its z-loss, mean over layers */
};

/* A small model for bytes: 256 tokens, theta 10000, eps 1e-5, Mixtral's balance coefficient; sizes are the caller's. */
struct motley__config motley__config_default(void);

/* Refuses what no model can be: MOTLEY_E_INVALID with the member, what was expected and what was found. */
int motley__config_check(const struct motley__config *config, struct motley_error *error);

/* Scalar weights of the whole model; of them used by one token (K of E experts). */
double motley__config_weights(const struct motley__config *config, double *active);

#endif
