/* How the work of one layer shape is divided among the ranks.
 *
 * Planning is discover -> measure -> profile -> cost -> allocate -> plan.  A plan is a value: the
 * same on every rank, immutable, printable, saved as text; execution decides nothing.  Shares come
 * from measured curves, seconds as a function of rows per expert, of every rank's device
 * (the idea is HEXA-MoE's uneven allocation, arXiv 2411.01288 section 4.3; measured curves replace its
 * single proxy time, and the optimum is integral).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_H
#define MOTLEY_PLAN_H

#include <stdio.h>

#include <motley/coactivation.h>
#include <motley/context.h>
#include <motley/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum motley_activation { MOTLEY_RELU, MOTLEY_GELU, MOTLEY_SILU, MOTLEY_SWIGLU };

/* How experts are chosen, and what their weights come from.  doc/math.md has the equations. */
enum motley_gate {
    MOTLEY_GATE_SOFTMAX,
    MOTLEY_GATE_SIGMOID,                /* every expert's score for itself; a correction may be added for the choice */
    MOTLEY_GATE_COSINE,                 /* softmax of scaled cosines between projected tokens and experts */
    MOTLEY_GATE_FORCED                  /* the caller chooses; weights are the softmax's */
};

enum motley_shares { MOTLEY_SHARES_MEASURED, MOTLEY_SHARES_EVEN };

/* How the experts' work is divided.  All give the same result, beyond rounding. */
enum motley_mode {
    MOTLEY_MODE_AUTO,    /* the fastest of the others, as predicted */
    MOTLEY_MODE_EXPERT,  /* whole experts on ranks; tokens travel to them */
    MOTLEY_MODE_DATA,    /* tokens stay; weights, stored in parts, travel to all ranks */
    MOTLEY_MODE_MODEL,   /* a slice of every expert's hidden dimension on each rank; tokens travel to all */
    MOTLEY_MODE_HYBRID   /* groups of ranks: experts are divided among groups, hidden dimensions inside a group */
};

/* How rows travel between ranks. */
enum motley_exchange {
    MOTLEY_EXCHANGE_AUTO,
    MOTLEY_EXCHANGE_LINEAR,  /* from every rank to every other one directly */
    MOTLEY_EXCHANGE_HIERARCHICAL /* to each other node once, and from there to its ranks */
};

/* The shape of a layer.  D, F, E, K must be positive, K <= E. */
struct motley_layer_shape {
    int D;                              /* model width */
    int F;                              /* hidden width of an expert */
    int E;                              /* experts */
    int K;                              /* experts per token */
    enum motley_activation activation;  /* swiglu has three matrices and no biases */
    int bias;                           /* 1: two-matrix experts have b1 [E,F] and b2 [E,D] */
    enum motley_gate gate;
    int gate_width;                     /* of MOTLEY_GATE_COSINE: what tokens are projected to, 1 to 256; else 0 */
    int normalize;                      /* 1: the K weights are divided by their sum */
    enum motley_dtype dtype;            /* storage of tokens, rows and the experts' matrices; gate, biases and all
                                         * gradients of weights are f32 */
};

struct motley_plan_options {
    int64_t tokens;                     /* tokens of all ranks per step: sets the rows per expert to plan for */
    const int64_t *tokens_of;           /* [ranks] how many of them each rank brings, copied; NULL: even, in
                                         * MOTLEY_MODE_DATA by the ranks' speed */
    int sequence;                       /* tokens of a sequence, none of which is divided: ranks bring whole ones by the
                                         * speed of all that is theirs, attention and experts; 0: single tokens */
    int backward;                       /* 1: plan for forward and backward, 0: forward only */
    enum motley_shares shares;
    enum motley_mode mode;
    int group;                          /* ranks of a group, in MOTLEY_MODE_HYBRID */
    int layers;                         /* such layers in the model, for memory; 0: one */
    int moments;                        /* numbers an optimizer keeps beside each weight, for memory: 2 for AdamW; where
                                         * experts are not f32 it keeps an f32 master of each weight, too */
    const motley_coactivation *coactivation; /* which experts tokens choose together: those go on one rank; borrowed as
                                         * long as the plan lives.  NULL: not known.  In mode data it changes nothing */
    int coactivation_layer;             /* 1: look at its first layer alone, 2: at its second; 0: at all of them
                                         * together, and for each layer of a model that has as many at that layer */
    enum motley_exchange exchange;
    int duplicate;                      /* 1, for comparison: a token goes to a rank for each expert it has there */
    int pipeline;                       /* chunks of a step that travel while others are computed: 1, 2, 4 or 8; 0: as
                                         * seems fastest */
    double capacity;                    /* f, as motley_routing has it: an expert takes at most
                                         * K * int(|f| * ceil(tokens / E)) of a step's choices, the others are dropped;
                                         * 0: nothing is */
    enum motley_dtype wire;             /* rows travel between ranks in this type where it is narrower than the one they
                                         * are stored in, and are rounded so; sums stay in f32.  MOTLEY_F32 (0): as
                                         * they are stored */
    const double *load;                 /* [E] how routed pairs are expected to spread over the experts, in any scale;
                                         * borrowed until the plan is made.  NULL: evenly */
};

typedef struct motley_plan motley_plan;

/* What the plan says about one rank.  A value. */
struct motley_plan_rank {
    int experts;                        /* how many experts it stores, in whole or in part, 0 included */
    const int *expert;                  /* [experts] which, ascending; borrowed from the plan */
    int hidden_begin, hidden_end;       /* the part: these rows of w1, w3 and b1 and columns of w2 of each of them; b2
                                         * where the part begins at 0 */
    int64_t tokens;                     /* of a step, as many as the plan expects it to bring */
    double gflops;                      /* measured, at the planned rows per expert */
    double seconds;                     /* predicted expert phase */
    double share;                       /* of the experts' work, 0..1 */
    uint64_t bytes;                     /* predicted device memory */
};

/* Measure what is not yet in the profile, then allot.
 *
 * Collective.  All ranks get the same plan or the same error.
 * Errors: MOTLEY_E_INVALID (shape, mode, tokens), MOTLEY_E_MISMATCH (ranks ask for different plans),
 * MOTLEY_E_DEVICE_MEMORY (the experts do not fit the devices). */
int motley_plan_create(motley_context *context, const struct motley_layer_shape *shape,
                       const struct motley_plan_options *options, motley_plan **plan,
                       struct motley_error *error);
void motley_plan_destroy(motley_plan *plan); /* accepts NULL */

const struct motley_layer_shape *motley_plan_shape(const motley_plan *plan);
enum motley_mode motley_plan_mode(const motley_plan *plan); /* never MOTLEY_MODE_AUTO */
int motley_plan_ranks(const motley_plan *plan);
struct motley_plan_rank motley_plan_rank(const motley_plan *plan, int rank);

/* The table: rank, host, device, measured GFLOP/s, experts, predicted milliseconds; "-" for what was never measured
 * (even shares do not need it).  Local. */
void motley_plan_print(const motley_plan *plan, FILE *stream);

/* To and from text (JSON).  The text of a plan loaded from text is the same text.
 * motley_plan_text: *text owned by the caller, free() it. */
int motley_plan_text(const motley_plan *plan, char **text, struct motley_error *error);
int motley_plan_parse(const char *text, motley_plan **plan, struct motley_error *error);

#ifdef __cplusplus
}
#endif
#endif
