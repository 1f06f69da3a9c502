/* Causal softmax attention, and its gradient, never holding a matrix of S x S.  cl/attention.cl.
 *
 * H query heads share G key and value heads, d numbers each; a row holds its heads side by side, in the storage type.
 * Keys lie transposed, in f32,
 *
 *   xt [B, heads, d, stride]    xt[b,h,i,t] = x[b,t,h,i]
 *
 * so that products with them yield whole vectors of neighbouring keys; `stride` leaves room behind the last row.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_ATTENTION_H
#define MOTLEY_MODEL_ATTENTION_H

#include <motley/tensor.h>
#include "device/buffer.h"

struct motley__attention {
    enum motley_dtype dtype;            /* of rows: q, k, v, out and their gradients; all else is f32 */
    int B, S;                           /* sequences, rows of each */
    int past;                           /* keys before the first row (a cache, B = 1); 0 in training */
    int H, G, d;
    int stride;                         /* motley__attention_stride(past + S) or more */
    const struct motley__buffer *q;     /* [B*S, H*d] turned by rope, as k */
    const struct motley__buffer *k;     /* [B*S, G*d] */
    const struct motley__buffer *v;     /* [B*(past+S), G*d] */
    struct motley__buffer *kt;          /* [B, G, d, stride] columns from `past` on are written, those before used */
    struct motley__buffer *out;         /* [B*S, H*d] written */
    struct motley__buffer *lse;         /* [B, H, stride] written: log sum exp of the scores */
};

/* What backward needs besides; past is 0 and everything of forward unchanged, except that kt may be scratch. */
struct motley__attention_gradient {
    const struct motley__buffer *dout;  /* [B*S, H*d] */
    struct motley__buffer *qt, *doutt;  /* [B, H, d, stride] scratch */
    struct motley__buffer *vt;          /* [B, G, d, stride] scratch */
    struct motley__buffer *delta;       /* [B, H, stride] scratch */
    struct motley__buffer *dq;          /* [B*S, H*d] written */
    struct motley__buffer *dk, *dv;     /* [B*S, G*d] written */
};

/* Floats of a transposed row that holds `rows` columns. */
int motley__attention_stride(int rows);

/* Enqueued.  B = 0 or S = 0 does nothing. */
int motley__attention_forward(struct motley__device *device, const struct motley__attention *a,
                              struct motley_error *error);
int motley__attention_backward(struct motley__device *device, const struct motley__attention *a,
                               const struct motley__attention_gradient *g, struct motley_error *error);

#endif
