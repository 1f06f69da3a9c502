/* A decoder from the inside.
 *
 *   weights.c   the dense weights in their arena, start values
 *   block.c     one block, forward and backward
 *   decoder.c   creating and destroying, the list of parameters
 *   replan.c    another plan for the same model
 *   pass.c      forward and backward over whole sequences
 *   extend.c    token by token with a cache
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_STATE_H
#define MOTLEY_MODEL_STATE_H

#include "model/block.h"
#include "model/decoder.h"

struct motley__decoder {
    motley_context *context;             /* borrowed */
    struct motley__device *device;       /* borrowed: the context's */
    const motley_plan *plan;             /* borrowed */
    struct motley__config config;
    enum motley_dtype dtype;             /* of rows, and of all weights but norms' scales and gates */
    int trained;
    const motley_coactivation *coactivation; /* borrowed: who may be chosen beside whom, */
    int collaborators;                   /* of so many; 0: anybody */

    struct motley__weights *weights;     /* owned, as everything below */
    struct motley__scratch *scratch;
    struct motley__block *block;         /* [layers] */
    struct motley__parameter *parameter; /* [parameters] */
    int parameters;
    struct motley__buffer *rope;         /* the table */

    /* A pass; buffers grow to the largest seen. */
    struct motley__activations *saved;   /* [sets]: one of each block when trained, else one for all */
    int sets;
    struct motley__workspace workspace;
    struct motley__buffer *token, *target, *order;  /* [T] int */
    struct motley__buffer *offsets;      /* [vocabulary+1] int */
    struct motley__buffer *x, *r, *n;    /* [T,D], [T] f32, [T,D]: behind the last block */
    struct motley__buffer *logits, *loss;/* [T,vocabulary], [T] f32 */
    struct motley__buffer *dx;           /* [T,D] */
    int *host_tokens;                    /* [3 host_rows]: tokens, targets, order */
    int *host_offsets;                   /* [vocabulary+1] */
    float *host_loss;                    /* [host_rows] */
    int host_rows;

    struct motley__cache *cache;         /* [layers], made at the first motley__decoder_extend */
    int cached;                          /* tokens in it */
};

/* The activations of a block. */
static inline struct motley__activations *motley__decoder_saved(const struct motley__decoder *decoder, int block)
{
    return &decoder->saved[decoder->sets > 1 ? block : 0];
}

/* decoder.c: the mixture-of-experts layer of a block by a plan, in place of what the block had, with its gate in the
 * place kept for it (then zero); and all layers as each other's neighbours.  Collective. */
int motley__decoder_make_layer(struct motley__decoder *decoder, int block, const motley_plan *plan,
                               struct motley_error *error);
void motley__decoder_link_layers(struct motley__decoder *decoder);

/* Room for the rows, on the device and on the host. */
int motley__decoder_reserve(struct motley__decoder *decoder, const struct motley__extent *extent, int backward,
                            struct motley_error *error);

/* x [T,D] = all blocks of the tokens; `token` holds them already.  Collective. */
int motley__decoder_forward(struct motley__decoder *decoder, const struct motley__extent *extent,
                            struct motley_error *error);

/* logits of `rows` rows of x. */
int motley__decoder_head(struct motley__decoder *decoder, int rows, const struct motley__buffer *x,
                         struct motley_error *error);

/* The first `rows` rows of logits as floats on the host.  Blocking. */
int motley__decoder_read_logits(const struct motley__decoder *decoder, int rows, float *logits,
                                struct motley_error *error);

/* Refuses tokens beyond the vocabulary, and copies the others to host_tokens. */
int motley__decoder_take(struct motley__decoder *decoder, const uint8_t *tokens, int count, int *taken,
                         struct motley_error *error);

#endif
