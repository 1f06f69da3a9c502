/* The cosine gate: logits are scaled cosines between projected tokens and the experts' rows.
 *
 *   v = x proj^T + bias                    proj [P,D], bias [P]
 *   logits = v / |v| . M[e] / |M[e]| * s   M [E,P], s = exp(min(tau, log 100))
 *
 * It is the gate of gate.h on the unit rows v / |v|, with the matrix S[e] = s M[e] / |M[e]|: whatever follows the
 * logits stays as it is.  A length below 1e-12 counts as 1e-12.  Source: Flex (arXiv 2206.03382), after XMoE
 * (arXiv 2204.09179).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_COSINE_H
#define MOTLEY_LAYER_COSINE_H

#include "product/linear.h"

enum { MOTLEY__COSINE_WIDEST = 256 };       /* P */

struct motley__cosine {
    struct motley__linear *matrix;          /* M [E,P], of f32 rows; borrowed */
    struct motley__linear *scaled;          /* S [E,P], without gradient: M's becomes it; owned */
    struct motley__linear *projection;      /* [P,D]; owned */
    struct motley__matrix *bias, *dbias;    /* [1,P]; owned, gradients NULL when not trained */
    struct motley__matrix *temperature, *dtemperature; /* [1,1]; owned, likewise */
    struct motley__buffer *slope;           /* [E] when trained; owned */
};

/* Zeros.  matrix: M, with its gradient when trained; borrowed.  dtype: how tokens are stored.  place: of projection,
 * bias and temperature, or NULL. */
int motley__cosine_create(struct motley__device *device, enum motley__dense path, enum motley_dtype dtype, int D,
                          int trained, struct motley__linear *matrix, const struct motley__weight_place *place,
                          struct motley__cosine **cosine, struct motley_error *error);
void motley__cosine_destroy(struct motley__cosine *cosine); /* accepts NULL */

struct motley__cosine_step {
    int T, single;                          /* single: as in gate.h */
    const struct motley__buffer *x;         /* [T,D] */
    struct motley__buffer *scratch;         /* motley__gate_scratch_bytes of T and P */
    struct motley__buffer *unit;            /* [T,P] */
    struct motley__buffer *length;          /* [T] */
    /* backward only */
    const struct motley__buffer *dlogits;   /* [T,E] */
    struct motley__buffer *dunit;           /* [T,P] scratch */
    struct motley__buffer *dx;              /* [T,D] added to */
};

/* unit, length and S written. */
int motley__cosine_forward(const struct motley__cosine *cosine, const struct motley__cosine_step *step,
                           struct motley_error *error);
/* The gradients of M, projection, bias and temperature written, dx += ...; unit and length as forward left them. */
int motley__cosine_backward(const struct motley__cosine *cosine, const struct motley__cosine_step *step,
                            struct motley_error *error);

#endif
