/* The tensors of one shape, and of one routing of so many rows over it: made when first asked for, with the same
 * numbers on the device and for the peers on the host, who have them in f32, rounded to the storage type.
 *
 * Every number is a place in one table of noise, another for each tensor and expert, so either side can have any part
 * at any time and nothing has to be kept twice.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_PROBLEM_H
#define MOTLEY_BENCH_PROBLEM_H

#include "bench/routing.h"
#include "context.h"
#include <motley/plan.h>
#include "product/matrix.h"
#include "product/rows.h"

/* What stays while the rows change.  Gradients hold no numbers but what operators write. */
struct motley__bench_shape {
    int E, K, D, F;
    enum motley_activation activation;          /* of a whole layer: swiglu or relu */
    enum motley_dtype dtype;                    /* storage of rows and weights; gradients of weights are f32 */
};
enum motley__bench_weight {
    MOTLEY__W1, MOTLEY__W3, MOTLEY__W2,         /* [E,F,D] [E,F,D] [E,D,F] */
    MOTLEY__DW1, MOTLEY__DW3, MOTLEY__DW2,
    MOTLEY__WEIGHTS
};
struct motley__bench_weights {
    motley_context *context;                    /* borrowed, and so is its device */
    struct motley__device *device;
    struct motley__bench_shape shape;
    struct motley__matrix *matrix[MOTLEY__WEIGHTS]; /* owned; NULL until asked for */
    struct motley__bench_layer *layer;          /* owned; NULL until asked for (layer.h) */
    float *noise, *small;                       /* owned: rows' numbers, uniform in -1 .. 1; weights', scaled down */
};
int motley__bench_weights_create(motley_context *context, const struct motley__bench_shape *shape,
                                 struct motley__bench_weights **weights, struct motley_error *error);
void motley__bench_weights_destroy(struct motley__bench_weights *weights); /* accepts NULL */
/* In the layout of the device's variant for the storage type. */
int motley__bench_weights_there(struct motley__bench_weights *weights, enum motley__bench_weight which,
                                struct motley__matrix **matrix, struct motley_error *error);
/* `count` numbers from element `first` of an expert's canonical matrix on. */
void motley__bench_weights_numbers(const struct motley__bench_weights *weights, enum motley__bench_weight which,
                                   int expert, size_t first, size_t count, float *host);

/* Tensors of a problem; those written by operators hold no numbers. */
enum motley__tensor {
    MOTLEY__X,          /* [T,D] */
    MOTLEY__DY,         /* [T,D] */
    MOTLEY__Y,          /* [T,D] written */
    MOTLEY__G,          /* [P,F] gradients of hidden rows */
    MOTLEY__H,          /* [P,F] written */
    MOTLEY__O,          /* [P,D] experts' outputs */
    MOTLEY__DX,         /* [P,D] written */
    MOTLEY__PREACT,     /* [P,F] before the activation */
    MOTLEY__PREACT3,    /* [P,F] written */
    MOTLEY__DH,         /* [P,F] written */
    MOTLEY__DWEIGHT,    /* [P,1] written */
    MOTLEY__DB,         /* [E,F] written */
    MOTLEY__GATE,       /* [E,D] the gate's rows */
    MOTLEY__PROBABILITY,/* [T,E] written */
    MOTLEY__TENSORS
};

/* Whole numbers and weights of the routing, on the device. */
enum motley__list {
    MOTLEY__OFFSETS,    /* [E+1] */
    MOTLEY__TOKEN,      /* [P] token at a sorted position */
    MOTLEY__ORDER,      /* [P] pair t K + k at a sorted position */
    MOTLEY__WHERE,      /* [P] sorted position of a pair */
    MOTLEY__SAME,       /* [P+1] 0, 1, 2 .. */
    MOTLEY__PAIR_WEIGHT,/* [P] routing weights by sorted position */
    MOTLEY__LISTS
};

struct motley__problem {
    struct motley__device *device;              /* borrowed */
    struct motley__bench_weights *weights;            /* borrowed */
    struct motley__bench_shape shape;
    int T, P;                                   /* P = T K pairs, sorted by expert; of one expert in token order */
    enum motley__routing routing;
    /* Host; owned. */
    int *indices;                               /* [T,K] experts */
    int *order, *where;                         /* [P] pair t K + k at a sorted position; and back */
    int *token;                                 /* [P] token at a sorted position */
    int *offsets;                               /* [E+1] */
    float *weight;                              /* [T,K] routing weights */
    int hottest;                                /* rows of the expert that has most */
    /* Device; owned. */
    struct motley__buffer *list[MOTLEY__LISTS];
    struct motley__buffer *tensor[MOTLEY__TENSORS]; /* NULL until asked for */
    struct motley__gate_case *gate;             /* what the gate alone needs; NULL until asked for */
};
int motley__problem_create(struct motley__bench_weights *weights, int T, enum motley__routing routing, uint64_t seed,
                           struct motley__problem **problem, struct motley_error *error);
void motley__problem_destroy(struct motley__problem *problem); /* accepts NULL */

int motley__problem_there(struct motley__problem *problem, enum motley__tensor which, struct motley__buffer **buffer,
                          struct motley_error *error);
enum motley_dtype motley__problem_dtype(const struct motley__problem *problem, enum motley__tensor which);
int motley__problem_written(enum motley__tensor which); /* 1: it holds no numbers but what an operator writes */
int motley__problem_rows(const struct motley__problem *problem, enum motley__tensor which);
int motley__problem_width(const struct motley__problem *problem, enum motley__tensor which);
/* Numbers of `count` elements from `first` on; of tensors that are not written. */
void motley__problem_numbers(const struct motley__problem *problem, enum motley__tensor which, size_t first,
                             size_t count, float *host);

/* One of them, and one of a weight. */
double motley__problem_number(const struct motley__problem *problem, enum motley__tensor which, size_t at);
double motley__bench_weights_number(const struct motley__bench_weights *weights, enum motley__bench_weight which,
                                    int expert, size_t at);

/* The expert of a sorted position. */
int motley__problem_expert(const struct motley__problem *problem, int p);

/* As the products want them. */
struct motley__ragged motley__problem_ragged(const struct motley__problem *problem);

#endif
