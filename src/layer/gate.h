/* The gate: which K experts a token goes to, and with what weights.
 *
 *   logits = x gate^T, accumulated in double precision where the device has it, so that near ties fall
 *            as in exact arithmetic; equal gate rows give equal logits, always
 *   p      = softmax(logits) over all E
 *   chosen = the K largest logits, ties to the lower expert number, listed in descending order;
 *            with collaborators the first one as ever, the others the largest of those that may stand beside it
 *            (C2R, arXiv 2504.01337; the gradient is that of the chosen, whatever chose them)
 *   weight = p of the chosen; with normalize divided by their sum
 *
 * `single` 1 uses what devices without double use, compensated float, everywhere (cl/real.h); for tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_GATE_H
#define MOTLEY_LAYER_GATE_H

#include "product/linear.h"

struct motley__gate_forward {
    enum motley_dtype dtype;                /* of x */
    int T, D, E, K, normalize, single;
    const struct motley__buffer *x;         /* [T,D] */
    const struct motley__matrix *w;         /* E = 1, [E,D] */
    const struct motley__buffer *forced;    /* [T,K] int: the experts are given, weights still from the softmax; or
                                             * NULL.  An expert may be named twice; one outside 0..E-1 becomes -1,
                                             * weight 0 */
    const struct motley__buffer *collaborators; /* [E, motley__gate_mask_words(E)] uint: bit e of row i says that e may
                                             * be chosen beside i, when i is the first; bit i itself is set, and at
                                             * least K are.  NULL: any may; not looked at with forced */
    struct motley__buffer *logits;          /* scratch, motley__gate_scratch_bytes */
    struct motley__buffer *p;               /* [T,E] written */
    struct motley__buffer *lse;             /* [T] written: log sum exp of the logits */
    struct motley__buffer *indices;         /* [T,K] int, written */
    struct motley__buffer *weights;         /* [T,K] written */
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
 *   dlogit   = p (dp - sum p dp) + z 2 lse p            (z: coefficient / tokens) */
struct motley__gate_backward {
    int T, E, K, normalize, single;
    const struct motley__buffer *p, *lse, *indices, *weights;
    const struct motley__buffer *dweights;  /* [T,K] */
    const struct motley__buffer *balance;   /* [E] or NULL */
    float z;
    struct motley__buffer *dlogits;         /* [T,E] written */
};
int motley__gate_backward(struct motley__device *device, const struct motley__gate_backward *gate,
                          struct motley_error *error);

#endif
