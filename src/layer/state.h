/* A layer from the inside: its weights, its buffers, its two lists of operators.
 *
 *   state.c     creating and destroying
 *   weights.c   weights in and out
 *   collaborate.c  who may be chosen beside whom
 *   peers.c     whom tokens go to and whose come here
 *   memory.c    its buffers, and the closed formula of their bytes
 *   layer.c     the two lists: nothing but the line tokens -> gate -> ... -> decode -> tokens
 *   lists.c     what they are made of   (pipeline.c the part in which rows travel, chunk by chunk)
 *   forward.c   what each operator of the forward list does
 *   backward.c  what each operator of the backward list does
 *   travel.c    what the operators between ranks do, in both directions
 *   data.c      what those of data mode do, where weights travel instead
 *   drop.c      what those of a capacity do, where choices are dropped
 *   auxiliary.c what those of gate noise and auxiliary losses do
 *   routing.c   how tokens are routed, as the caller wants it
 *   gateway.c   the hierarchical exchange's own half, between nodes   (crossing.c its operators)
 *
 * Row numbers of a step (rank's own):
 *   T tokens, N = T*K routed pairs
 *   S rows for other ranks with S_pairs pairs, each once however many ranks of a group it goes to
 *   M rows received with M_pairs pairs; as many go back
 *   B rows and B_pairs scalars come back: S counted for every rank that they went to
 *   P pairs for the local experts: those of `pairs` that are, and M_pairs
 *   tokens, pairs  what the exchange starts from: T and N; with the hierarchical exchange, whose other numbers are then
 *                  those inside the node, besides them the guests, far.M rows from other nodes, K pairs each
 *   far       the same of what crosses between nodes
 *
 * With chunks (chunks.h) all rows and pairs lie chunk by chunk, the pairs of the local experts batch by batch.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_STATE_H
#define MOTLEY_LAYER_STATE_H

#include "exchange/exchange.h"
#include "layer/capacity.h"
#include "layer/chunks.h"
#include "layer/cosine.h"
#include "layer/decode.h"
#include "layer/gateway.h"
#include "layer/layer.h"
#include "layer/noise.h"
#include "layer/peers.h"
#include "layer/scale.h"
#include "layer/weight_cache.h"
#include "step/step.h"

/* Buffers whose contents do not outlive one list; shared by all layers of a model.  Rows [.,D] and [.,F] are in the
 * storage type, those that travel (send, arrived, back, returned) in the wire's; everything else is f32 unless it says
 * int. */
enum motley__scratch_buffer {
    MOTLEY__SCRATCH_LOGITS,          /* gate's own [T,E]; before, of a cosine gate, [T,P] */
    MOTLEY__SCRATCH_HISTOGRAM,       /* route's own */
    MOTLEY__SCRATCH_ORDER,           /* [pairs+M_pairs] int: pairs by batch and local expert */
    MOTLEY__SCRATCH_H,               /* [P,F] */
    MOTLEY__SCRATCH_O,               /* [P,D] */
    MOTLEY__SCRATCH_SUMS,            /* [2E+2] */
    MOTLEY__SCRATCH_IMPORTANCE,      /* [2E+2] with an importance loss */
    MOTLEY__SCRATCH_FORCED,          /* [T,K] int, forced gate */
    /* with a capacity */
    MOTLEY__SCRATCH_CAPACITY_HISTOGRAM, /* route's own */
    MOTLEY__SCRATCH_CAPACITY_ORDER,  /* [N] int: pairs by expert, of all E */
    MOTLEY__SCRATCH_CAPACITY_WHERE,  /* [N] int */
    MOTLEY__SCRATCH_CAPACITY_OFFSETS,/* [E+1] int */
    MOTLEY__SCRATCH_COUNTS,          /* [K,E] int */
    MOTLEY__SCRATCH_LIMITS,          /* [3,E] int */
    MOTLEY__SCRATCH_BEST,            /* [T] prioritised: the best score */
    MOTLEY__SCRATCH_BINS,            /* [E,64] int, prioritised */
    /* with other ranks */
    MOTLEY__SCRATCH_GROUP_HISTOGRAM, /* route's own */
    MOTLEY__SCRATCH_SLOTS,           /* [pairs] int: chunk and group of each pair */
    MOTLEY__SCRATCH_HEADS,           /* [pairs] int */
    MOTLEY__SCRATCH_PAIR_ORDER,      /* [pairs] int: pairs by slot */
    MOTLEY__SCRATCH_PAIR_OFFSETS,    /* [chunks G + 1] int */
    MOTLEY__SCRATCH_ROW_OFFSETS,     /* [chunks G + 1] int */
    MOTLEY__SCRATCH_SEND,            /* [S,D] rows to other ranks */
    MOTLEY__SCRATCH_ARRIVED,         /* [far.M + M,D] where the wire is narrower: what came, before it is widened */
    MOTLEY__SCRATCH_SEND_LIST,       /* units: their pairs */
    MOTLEY__SCRATCH_RECEIVED_LIST,   /* units */
    MOTLEY__SCRATCH_SOURCE,          /* [2 (chunks R + 1)] int */
    MOTLEY__SCRATCH_EXPERT,          /* [pairs+M_pairs] int */
    MOTLEY__SCRATCH_RECEIVED_ROW,    /* [M_pairs] int */
    MOTLEY__SCRATCH_RECEIVED_WEIGHT, /* [M_pairs] */
    MOTLEY__SCRATCH_BACK,            /* [M,D] rows going back */
    MOTLEY__SCRATCH_RETURNED,        /* [B,D] rows come back */
    /* with other nodes, the hierarchical exchange; as above, between nodes */
    MOTLEY__SCRATCH_FAR_HISTOGRAM,
    MOTLEY__SCRATCH_FAR_SLOTS,       /* [N] int */
    MOTLEY__SCRATCH_FAR_HEADS,       /* [N] int */
    MOTLEY__SCRATCH_FAR_PAIR_ORDER,  /* [N] int */
    MOTLEY__SCRATCH_FAR_PAIR_OFFSETS,/* [chunks sets + 1] int */
    MOTLEY__SCRATCH_FAR_ROW_OFFSETS, /* [chunks sets + 1] int */
    MOTLEY__SCRATCH_FAR_SEND,        /* [far.S,D] */
    MOTLEY__SCRATCH_FAR_SEND_LIST,   /* units */
    MOTLEY__SCRATCH_FAR_RECEIVED_LIST,/* units */
    MOTLEY__SCRATCH_FAR_SOURCE,      /* [2 (chunks R + 1)] int */
    MOTLEY__SCRATCH_FAR_STAYING,     /* [chunks] int, with several: own tokens' pairs that stay */
    MOTLEY__SCRATCH_FAR_WEIGHTS,     /* [pairs]: own ones and guests' */
    MOTLEY__SCRATCH_FAR_BACK,        /* [far.M,D] */
    MOTLEY__SCRATCH_FAR_RETURNED,    /* [far.B,D] */
    /* backward only */
    MOTLEY__SCRATCH_U,               /* [P,F] */
    MOTLEY__SCRATCH_DW,              /* [P] */
    MOTLEY__SCRATCH_DWEIGHTS,        /* [pairs] */
    MOTLEY__SCRATCH_DLOGITS,         /* [T,E] */
    MOTLEY__SCRATCH_BALANCE,         /* [E] */
    MOTLEY__SCRATCH_IMPORTANCE_SLOPES, /* [2E] with an importance loss */
    MOTLEY__SCRATCH_DUNIT,           /* [T,P] cosine gate */
    /* backward with other ranks */
    MOTLEY__SCRATCH_DY,              /* [far.M + M,D] received */
    MOTLEY__SCRATCH_BACK_SCALARS,    /* [M_pairs] */
    MOTLEY__SCRATCH_RETURNED_SCALARS,/* [B_pairs] */
    MOTLEY__SCRATCH_FAR_BACK_SCALARS,/* [far.M_pairs] */
    MOTLEY__SCRATCH_FAR_RETURNED_SCALARS,/* [far.B_pairs] */
    MOTLEY__SCRATCH_COUNT
};
struct motley__scratch {
    struct motley__buffer *buffer[MOTLEY__SCRATCH_COUNT];
    struct motley__weight_cache *cache; /* where weights travel; NULL else */
};

/* Buffers kept from forward to backward, one set a layer; rows as above. */
enum motley__saved_buffer {
    MOTLEY__SAVED_INDICES,           /* [T,K] int; -1: dropped */
    MOTLEY__SAVED_CHOSEN,            /* [T,K] int with a capacity: before any was dropped */
    MOTLEY__SAVED_WEIGHTS,           /* [T,K] */
    MOTLEY__SAVED_P,                 /* [T,E] the gate's scores */
    MOTLEY__SAVED_LSE,               /* [T] */
    MOTLEY__SAVED_CLEAN,             /* [T,E] with an importance loss: logits without noise */
    MOTLEY__SAVED_CLEAN_LSE,         /* [T] ... theirs */
    MOTLEY__SAVED_LAST,              /* [T] ... the noisy logit of the last choice */
    MOTLEY__SAVED_UNIT,              /* [T,P] cosine gate: projected tokens, of length 1 */
    MOTLEY__SAVED_LENGTH,            /* [T] ... their lengths before */
    MOTLEY__SAVED_WHERE,             /* [pairs+M_pairs] int: position of each pair by batch and local expert */
    MOTLEY__SAVED_OFFSETS,           /* [batches stride + 1] int: by batch and local expert, pairs */
    MOTLEY__SAVED_INDEX,             /* [P] int */
    MOTLEY__SAVED_PAIR_WEIGHT,       /* [P] */
    MOTLEY__SAVED_SCALE,             /* [P] weights before the experts; the ones above are 1 then */
    MOTLEY__SAVED_SCALED,            /* [P,D] ... rows times these */
    MOTLEY__SAVED_PRE,               /* [P,F] when trained */
    MOTLEY__SAVED_PRE3,              /* [P,F] when trained, swiglu */
    /* with other ranks */
    MOTLEY__SAVED_GROUP_PLACE,       /* [pairs] int: position of each pair by slot */
    MOTLEY__SAVED_ROW_ORDER,         /* [pairs] int: heads by slot, one for each row sent */
    MOTLEY__SAVED_SEND_ROW,          /* [pairs] int: row of each head */
    MOTLEY__SAVED_CHOICES,           /* [N] int: with replicas own pairs' choices, by lot (peers.h) */
    MOTLEY__SAVED_TABLE,             /* of struct motley__returned, int */
    MOTLEY__SAVED_RECEIVED,          /* [far.M + M,D]: guests first */
    MOTLEY__SAVED_BEGIN,             /* [M+1] int: pairs of each received row */
    /* with other nodes; as above, between nodes */
    MOTLEY__SAVED_FAR_PLACE,         /* [N] int */
    MOTLEY__SAVED_FAR_ROW_ORDER,     /* [N] int */
    MOTLEY__SAVED_FAR_SEND_ROW,      /* [N] int */
    MOTLEY__SAVED_FAR_TABLE,         /* int */
    MOTLEY__SAVED_FAR_INDICES,       /* [pairs] int: own ones and guests'; choices where there are replicas */
    MOTLEY__SAVED_FAR_AT,            /* [far.M_pairs] int: place of guests' pairs there */
    MOTLEY__SAVED_COUNT
};

/* The row numbers of the last forward; they size every buffer. */
struct motley__far_numbers {
    int S, S_pairs, M, M_pairs, B, B_pairs;
};
struct motley__row_numbers {
    int T, N, tokens, pairs, S, S_pairs, M, M_pairs, B, B_pairs, P;
    struct motley__far_numbers far;
};

/* What an operator gets that there is one of for each chunk or batch. */
struct motley__numbered {
    motley_layer *layer;
    int number;
};

struct motley_layer {
    motley_context *context;         /* borrowed */
    const motley_plan *plan;         /* borrowed */
    struct motley_layer_shape shape;
    int trained;
    const struct motley__holding *holding; /* what this rank computes with; borrowed from the plan */
    int E_local, F_local;            /* its experts, and their hidden rows */
    const struct motley__holding *stores;  /* what it stores of the weights; borrowed from the plan */
    struct motley__linear *gate;     /* [E,D], or of a cosine gate [E,P]; owned */
    struct motley__matrix *correction; /* [1,E] of a sigmoid gate, NULL else; owned */
    struct motley__cosine *cosine;   /* the rest of a cosine gate, NULL else; owned */
    struct motley__experts *stored;  /* owned */
    struct motley__experts *held;    /* where there are replicas: those, and behind them the replicas; owned or NULL */
    struct motley__experts *experts; /* what it computes with: one of these, or in data mode the cache's; borrowed */
    struct motley__weight_cache *cache;    /* where weights travel: the scratch's, borrowed; NULL else */
    int stale;                       /* 1: replicas are not what their owners have */
    motley_layer *previous, *next;   /* where weights travel, of a model: whose to fetch ahead; NULL: none */
    struct motley__scratch *scratch; /* borrowed, unless own_scratch */
    int own_scratch;
    int chunks, batches, stride;     /* batches of a step; a batch's pairs are sorted into so many slots */
    struct motley__numbered number[MOTLEY__BATCHES_MOST];
    struct motley__buffer *local;    /* [batches choices] int: slot of a choice's pairs in a batch, or -1; owned */
    struct motley__buffer *offsets[MOTLEY__BATCHES_MOST]; /* [batches] views of saved offsets; with one batch NULL */
    int batch_first[MOTLEY__BATCHES_MOST + 1]; /* [batches+1] of the last forward: pairs of the batches before each */
    int staying[MOTLEY__CHUNKS_MOST]; /* [chunks] with guests: pairs of own tokens that stay, as read from the device */
    struct motley__buffer *collaborators; /* bits of the gate's choice (gate.h); NULL: it is free; owned */
    int collaborators_most;          /* beside each first choice */
    struct motley__buffer *saved[MOTLEY__SAVED_COUNT]; /* owned */

    /* Exchange; NULL where every rank computes with everything, as on one rank.  Owned. */
    struct motley__peers *peers;
    struct motley__buffer *server;   /* [choices] int: group of each (peers.h) */
    struct motley__buffer *name;     /* [choices] int: expert of each, where guests come and replicas are; else NULL */
    struct motley__counts *counts;
    struct motley__transfer *lists[MOTLEY__CHUNKS_MOST], *dispatch[MOTLEY__CHUNKS_MOST], /* [chunks] each */
                            *combine[MOTLEY__CHUNKS_MOST], *dispatch_back[MOTLEY__CHUNKS_MOST],
                            *combine_back[MOTLEY__CHUNKS_MOST];
    struct motley__gateway *gateway; /* the other half of the hierarchical exchange; NULL: there is none */

    struct motley_routing routing;   /* as the caller wants it */
    struct motley__capacity *capacity; /* NULL: nothing is dropped; owned */
    MPI_Request drop_request;

    /* Host side of one step; owned. */
    double *loss_sums;               /* [2(2E+2)], summed over ranks; the second half of the importance loss */
    float *loss_host;                /* the same, this rank's, as read from the device */
    float *balance_host;             /* [E] */
    int *offsets_host;               /* [batches stride + 1] saved offsets, when they were read */
    float *importance_host;          /* [2E] */
    MPI_Request loss_request, position_request;
    int64_t position[2];             /* with noise: tokens here, and on the ranks before */
    struct motley_losses coefficients, losses; /* ... and their values in the last forward */

    /* Arguments of the forward or backward under way. */
    const struct motley__buffer *x, *dy;
    const int32_t *forced;
    struct motley__buffer *y, *dx;
    int accumulate;

    struct motley__row_numbers rows; /* of the last forward */
    int forward_done;                /* backward is allowed */
    int backward_ran;
    uint64_t used_before;            /* device account when the layer was created */
    struct motley__step forward, backward;
    struct motley__step_times forward_times, backward_times;
};

/* Bytes of so many numbers in the layer's storage type. */
static inline size_t motley__layer_stored(const motley_layer *layer, size_t count)
{
    return count * motley__storage_bytes(layer->shape.dtype);
}

/* How rows travel, and bytes of so many numbers of them. */
static inline enum motley_dtype motley__layer_wire(const motley_layer *layer)
{
    return motley__storage_narrower(layer->shape.dtype, layer->plan->options.wire);
}

static inline size_t motley__layer_on_wire(const motley_layer *layer, size_t count)
{
    return count * motley__storage_bytes(motley__layer_wire(layer));
}

/* 1: rows are rounded to travel. */
static inline int motley__layer_narrows(const motley_layer *layer)
{
    return motley__layer_wire(layer) != layer->shape.dtype;
}

/* Slots that the pairs of a batch are sorted into: local experts, or one that stays empty; where there are several
 * batches, so many that the offsets of each can be a buffer's view. */
int motley__layer_stride(const struct motley__device *device, int E_local, int batches);

/* The pairs of this rank's experts in a batch. */
struct motley__ragged motley__layer_ragged(const motley_layer *layer, int batch);

/* What the gate chose, dropped or not. */
static inline struct motley__buffer *motley__layer_chosen(const motley_layer *layer)
{
    const int drops = layer->capacity && layer->capacity->dropping;
    return layer->saved[drops ? MOTLEY__SAVED_CHOSEN : MOTLEY__SAVED_INDICES];
}

/* What experts are given: rows where they lie, or scaled ones; and how those of a batch are scaled, with weights before
 * the experts. */
struct motley__rows motley__layer_inputs(const motley_layer *layer);
struct motley__scale motley__layer_scale(const motley_layer *layer, int batch);

/* With replicas, own pairs' choices. */
int motley__layer_choose_lots(motley_layer *layer, struct motley_error *error);

/* What decode needs to know of rows that came back; zero when none did. */
struct motley__returned motley__layer_returned(const motley_layer *layer);

struct motley__heads;
struct motley__route;

/* A constant table of the device, the caller's to destroy. */
int motley__layer_table(motley_layer *layer, const int *host, int numbers, struct motley__buffer **table,
                        struct motley_error *error);

/* Pairs and their heads are sorted by slot (encode.h); the offsets are on their way to the host, `pair_offsets` and
 * `row_offsets` of the peers. */
int motley__layer_sort(motley_layer *layer, const struct motley__heads *heads, const struct motley__route *pairs,
                       const struct motley__route *rows, struct motley__peers *peers, struct motley_error *error);

/* Tokens first .. first + count - 1, guests or not. */
struct motley__some {
    int first, count;
};

/* Where sums of tokens go: into the rows of y from `row` on. */
struct motley__sums {
    enum motley_dtype dtype;
    int accumulate, row;
    struct motley__buffer *y;
};

/* Their sums over own experts and what came back from ranks. */
int motley__layer_decode(motley_layer *layer, struct motley__some tokens, const struct motley__buffer *weight,
                         const struct motley__sums *to, struct motley_error *error);
/* Theirs of dweights [pairs], likewise. */
int motley__layer_decode_scalars(motley_layer *layer, struct motley__some tokens, struct motley_error *error);

/* Rows arrive in `received` itself, or where they are rounded to travel in a buffer of their own, from which those of a
 * span are widened into it.  Reserve makes it: numbers of rows are known. */
struct motley__buffer *motley__layer_arrivals(const motley_layer *layer, struct motley__buffer *received);
int motley__layer_reserve_arrivals(motley_layer *layer, struct motley_error *error);
int motley__layer_widen(motley_layer *layer, const struct motley__spans *span, struct motley__buffer *received,
                        struct motley_error *error);

/* All of these are done, and whom the first waits for that is not. */
int motley__layer_transfers_test(struct motley__transfer *const *transfer, int count, int *done,
                                 struct motley_error *error);
void motley__layer_transfers_missing(struct motley__transfer *const *transfer, int count, char *text, int size);

/* The chunks of the exchange's tokens; the guests are counted. */
struct motley__chunks motley__layer_chunks(const motley_layer *layer);

/* data.c.  The cache is the scratch's: of this plan, made when there is none.  Collective, agreed. */
int motley__layer_open_cache(motley_layer *layer, struct motley_error *error);
/* 1 when a forward has weights to fetch, or to wait for. */
int motley__layer_fetches(const motley_layer *layer);
/* Replicas of a layer that is not trained are stale on all ranks when weights were set on any.  Collective. */
int motley__layer_share_news(motley_layer *layer, struct motley_error *error);

/* What own pairs chose, as the tables `local` and `server` are indexed, here and between nodes. */
static inline struct motley__buffer *motley__layer_own_choices(const motley_layer *layer)
{
    return layer->saved[layer->peers && layer->peers->lots > 1 ? MOTLEY__SAVED_CHOICES : MOTLEY__SAVED_INDICES];
}

/* The same of `pairs`, the exchange's. */
static inline struct motley__buffer *motley__layer_lookup(const motley_layer *layer)
{
    return layer->gateway ? layer->saved[MOTLEY__SAVED_FAR_INDICES] : motley__layer_own_choices(layer);
}

/* Their weights. */
static inline struct motley__buffer *motley__layer_weights(const motley_layer *layer)
{
    return layer->gateway ? layer->scratch->buffer[MOTLEY__SCRATCH_FAR_WEIGHTS] : layer->saved[MOTLEY__SAVED_WEIGHTS];
}

/* How many choices there are. */
static inline int motley__layer_lookup_count(const motley_layer *layer)
{
    return layer->peers ? motley__peers_choices(layer->peers) : layer->shape.E;
}

/* At least `bytes` in a scratch or saved buffer. */
int motley__layer_scratch_reserve(motley_layer *layer, enum motley__scratch_buffer which, size_t bytes,
                                  struct motley_error *error);
int motley__layer_saved_reserve(motley_layer *layer, enum motley__saved_buffer which, size_t bytes,
                                struct motley_error *error);

/* drop.c, part of the operators gate and route (route to nodes, where rows cross between nodes): count this rank's
 * pairs by choice and expert; drop those that are beyond what an expert takes. */
int motley__drop_count(motley_layer *layer, struct motley_error *error);
int motley__drop(motley_layer *layer, struct motley_error *error);

/* auxiliary.c, part of the operators gate and gate backward: noise as the gate takes it, its buffers reserved; what
 * gradients of losses need on the device; the importance loss's part of dlogits. */
int motley__layer_noise(motley_layer *layer, struct motley__noise *noise, struct motley_error *error);
int motley__layer_balance(motley_layer *layer, struct motley_error *error);
int motley__layer_importance_backward(motley_layer *layer, struct motley_error *error);
/* Local.  noise: what goes with them. */
int motley__layer_check_losses(const motley_layer *layer, const struct motley_losses *coefficients, double noise,
                               struct motley_error *error);

/* routing.c: numbers that must be the same on all ranks.  Collective, agreed; MOTLEY_E_MISMATCH names the one that
 * is not. */
struct motley__alike {
    const char *name;
    double value;
};
int motley__layer_alike(const motley_layer *layer, const struct motley__alike *numbers, int count,
                        struct motley_error *error);

/* The operators' bodies; self is the layer, or its struct motley__numbered where a chunk or batch is named. */
int motley__forward_gate(void *self, struct motley_error *error);           /* choose K experts for each token */
int motley__drop_share(void *self, struct motley_error *error);             /* counts of choices added over ranks */
int motley__drop_share_test(void *self, int *done, struct motley_error *error);
int motley__drop_digits(void *self, struct motley_error *error);            /* prioritised: tokens by bits of score */
int motley__drop_share_digits(void *self, struct motley_error *error);      /* ... added over ranks */
int motley__drop_share_digits_test(void *self, int *done, struct motley_error *error);
int motley__drop_scan(void *self, struct motley_error *error);              /* who of equals comes first over ranks */
int motley__drop_scan_test(void *self, int *done, struct motley_error *error);
int motley__forward_route(void *self, struct motley_error *error);          /* sort the pairs by expert */
int motley__forward_position(void *self, struct motley_error *error);       /* how many tokens are on ranks before */
int motley__forward_position_test(void *self, int *done, struct motley_error *error);
int motley__forward_losses(void *self, struct motley_error *error);         /* this rank's sums of auxiliary losses */
int motley__forward_share_losses(void *self, struct motley_error *error);   /* ... added over ranks */
int motley__forward_share_losses_test(void *self, int *done, struct motley_error *error);
int motley__forward_count(void *self, struct motley_error *error);          /* exchange the counts */
int motley__forward_list(void *self, struct motley_error *error);           /* the pairs for other ranks */
int motley__forward_encode(void *self, struct motley_error *error);         /* chunk: rows for other ranks */
int motley__forward_lists(void *self, struct motley_error *error);          /* exchange the pairs' lists */
int motley__forward_lists_test(void *self, int *done, struct motley_error *error);
void motley__forward_lists_missing(const void *self, char *text, int size);
int motley__forward_dispatch(void *self, struct motley_error *error);       /* chunk: exchange rows */
int motley__forward_widen(void *self, struct motley_error *error);          /* chunk: what was narrow on its way */
int motley__forward_place(void *self, struct motley_error *error);          /* sort what came by local expert */
int motley__forward_experts(void *self, struct motley_error *error);        /* batch */
int motley__forward_fetch(void *self, struct motley_error *error);          /* data mode: gather the weights */
int motley__forward_prefetch(void *self, struct motley_error *error);       /* ... of the next layer */
int motley__forward_weigh(void *self, struct motley_error *error);          /* chunk: sum each row's pairs, weighted */
int motley__forward_combine(void *self, struct motley_error *error);        /* chunk: exchange them back */
int motley__forward_decode(void *self, struct motley_error *error);         /* sum over each token's experts */

int motley__backward_encode(void *self, struct motley_error *error);        /* chunk: dy rows go where x rows went */
int motley__backward_dispatch(void *self, struct motley_error *error);      /* chunk */
int motley__backward_widen(void *self, struct motley_error *error);         /* chunk */
int motley__backward_experts(void *self, struct motley_error *error);       /* batch: what other ranks wait for */
int motley__backward_gradients(void *self, struct motley_error *error);     /* batch: the experts' gradients */
int motley__backward_settle(void *self, struct motley_error *error);        /* data mode: sum the gradients */
int motley__backward_prefetch(void *self, struct motley_error *error);      /* ... the weights of the layer before */
int motley__backward_gather(void *self, struct motley_error *error);        /* chunk: dx and dw to give back */
int motley__backward_combine(void *self, struct motley_error *error);       /* chunk */
int motley__backward_decode(void *self, struct motley_error *error);
int motley__backward_gate(void *self, struct motley_error *error);          /* through the softmax */

/* The sums of the auxiliary losses are wanted. */
int motley__layer_has_losses(const motley_layer *layer);
static inline int motley__layer_wants_importance(const motley_layer *layer)
{
    return layer->coefficients.importance != 0;
}

/* The closed formula: device bytes of a layer whose last step had these rows.  backward 1: its backward ran too.
 * Pure. */
struct motley__layer_memory {
    struct motley_layer_shape shape;
    int E_local, hidden_begin, hidden_end; /* the part of the experts that the rank computes with */
    int replicas;                    /* of them so many that others store */
    int lots;                        /* of tokens (plan.h); 0 is 1 */
    int caches;                      /* 1: they are the cache's; what the rank stores is another part: */
    int stored, stored_begin, stored_end;  /* so many experts and hidden rows of each */
    uint64_t cache_scratch;          /* what the cache says it needs besides */
    int ranks, groups, streams;      /* ranks 1: nothing travels */
    int chunks, stride;              /* as in the layer */
    int far_groups, far_streams;     /* of the exchange between nodes; far_groups 0: there is none */
    int named;                       /* choices of its guests, where there are replicas */
    int panel, trained, backward, losses;
    int importance;                  /* 1: also the importance loss */
    int before;                      /* 1: weights before the experts */
    enum motley_dtype wire;          /* of rows between ranks, where it is narrower than the shape's */
    int capacity, prioritised;       /* 1: choices may be dropped; in order of score */
    int layers, moments;             /* layers 0: one; moments: numbers an optimizer keeps beside each weight */
    size_t gate_scratch, gate_bytes; /* what the gate says it needs */
    size_t mask_bytes;               /* of its collaborators; 0: none */
    size_t projection_bytes;         /* of a cosine gate's projection */
    struct motley__row_numbers rows;
};
uint64_t motley__layer_memory_bytes(const struct motley__layer_memory *memory);

#endif
