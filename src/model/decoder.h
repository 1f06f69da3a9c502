/* A decoder language model with a mixture-of-experts layer in every block (the Mixtral architecture, so that
 * checkpoints load in Hugging Face transformers):
 *
 *   x = embedding[tokens]
 *   per block:  x += Wo attention(rope(Wq n), rope(Wk n), Wv n), n = rmsnorm(x);   x += moe(rmsnorm(x))
 *   logits = Whead rmsnorm(x)
 *
 * Sequences are whole on a rank; experts are shared by all ranks.  A rank may hold no sequence.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_DECODER_H
#define MOTLEY_MODEL_DECODER_H

#include <motley/coactivation.h>
#include <motley/layer.h>
#include <motley/plan.h>
#include "model/config.h"
#include "model/parameter.h"

struct motley__decoder; /* opaque */

/* Weights drawn from (seed, tensor name, position): the same whatever the ranks.  The plan's shape says how rows,
 * logits and weights are stored (norms' scales and gates are f32).  plan is borrowed until destroy, config is copied.
 * trained 0: no gradients, nothing kept for backward.  Collective. */
int motley__decoder_create(motley_context *context, const struct motley__config *config, const motley_plan *plan,
                           int trained, uint64_t seed, struct motley__decoder **decoder, struct motley_error *error);
void motley__decoder_destroy(struct motley__decoder *decoder); /* accepts NULL */

/* [*count] weights in the order of a checkpoint; borrowed. */
struct motley__parameter *motley__decoder_parameters(struct motley__decoder *decoder, int *count);

/* The one buffer of all dense weights' gradients (NULL when not trained), gaps zero.  Ranks whose dense path is the
 * same lay it out alike, see weights.h.  Borrowed. */
struct motley__buffer *motley__decoder_dense_gradients(struct motley__decoder *decoder);

/* Another plan of the same shape, between two passes, block by block.  Block i is given a layer by the new plan, whose
 * experts are still zero; *before, owned by the caller, is the old one with the weights as they are.  Parameters
 * *of_experts and the two behind it (w1, w2, w3), and those of the gate, from *gate up to them, have the new matrices.
 * When all blocks have been moved motley__decoder_moved ends it; plan is borrowed from then on.
 * Collective.  After a failure the model can only be destroyed. */
int motley__decoder_move_block(struct motley__decoder *decoder, int block, const motley_plan *plan,
                               motley_layer **before, int *gate, int *of_experts, struct motley_error *error);
void motley__decoder_moved(struct motley__decoder *decoder, const motley_plan *plan);

/* From the next pass on every layer is held to collaborators (motley_layer_collaborate); coactivation is of one layer,
 * or of as many as the model has; borrowed until destroy.  Collective. */
int motley__decoder_collaborate(struct motley__decoder *decoder, const motley_coactivation *coactivation,
                                int collaborators, struct motley_error *error);

/* How tokens are routed from the next pass on, with a coefficient of the importance loss, mean over layers; a new model
 * drops nothing and has no noise.  Each layer makes its own noise from the seed; whether weights come before or after
 * the experts is the model's.  Local: all ranks give the same.  Errors: MOTLEY_E_INVALID. */
int motley__decoder_route(struct motley__decoder *decoder, const struct motley_routing *routing, double importance,
                          struct motley_error *error);

/* The correction of a layer's sigmoid gate [1,E]; NULL of other gates.  Borrowed until the model moves to another
 * plan. */
struct motley__matrix *motley__decoder_correction(const struct motley__decoder *decoder, int layer);

/* The experts that this rank's tokens chose in a layer in the last pass: [T,K] host, written. */
int motley__decoder_choices(const struct motley__decoder *decoder, int layer, int32_t *indices,
                            struct motley_error *error);

/* Of the last pass forward and backward, all layers: seconds of this rank's experts, and the pairs they had. */
void motley__decoder_expert_phase(const struct motley__decoder *decoder, double *seconds, double *pairs);
/* motley__layer_add_rows of all layers, to rows [E], or where `apart` each to its own, rows [layers,E].  Waits for the
 * device. */
int motley__decoder_add_rows(const struct motley__decoder *decoder, int apart, double *rows,
                             struct motley_error *error);

const struct motley__config *motley__decoder_config(const struct motley__decoder *decoder); /* borrowed */

/* What a pass over sequences found.  Sums over this rank's tokens; losses of the gate are already global means. */
struct motley__pass {
    double loss_sum;               /* nats, of the predicted tokens */
    double balance, z, importance; /* mean over layers */
};

/* tokens [B, S+1] host, borrowed: predict tokens[b][1..S] from tokens[b][0..S-1].  B may be 0.
 * total: predicted tokens of all ranks in this step; gradients are those of (sum of losses)/total
 * + balance_coefficient*balance + z_coefficient*z, this rank's part of replicated weights (to be added over ranks),
 * all of its experts'.  backward 0: loss only.  Collective. */
int motley__decoder_pass(struct motley__decoder *decoder, const uint8_t *tokens, int B, int S, double total,
                         int backward, struct motley__pass *pass, struct motley_error *error);

/* logits [B*S, vocabulary] host, written, of tokens [B,S].  B may be 0.  Collective. */
int motley__decoder_logits(struct motley__decoder *decoder, const uint8_t *tokens, int B, int S, float *logits,
                           struct motley_error *error);

/* Inference with a cache of keys and values: appends `count` tokens to the sequence of this rank (0: nothing on this
 * rank, its experts still serve) and writes the logits [vocabulary] of the last one.  Collective.
 * Fails with MOTLEY_E_INVALID beyond config->positions, on all ranks.  reset forgets the sequence. */
void motley__decoder_reset(struct motley__decoder *decoder);
int motley__decoder_extend(struct motley__decoder *decoder, const uint8_t *tokens, int count, float *logits,
                           struct motley_error *error);

#endif
