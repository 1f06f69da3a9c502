/* One block of the decoder: attention, then the mixture of experts, each behind a norm and beside the residual stream.
 *
 *   n1 = rmsnorm(x);  y  = x + Wo attention(rope(Wq n1), rope(Wk n1), Wv n1)
 *   n2 = rmsnorm(y);  x' = y + moe(n2)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_BLOCK_H
#define MOTLEY_MODEL_BLOCK_H

#include "layer/layer.h"
#include "model/weights.h"

/* What a block's forward leaves for its backward; one set serves all blocks where there is none.  T = B*S rows, in the
 * block's storage type; r1, r2 and lse are f32. */
struct motley__activations {
    struct motley__buffer *x;                   /* [T,D] the residual stream at its entry */
    struct motley__buffer *r1, *n1;             /* [T], [T,D] */
    struct motley__buffer *q, *k, *v;           /* [T,D], [T,keys], [T,keys]; q and k turned */
    struct motley__buffer *a, *lse;             /* [T,D] attention, [B,heads,stride] */
    struct motley__buffer *y, *r2, *n2;         /* [T,D], [T], [T,D] */
};

/* Scratch that all blocks share: rows in the storage type, what is transposed, delta and partial f32. */
struct motley__workspace {
    struct motley__buffer *kt, *vt;             /* [B,kv_heads,d,stride] */
    struct motley__buffer *qt, *doutt;          /* [B,heads,d,stride] */
    struct motley__buffer *delta;               /* [B,heads,stride] */
    struct motley__buffer *dn, *da, *dq, *dk, *dv; /* [T,D], [T,D], [T,D], [T,keys], [T,keys] */
    struct motley__buffer *partial;             /* motley__norm_scratch_bytes */
};

/* Keys and values of what came before, of one sequence. */
struct motley__cache {
    struct motley__buffer *kt;                  /* [kv_heads,d,stride] f32 */
    struct motley__buffer *v;                   /* [positions,keys] storage type */
};

struct motley__block {
    struct motley__device *device;              /* borrowed, as the next three */
    const struct motley__config *config;
    enum motley_dtype dtype;                    /* of rows */
    const struct motley__buffer *rope;
    struct motley__dense_weight *weight;        /* the block's first */
    motley_layer *moe;                          /* owned by the decoder */
};

/* The rows of a pass: B sequences of S, behind `past` rows in a cache (NULL: none). */
struct motley__extent {
    int B, S, past;
    int stride;                                 /* of transposed rows */
    const struct motley__cache *cache;          /* inference: B = 1 */
};

/* Room for B*S rows, one at least; backward 0: only what forward needs.  Contents are lost when a buffer grows. */
int motley__activations_reserve(const struct motley__block *block, const struct motley__extent *extent,
                                struct motley__activations *activations, struct motley_error *error);
int motley__workspace_reserve(const struct motley__block *block, const struct motley__extent *extent, int backward,
                              struct motley__workspace *workspace, struct motley_error *error);
void motley__activations_release(struct motley__activations *activations);
void motley__workspace_release(struct motley__workspace *workspace);

/* next [T,D] = block(s->x); may be s->x itself when nothing is kept.  Collective. */
int motley__block_forward(const struct motley__block *block, const struct motley__extent *extent,
                          const struct motley__activations *s, const struct motley__workspace *w,
                          struct motley__buffer *next, struct motley_error *error);

/* dx [T,D]: the gradient of the block's output becomes that of its input; weights' gradients are written (with no rows
 * only the experts' and the gate's: the others are the caller's to zero).  Collective. */
int motley__block_backward(const struct motley__block *block, const struct motley__extent *extent,
                           const struct motley__activations *s, const struct motley__workspace *w,
                           struct motley__buffer *dx, struct motley_error *error);

#endif
