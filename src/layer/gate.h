/* The gate: which K experts a token goes to, and with what weights.
 *
 *   logits = x gate^T, accumulated in double precision where the device has it, so that near ties fall
 *            as in exact arithmetic; equal gate rows give equal logits, always
 *   p      = softmax(logits) over all E; or of a sigmoid gate 1 / (1 + exp(-logits)), each for itself
 *   chosen = the K largest logits, or of a sigmoid gate the K largest p + correction; ties to the lower expert
 *            number, listed in descending order;
 *            with collaborators the first one as ever, the others the largest of those that may stand beside it
 *            (C2R, arXiv 2504.01337; the gradient is that of the chosen, whatever chose them)
 *   weight = p of the chosen; with normalize divided by their sum
 *
 * The cosine gate is this one on other rows: cosine.h.
 *
 * `single` 1 uses what devices without double use, compensated float, everywhere (cl/real.h); for tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_GATE_H
#define MOTLEY_LAYER_GATE_H

#include <motley/plan.h>
#include "layer/noise.h"
#include "product/linear.h"

/* logits [T, motley__gate_stride(E)] = x w^T: each of a token's E numbers is a double, or a float on a device without;
 * the rest is scratch. */
struct motley__gate_logits {
    enum motley_dtype dtype;                /* of x */
    int T, D, E, single;
    const struct motley__buffer *x;         /* [T,D] */
    const struct motley__matrix *w;         /* E = 1, [E,D] */
    struct motley__buffer *logits;          /* motley__gate_scratch_bytes, written */
};
int motley__gate_stride(int E);

/* Inputs of the matrix [E,.] that logits are taken with; numbers of a token that the scratch must hold at once. */
static inline int motley__gate_inputs(const struct motley_layer_shape *shape)
{
    return shape->gate == MOTLEY_GATE_COSINE ? shape->gate_width : shape->D;
}
static inline int motley__gate_widest(const struct motley_layer_shape *shape)
{
    return shape->gate_width > shape->E ? shape->gate_width : shape->E;
}
int motley__gate_logits(struct motley__device *device, const struct motley__gate_logits *gate,
                        struct motley_error *error);

/* What the kernels of a gate take: 1 when sums run in float; work-items that share a token's E numbers. */
int motley__gate_is_single(const struct motley__device *device, int single);
int motley__gate_items(const struct motley__device *device, int E);

struct motley__gate_forward {
    enum motley_dtype dtype;                /* of x */
    int T, D, E, K, normalize, single;
    const struct motley__buffer *x;         /* [T,D] */
    const struct motley__matrix *w;         /* E = 1, [E,D] */
    const struct motley__buffer *correction;/* [E] of a sigmoid gate; NULL: softmax */
    const struct motley__buffer *forced;    /* [T,K] int: the experts are given, weights still from the softmax; or
                                             * NULL.  An expert may be named twice; one outside 0..E-1 becomes -1,
                                             * weight 0 */
    const struct motley__buffer *collaborators; /* [E, motley__gate_mask_words(E)] uint: bit e of row i says that e may
                                             * be chosen beside i, when i is the first; bit i itself is set, and at
                                             * least K are.  NULL: any may; not looked at with forced */
    struct motley__buffer *logits;          /* scratch, motley__gate_scratch_bytes */
    struct motley__buffer *p;               /* [T,E] written: scores */
    struct motley__buffer *lse;             /* [T] written: log sum exp of the logits */
    struct motley__buffer *indices;         /* [T,K] int, written */
    struct motley__buffer *weights;         /* [T,K] written */
    struct motley__buffer *best;            /* [T] written: the largest score; or NULL */
    const struct motley__noise *noise;      /* everything above is that of the noisy logits; NULL: there is none */
};
static inline int motley__gate_mask_words(int E)
{
    return (E + 31) / 32;
}
size_t motley__gate_scratch_bytes(const struct motley__device *device, int T, int E);
int motley__gate_forward(struct motley__device *device, const struct motley__gate_forward *gate,
                         struct motley_error *error);

/* dlogits [T,E] = gradient through weights and softmax, plus the two auxiliary losses' own:
 *   with normalize, g = p/s:   dp_chosen = (dg_j - sum_m g_m dg_m)/s;   else dp_chosen = dg_j;  others 0
 *   dp_e    += balance[e]                               (GShard: coefficient * E * share_e / tokens)
 *   dlogit   = p (dp - sum p dp) + z 2 lse p            (z: coefficient / tokens)
 * and of a sigmoid gate  dlogit = p (1 - p) dp */
struct motley__gate_backward {
    int T, E, K, normalize, sigmoid, single;
    const struct motley__buffer *p, *lse, *indices, *weights;
    const struct motley__buffer *dweights;  /* [T,K] */
    const struct motley__buffer *balance;   /* [E] or NULL */
    float z;
    struct motley__buffer *dlogits;         /* [T,E] written */
};
int motley__gate_backward(struct motley__device *device, const struct motley__gate_backward *gate,
                          struct motley_error *error);

#endif
