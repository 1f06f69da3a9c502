/* The dense weights of a decoder, which every rank holds: all in one buffer, their gradients in another, so that
 * an exchange of gradients is one call where ranks lay them out alike.
 *
 *   embedding | block 0: norm q k v o norm gate | block 1: ... | norm | head        each at a multiple of align_bytes
 *
 * Tables and products' matrices are in the model's storage type, norms' scales and gates f32, as all gradients.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_WEIGHTS_H
#define MOTLEY_MODEL_WEIGHTS_H

#include "model/config.h"
#include "model/parameter.h"
#include "product/linear.h"

enum motley__dense_kind {
    MOTLEY__DENSE_VECTOR,           /* a norm's scale: canonical, never decayed */
    MOTLEY__DENSE_TABLE,            /* the embedding: canonical */
    MOTLEY__DENSE_LINEAR,           /* a product's matrix, in the layout of its path */
    MOTLEY__DENSE_GATE,             /* the same, made by the mixture-of-experts layer in the place kept for it */
    MOTLEY__DENSE_GATE_VECTOR       /* a vector, likewise */
};

static inline int motley__dense_is_vector(enum motley__dense_kind kind)
{
    return kind == MOTLEY__DENSE_VECTOR || kind == MOTLEY__DENSE_GATE_VECTOR;
}

/* One dense weight. */
struct motley__dense_weight {
    char name[128];                 /* Hugging Face name */
    enum motley__dense_kind kind;
    enum motley_dtype dtype, rows;  /* how it is stored; and the rows it is multiplied with */
    int O, I;                       /* vectors: O = 1 */
    double start;                   /* of vectors: what they begin with */
    int counted;                    /* 1: has no gradient (parameter.h) */
    int residual;                   /* its output is added to the residual stream: drawn smaller */
    size_t offset, bytes;           /* in the arena of values */
    size_t gradient_offset, gradient_bytes; /* in that of gradients */
    struct motley__buffer *storage, *gradient; /* views; owned; gradient NULL when not trained */
    struct motley__linear *linear;  /* LINEAR: owned */
    struct motley__matrix *w, *dw;  /* VECTOR, TABLE: owned; LINEAR, GATE: borrowed */
};

/* Places in a block; the rest of its gate's weights are behind the first. */
enum motley__block_weight {
    MOTLEY__NORM1, MOTLEY__Q, MOTLEY__KEY, MOTLEY__VALUE, MOTLEY__O, MOTLEY__NORM2, MOTLEY__GATE
};

struct motley__weights {
    struct motley__device *device;  /* borrowed */
    int per_block;                  /* weights of a block */
    int count;
    struct motley__dense_weight *weight;  /* [count] owned, in the order of the picture */
    struct motley__buffer *values, *gradients;  /* the arenas; owned; gradients NULL when not trained */
};

/* Zero everywhere; the gates' `w` and `dw` are still NULL. */
int motley__weights_create(struct motley__device *device, const struct motley__config *config, enum motley_dtype dtype,
                           enum motley__dense path, int trained, struct motley__weights **weights,
                           struct motley_error *error);
void motley__weights_destroy(struct motley__weights *weights); /* accepts NULL */

struct motley__dense_weight *motley__weights_embedding(struct motley__weights *weights);
struct motley__dense_weight *motley__weights_block(struct motley__weights *weights, int block); /* its first one */
struct motley__dense_weight *motley__weights_norm(struct motley__weights *weights);
struct motley__dense_weight *motley__weights_head(struct motley__weights *weights);

/* Start values.  Matrices are normal with deviation 0.02, or 0.02 / sqrt(2 layers) where they feed the residual stream,
 * drawn by (seed, name, canonical position); vectors are what they begin with. */
int motley__weights_draw(const struct motley__weights *weights, int layers, uint64_t seed, struct motley_error *error);
/* One matrix of that kind: expert `expert` of w is given the values of tensor `name`, of I columns, that begin at
 * (row, column). */
int motley__weights_draw_part(struct motley__matrix *w, int expert, const char *name, int row, int column, int I,
                              double deviation, uint64_t seed, struct motley_error *error);
double motley__weights_deviation(int residual, int layers);

#endif
