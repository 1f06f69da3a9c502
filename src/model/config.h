/* The sizes of a decoder: what a config.json says.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_CONFIG_H
#define MOTLEY_MODEL_CONFIG_H

#include <motley/plan.h>
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
    enum motley_gate gate;         /* softmax, sigmoid or cosine */
    int gate_width;                /* of a cosine gate: what tokens are projected to, at most 256; else 0 */
    int before;                    /* 1: weights multiply what experts are given, else what they return */
};

/* A small model for bytes: 256 tokens, theta 10000, eps 1e-5, Mixtral's balance coefficient; sizes are the caller's. */
struct motley__config motley__config_default(void);

/* The width that a cosine gate has in a model of width D: half of it (XMoE, arXiv 2204.09179), at most 256. */
int motley__config_gate_width(int D);

/* The shape of its mixture-of-experts layers. */
struct motley_layer_shape motley__config_shape(const struct motley__config *config, enum motley_dtype dtype);

/* Refuses what no model can be: MOTLEY_E_INVALID with the member, what was expected and what was found. */
int motley__config_check(const struct motley__config *config, struct motley_error *error);

/* Scalar weights of the whole model; of them used by one token (K of E experts). */
double motley__config_weights(const struct motley__config *config, double *active);

#endif
