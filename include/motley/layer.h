/* A mixture-of-experts layer across all ranks.
 *
 *   tokens -> gate -> route -> encode -> exchange -> experts -> exchange -> decode -> tokens
 *
 *   y[t] = sum over the K chosen experts e of w[t,e] * expert_e(x[t])
 *
 * Every rank brings its own tokens (any number, 0 included) and stores what the plan gives it: whole experts, or the
 * same hidden rows of each of some.
 * Equations of both directions: doc/math.md.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_H
#define MOTLEY_LAYER_H

#include <motley/plan.h>
#include <motley/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct motley_layer motley_layer;

/* The tensors of a layer, in canonical form. */
enum motley_weight {
    MOTLEY_GATE,  /* [E,D]   on every rank; of the cosine gate [E,P], P its gate_width */
    MOTLEY_W1,    /* [E,F,D] expert by expert, on the ranks that store them */
    MOTLEY_W2,    /* [E,D,F] */
    MOTLEY_W3,    /* [E,F,D] swiglu only */
    MOTLEY_B1,    /* [E,F]   with bias only */
    MOTLEY_B2,    /* [E,D] */
    /* on every rank, like the gate */
    MOTLEY_GATE_CORRECTION, /* [E]   sigmoid gate: added to the scores for the choice alone; has no gradient */
    MOTLEY_COS_PROJ,        /* [P,D] cosine gate, and these */
    MOTLEY_COS_BIAS,        /* [P] */
    MOTLEY_COS_TEMPERATURE  /* [1]   cosines are scaled by exp(min(this, log 100)) */
};

/* Medians of a timed layer belong to the caller; this is one step.  Seconds of this rank. */
struct motley_layer_times {
    double gate, dispatch, experts, combine, step;
    double comm, comm_hidden;           /* communication in flight; of it under computation */
};

/* What one forward moved.  A token goes once to every other rank that has a part of its experts, and comes back
 * once; on the way there with the hierarchical exchange once to each other node. */
struct motley_layer_traffic {
    int64_t rows_sent, rows_returned;   /* from this rank's tokens to other ranks, and sums that it gave back; whichever
                                         * way they went */
    int64_t rows_sent_nodes;            /* that left the node in dispatch, through this rank */
    int64_t bytes_sent, bytes_sent_nodes; /* rows, what goes along with them, and the counts before them; on all ways */
    double copies_per_token;            /* distinct ranks per token of this rank, own one included */
};

/* How tokens are routed.  A value; zero means default. */
struct motley_routing {
    int K;              /* experts per token, 1 to E; 0: the plan's */
    double capacity;    /* f: of all tokens' choices an expert takes at most K * int(|f| * ceil(tokens / E)), all first
                         * choices before all second ones, tokens in order of rank and position; the others are dropped,
                         * with index -1 and weight 0.  0: nothing is dropped.  Buffers have no rows to spare for any f,
                         * so f and -f are the same */
    int prioritised;    /* 1: tokens in order of their best score instead */
    double noise;       /* in training: normal numbers of deviation noise / E are added to the logits; 0: none */
    uint64_t seed;      /* of the noise, which is a hash of it, the token's number among those of all ranks, and the
                         * expert: give another one at every step */
    int before;         /* 1: weights multiply what experts are given, else what they return */
};

/* Auxiliary losses of the gate: their coefficients, 0: not wanted; or their values, means over the tokens of all
 * ranks. */
struct motley_losses {
    double balance;     /* GShard's; 1 when even */
    double z;           /* mean square of log sum exp of the logits; not of a sigmoid gate */
    double importance;  /* importance and load: how unlike the experts' sums are of scores without noise, and of chances
                         * to be chosen under other noise; 0 when even.  Needs noise and a softmax or cosine gate */
};

/* plan is borrowed until the layer is destroyed.  A plan made with options.backward gives a layer that can be
 * differentiated; without, one that keeps nothing for backward.  Weights are zero until set.  Collective. */
int motley_layer_create(motley_context *context, const motley_plan *plan, motley_layer **layer,
                        struct motley_error *error);
void motley_layer_destroy(motley_layer *layer); /* accepts NULL; local */

/* Write or read one expert's matrix (what every rank has whole, expert ignored), canonical row-major host memory;
 * w1, w2 and w3 are rounded to the storage type.  Local; only on a rank that stores the expert or a part of it.
 *
 * `host` is always the whole matrix.  A rank that stores hidden rows hidden_begin .. hidden_end-1 (struct
 * motley_plan_rank) uses of it these rows of w1, w3 and b1, these columns of w2, and b2 only if they begin at 0; set
 * ignores the rest, and get leaves the rest as it was, so that the parts of all ranks make up the whole. */
int motley_layer_set(motley_layer *layer, enum motley_weight which, int expert, const float *host,
                     struct motley_error *error);
int motley_layer_get(const motley_layer *layer, enum motley_weight which, int expert, float *host,
                     struct motley_error *error);
/* The gradient of the last backward, same forms.  What every rank has is summed over this rank's tokens
 * only. */
int motley_layer_get_gradient(const motley_layer *layer, enum motley_weight which, int expert, float *host,
                              struct motley_error *error);

/* Route so from the next forward on; nothing is planned anew.  Collective: all ranks give the same.
 * Errors: MOTLEY_E_INVALID, MOTLEY_E_MISMATCH. */
int motley_layer_set_routing(motley_layer *layer, const struct motley_routing *routing, struct motley_error *error);

/* From the next forward on losses are computed, and backward adds the gradient of the sum of coefficient times loss.
 * Collective: all ranks give the same.  Errors: MOTLEY_E_INVALID, MOTLEY_E_MISMATCH. */
int motley_layer_set_losses(motley_layer *layer, const struct motley_losses *coefficients, struct motley_error *error);
/* Of the last forward; 0 of those that are not wanted.  Local; the same on every rank. */
struct motley_losses motley_layer_losses(const motley_layer *layer);

/* y = layer(x).  All tensors are stored as the plan's shape says (dtype).
 *
 * x       [T,D] borrowed; must stay unchanged until backward when one follows
 * forced  [T,K] host, borrowed: the experts when the gate is MOTLEY_GATE_FORCED, else NULL
 * y       [T,D] written
 *
 * Collective. */
int motley_layer_forward(motley_layer *layer, const motley_tensor *x, const int32_t *forced, motley_tensor *y,
                         struct motley_error *error);

/* The gradients of sum(y*dy) for the last forward: dx [T,D] written, weights' gradients kept in the
 * layer.  Collective. */
int motley_layer_backward(motley_layer *layer, const motley_tensor *dy, motley_tensor *dx,
                          struct motley_error *error);

/* From the next forward on a token chooses beside its first expert only among the `most` that tokens chose most often
 * with that one (C2R, arXiv 2504.01337): fewer ranks for each token, at the price of less even loads; other results.
 * coactivation_layer: as in motley_plan_options.  Local; the same on every rank.
 * Errors: MOTLEY_E_INVALID (another number of experts; fewer than K - 1 collaborators; a forced gate). */
int motley_layer_collaborate(motley_layer *layer, const motley_coactivation *coactivation, int coactivation_layer,
                             int most, struct motley_error *error);

/* The routing of the last forward: [T,K] host memory each, written.  A dropped choice has index -1. */
int motley_layer_routing(const motley_layer *layer, int32_t *indices, float *weights, struct motley_error *error);

struct motley_layer_times motley_layer_forward_times(const motley_layer *layer);
struct motley_layer_times motley_layer_backward_times(const motley_layer *layer);
int motley_layer_traffic(const motley_layer *layer, struct motley_layer_traffic *traffic, struct motley_error *error);

/* Device bytes of this rank: what it held when the layer was created plus the layer's closed formula in the rows
 * of the last step; and the highest number really allocated since then.  Equal, unless the caller allocates
 * tensors after it created the layer, or earlier steps had more rows. */
uint64_t motley_layer_planned_bytes(const motley_layer *layer);
uint64_t motley_layer_peak_bytes(const motley_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
