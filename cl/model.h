/* Argument structs of the model's kernels, shared with the host: 4-byte members only, so both compilers
 * lay them out alike.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_MODEL_H
#define MOTLEY_CL_MODEL_H

struct motley__norm_args {
    int T, D;
    float eps;      /* added to the mean square */
    int accumulate; /* norm_backward: 1 adds to dx */
    int chunk;      /* norm_gradient: rows of one partial sum */
    int chunks;
};

struct motley__rope_args {
    int T, S;       /* rows; rows of one sequence */
    int past;       /* position of a sequence's first row */
    int heads;
    int pairs;      /* pairs of one head */
    float sign;     /* 1: turn forward, -1: back */
};

struct motley__transpose_args {
    int S, heads;
    int past;       /* first column written */
    int stride;     /* floats of a transposed row */
};

struct motley__attention_args {
    int S;          /* queries of one sequence */
    int past;       /* keys before the first query: S + past keys in all */
    int heads;
    int shared;     /* query heads of one key head */
    int stride;     /* floats of a transposed row */
    float scale;    /* 1/sqrt(head dimension) */
};

struct motley__embedding_args {
    int T, D;
};

struct motley__cross_entropy_args {
    int T, C;       /* rows, classes */
    float scale;    /* of the gradient */
    int backward;   /* 1: logits become their gradient */
};

#endif
