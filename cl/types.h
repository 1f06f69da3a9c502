/* Argument structs shared by the kernels (OpenCL C) and the host (C11): 4-byte members only, so both
 * compilers lay them out alike.  Device addresses are separate kernel arguments.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_TYPES_H
#define MOTLEY_CL_TYPES_H

/* enum motley_activation of include/motley/plan.h, for kernels; NONE for plain products. */
#define MOTLEY__ACT_RELU 0
#define MOTLEY__ACT_GELU 1
#define MOTLEY__ACT_SILU 2
#define MOTLEY__ACT_SWIGLU 3
#define MOTLEY__ACT_NONE 4

/* A product over rows sorted by expert; used by esmm, esmm_transposed, estmm, ess. */
struct motley__product_args {
    int first;      /* first local expert of this launch (a weight segment) */
    int experts;    /* experts of this launch */
    int rows;       /* P, when there is no offsets array: one expert holds all rows */
    int first_pair; /* of all experts: offsets[0], 0 when there is no such array */
    int O, I;       /* the matrices are [O,I] */
    int own_rows;   /* row sources: index below this reads `own`, above it `received` */
    int own_rows_b; /* the same for the second row source of estmm */
    int activation; /* MOTLEY__ACT_* */
    int accumulate; /* 1: add to the output */
    int tile_stride; /* family cpu: which row tile a work-group computes; prime to their number */
};

struct motley__activation_args {
    int first;      /* pairs first .. first + P - 1 */
    int P, F;
    int activation; /* MOTLEY__ACT_* */
};

/* linear_backward, linear_gradient: a dense [O,I] matrix and T rows. */
struct motley__linear_args {
    int T, O, I;
    int accumulate; /* 1: add to the output */
};

/* The gate: logits_tile, logits_group, gate_select. */
struct motley__gate_args {
    int T, D, E, K;
    int stride;     /* logits of one token: E rounded up; the rest is scratch */
    int block;      /* logits_tile: experts of one work-group */
    int normalize;  /* 1: the K weights are divided by their sum */
};

struct motley__gate_gradient_args {
    int T, E, K;
    int normalize;
    int sigmoid;    /* 1: p are sigmoids, else the softmax */
    float z;        /* z-loss: coefficient / tokens */
};

/* The cosine gate: cosine_rows, cosine_matrix and their gradients. */
struct motley__cosine_args {
    int T, E, P;
    int stride;     /* numbers of one token in the projection's scratch */
};

/* Gate noise, and the losses that need it. */
struct motley__noise_args {
    int E;
    int stride;     /* logits of one token, as of the gate */
    unsigned seed_low, seed_high;   /* 64 bits */
    unsigned first_low, first_high; /* of the first token's number */
    float sigma;
};

struct motley__importance_args {
    int T, E, K;
    float inverse;  /* 1 / sigma */
};

/* Weights before the experts: scale_rows. */
struct motley__scale_args {
    int first;      /* pairs first and on */
    int D;
    int own_rows;   /* as of a product */
};

/* capacity.cl: a key has 30 bits, found 6 at a time. */
#define MOTLEY__CAPACITY_BITS 6
#define MOTLEY__CAPACITY_KEYS (1u << 30)
struct motley__capacity_args {
    int E, K;
    int shift;      /* capacity_digits: of the lowest bit that is looked at */
};

struct motley__route_args {
    int N;          /* pairs */
    int E;          /* indices are 0 .. E-1, anything else is no slot's */
    int slots;
    int chunk;      /* pairs of one chunk */
    int chunks;
};

/* Row movers: encode, widen, combine, decode.  A work-item (column) moves `per_item` neighbouring rows. */
struct motley__encode_args {
    int D, K;
    int first;      /* rows first .. first + rows - 1 */
    int rows, per_item;
    int own;        /* tokens in x, the others are in rest */
};

struct motley__widen_args {
    int D;
    int first;      /* rows first .. first + rows - 1 */
    int rows, per_item;
};

/* The tokens' chunks (src/layer/chunks.h). */
#define MOTLEY__CHUNKS_MOST 8
struct motley__chunks {
    int count;
    int tokens;     /* own ones of each; the last chunks may have fewer, or none */
    int own;        /* tokens below this; the others are guests */
    int guests[MOTLEY__CHUNKS_MOST]; /* before each chunk; INT_MAX for those that there are not */
};

struct motley__heads_args {
    int N, K;
    int groups;
    int sent;       /* groups 0 .. sent-1 are sent to */
    struct motley__chunks chunks;
    int every;      /* 1: every pair goes by itself */
};

struct motley__choices_args {
    int N, K, E;
    int lots;       /* of tokens */
};

struct motley__encode_pairs_args {
    int pairs;
};

struct motley__arrive_args {
    int N, K, E;    /* own pairs */
    int M;          /* received rows */
    int sources;    /* ranks; sections of chunk c are number c sources and on */
    struct motley__chunks chunks;
};

struct motley__guests_args {
    int N, K;       /* own pairs */
    int M;          /* guests */
    int first;      /* what their experts' numbers are counted from */
    int sections;   /* of the list */
};

struct motley__staying_args {
    int N;          /* own pairs */
    int first, step; /* slots of the pairs that stay: first + c step of chunk c */
    int chunks;
};

struct motley__place_args {
    int P, N, K;
    int own_rows;
};

struct motley__combine_args {
    int D;
    int row;        /* rows row .. row + rows - 1 */
    int rows, per_item;
    int first;      /* received pairs follow so many own ones */
};

struct motley__decode_args {
    int D, K;
    int first;      /* tokens first .. first + T - 1 */
    int T, per_item;
    int groups, streams; /* of the table of what came back; 0: nothing did */
    struct motley__chunks chunks;
    int row;        /* token `first` is that row of y */
    int accumulate; /* 1: add to y */
};

/* slice.cl: where one side's lines are; see src/product/slice.h. */
struct motley__slice_side {
    int list;       /* expert i of the launch is number expert[list + i] of the matrix; -1: number i */
    int first;      /* number of the first expert in the buffer */
    int numbers;    /* of one expert, padding included */
    int panel, I;   /* layout of an expert, see src/product/matrix.h */
    int row, column; /* of the slice in it */
    int start;      /* rows of I numbers that lie before the buffer */
};

struct motley__slice_args {
    int lines, width;   /* the slice of each expert */
    int first, count;   /* lines of this launch, counted through all experts */
    struct motley__slice_side from, to;
};

struct motley__losses_args {
    int T, E, K;
    float inverse;  /* importance and load: 1 / sigma */
};

#endif
