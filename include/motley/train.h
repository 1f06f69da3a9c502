/* A language model of mixture-of-experts layers: train it on text, save it, write text with it.
 *
 * The model is a byte-level decoder of the Mixtral architecture.  Ranks divide the sequences of a step and the experts
 * of every layer by what their devices were measured to do; what is computed does not depend on how it was divided,
 * beyond rounding.
 *
 *   motley_trainer_create(context, &options, &trainer, &error);
 *   motley_trainer_run(trainer, NULL, NULL, &error);              writes checkpoints, loss.csv and loss.svg
 *   motley_trainer_destroy(trainer);
 *   motley_generate(context, options.output, "Once", NULL, print, stdout, &error);
 *
 * A checkpoint is a directory OUTPUT/checkpoint-STEP, independent of the ranks that wrote it:
 *
 *   config.json, model.safetensors    the model in f32, as Hugging Face transformers reads it (if its gate is a softmax
 *                                     and weights come behind the experts: Mixtral has nothing else)
 *   optimizer.safetensors             the moments of AdamW
 *   trainer.json, plan.json           options, progress and data; who computed what
 *
 * It is there whole or not at all.  Rank 0 reads and writes all files.
 *
 * With options.dtype MOTLEY_BF16 the model computes with weights and activations of two bytes, while the optimizer
 * keeps an f32 master of every weight: that is what a checkpoint holds, so a run of either kind goes on as either.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_H
#define MOTLEY_TRAIN_H

#include <motley/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero means default; where zero itself would make sense, a negative number stands for it. */
struct motley_trainer_options {
    const char *const *text;        /* [texts] files, or directories with text files in them; borrowed for the call */
    int texts;
    uint64_t text_limit;            /* bytes of text to use; 0: all */
    const char *output;             /* directory for everything that is written; NULL: nothing is */

    int width, layers, heads;       /* the model: 128, 3, 4 */
    int hidden, experts, top_k;     /* an expert's hidden width, experts in a layer, experts per token: 256, 8, 2 */
    int sequence;                   /* bytes the model sees at once: 128 */

    int64_t steps;                  /* 1200 */
    int batch;                      /* sequences of all ranks in one step: 16 */
    double learning_rate;           /* the highest: 0.0025 */
    int64_t warmup;                 /* steps until it is reached, then half a cosine down to a tenth; a 20th of steps;
                                       negative: none */
    double weight_decay;            /* of matrices: 0.1; negative: none */
    double beta1, beta2, epsilon;   /* AdamW: 0.9, 0.95, 1e-8 */
    double clip;                    /* the gradient's largest norm: 1; negative: no limit */
    double balance, z;              /* coefficients of the gate's losses: 0.02, 0.001; negative: none */
    uint64_t seed;                  /* of weights and of the order of the text; 0 is a seed like any other */

    int64_t save_every;             /* steps between checkpoints: a 10th of steps; negative: only at the end */
    int64_t evaluate_every;         /* steps between looks at held-out text: a 20th of steps; negative: only at
                                       the end */
    int64_t held_out;               /* bytes of it to predict at each look, at most: 32768 */
    enum motley_shares shares;
    enum motley_mode mode;          /* how the experts' work is divided */
    int group;                      /* ranks of a group, in MOTLEY_MODE_HYBRID */
    int keep_plan;                  /* 1: the plan stays as it is.  0: where devices or their load change for long, and
                                       it pays, the ranks measure again and experts move between two steps; sums are
                                       then taken in another order from there on */
    const char *coactivation;       /* a file that says which experts are chosen together (motley/coactivation.h): those
                                       go on one rank; of as many layers as the model has, or of one for all.  NULL: not
                                       known; when resumed the checkpoint's */
    int collaborators;              /* beside its first expert a byte chooses among so many that are chosen most often
                                       with that one, by the same file; 0: among all */
    const char *record_coactivation; /* where to write which experts this run's bytes chose together, at its end; NULL:
                                       nowhere */
    int dtype;                      /* storage of weights and activations: MOTLEY_BF16, or negative for f32; f32, and
                                       when resumed the checkpoint's */

    int wire;                       /* how rows of tokens travel between ranks, as motley_plan_options has it:
                                       MOTLEY_BF16, MOTLEY_F16, or negative for as they are stored; that, and when
                                       resumed the checkpoint's */

    /* How bytes are routed; doc/math.md has the equations.  Noise, capacity and importance loss are for learning alone:
     * without them held-out text is judged, and text written. */
    int gate;                       /* MOTLEY_GATE_SIGMOID, MOTLEY_GATE_COSINE, or negative for softmax; softmax, and
                                       when resumed the checkpoint's */
    int before;                     /* 1: weights multiply what experts are given; negative: what they return; that, and
                                       when resumed as in the checkpoint */
    double correction_rate;         /* of a sigmoid gate: by so much an expert's correction rises after a step that gave
                                       it less than the mean, or else falls: 0.001; negative: it stays */
    double noise;                   /* normal numbers of deviation noise / experts are added to the gate's logits,
                                       others at every step: none; negative: none */
    double importance;              /* coefficient of the importance and load loss; needs noise and a gate that is not
                                       sigmoid: none; negative: none */
    double capacity;                /* f: an expert takes at most top_k * int(f * ceil(tokens / experts)) choices in a
                                       step, the others are dropped: all; negative: all */
    int prioritised;                /* 1: tokens in order of their best score, with a capacity; negative: in order */
};

/* One step, as a watcher sees it.  A value. */
struct motley_trainer_report {
    int64_t step, steps, tokens;    /* this one, of how many; bytes learnt from until now */
    double loss;                    /* nats per predicted byte, before the step's update */
    double held_out_loss;           /* nats per held-out byte after it; NaN: not looked at in this step */
    double balance, z, importance;  /* the gate's losses, mean over layers; 0 of those that are not wanted */
    double learning_rate, gradient_norm;
    double tokens_per_second, seconds; /* of this step; of the run, with what it took before it was resumed */
    const char *saved;              /* the checkpoint written behind this step, or NULL; borrowed for the call */
};

/* What is known before the first step.  A value. */
struct motley_trainer_facts {
    double weights, active_weights; /* scalars of the model; of them used for one byte */
    uint64_t text_bytes, train_bytes, held_out_bytes;
    int files, skipped;             /* files read; passed over because they are binary */
    int64_t evaluated_bytes;        /* held-out bytes predicted at each look */
    double bigram_bits, trigram_bits; /* bits per byte of bigram and trigram counts on just these */
    int64_t step, steps, batch, sequence; /* steps done when it was created: 0, or the checkpoint's */
    int planned_anew;               /* resumed: 1 when the ranks, or dtype, are not those of the checkpoint */
    enum motley_dtype dtype;        /* storage of weights and activations */
    enum motley_gate gate;
};

typedef struct motley_trainer motley_trainer;

/* Start from random weights.
 *
 * Collective.  Errors: MOTLEY_E_INVALID (options; a text too small; the output holds checkpoints already), MOTLEY_E_IO,
 * MOTLEY_E_MISMATCH (ranks were given different options), and those of planning. */
int motley_trainer_create(motley_context *context, const struct motley_trainer_options *options,
                          motley_trainer **trainer, struct motley_error *error);

/* Go on from the newest whole checkpoint of options->output; without one like motley_trainer_create.
 * Options left at zero are the checkpoint's; the model's sizes cannot be changed.  On the ranks that wrote it the
 * checkpoint's plan is used as it is and everything goes on bit for bit; on others, and with another dtype, the work is
 * planned anew.
 *
 * Collective.  Errors: as above, and MOTLEY_E_FORMAT, MOTLEY_E_MISMATCH (not the text it was trained on). */
int motley_trainer_resume(motley_context *context, const struct motley_trainer_options *options,
                          motley_trainer **trainer, struct motley_error *error);

void motley_trainer_destroy(motley_trainer *trainer); /* accepts NULL */

struct motley_trainer_facts motley_trainer_facts(const motley_trainer *trainer);
const motley_plan *motley_trainer_plan(const motley_trainer *trainer);             /* borrowed */
int motley_trainer_sequences(const motley_trainer *trainer, int rank);             /* of each step */

/* One step: draw sequences, gradients, clip, update.  *report is the same on every rank.
 * Collective.  Errors: MOTLEY_E_NONFINITE (loss or gradient; the weights are as before the step). */
int motley_trainer_step(motley_trainer *trainer, struct motley_trainer_report *report, struct motley_error *error);

/* Nats per byte of held-out text.  Collective. */
int motley_trainer_evaluate(motley_trainer *trainer, double *loss, struct motley_error *error);

/* Write a checkpoint of this moment; the newest two are kept.  On failure the ones before are untouched.
 * Collective. */
int motley_trainer_save(motley_trainer *trainer, struct motley_error *error);

/* Step, evaluate and save until the last step is done, or until watch returns non-zero on some rank: then everything is
 * saved and the call succeeds.  watch may be NULL; it is called on every rank after every step.  Collective. */
typedef int motley_trainer_watch(void *user, const struct motley_trainer_report *report);
int motley_trainer_run(motley_trainer *trainer, motley_trainer_watch *watch, void *user, struct motley_error *error);

/* Zero means default. */
struct motley_generate_options {
    int64_t tokens;                 /* bytes to write: 256 */
    double temperature;             /* 1; negative: always the likeliest byte */
    double top_p;                   /* only the likeliest bytes with this much probability together; 1 */
    int top_k;                      /* only the so many likeliest bytes; all */
    uint64_t seed;
    enum motley_dtype dtype;        /* storage of weights and activations, whatever it was trained with: f32 */
};

/* Continue `prompt` with the model in a directory: a checkpoint, a trainer's output (its newest checkpoint), or a
 * Hugging Face model of bytes.  emit is called on rank 0 with each piece of new text.
 * The same seed gives the same text under the same plan.  Text longer than the model sees at once goes on from its
 * last half.
 *
 * Collective; all ranks give the same options. */
typedef void motley_generate_emit(void *user, const char *bytes, size_t count);
int motley_generate(motley_context *context, const char *directory, const char *prompt,
                    const struct motley_generate_options *options, motley_generate_emit *emit, void *user,
                    struct motley_error *error);

#ifdef __cplusplus
}
#endif
#endif
