/* The argument struct of adamw.cl, shared with the host: 4-byte members only.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_ADAMW_H
#define MOTLEY_CL_ADAMW_H

struct motley__adamw_args {
    int n;                  /* elements of this launch: whole matrices */
    int numbers;            /* elements of a matrix */
    int first;              /* matrix of this launch in the buffers of floats */
    int stored_first;       /* and in that of stored weights */
    float scale;            /* of the gradient: clipping */
    float beta1, beta2;     /* decay of the two moments */
    float rate;             /* learning rate / (1 - beta1^step) */
    float correction;       /* 1 / sqrt(1 - beta2^step) */
    float epsilon;
    float keep;             /* 1 - learning rate * weight decay */
};

#endif
