/* A model's weights as a list: what optimizer, checkpoint and gradient exchange walk over.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_PARAMETER_H
#define MOTLEY_MODEL_PARAMETER_H

#include "layer/matrix.h"

struct motley__parameter {
    char name[128];                /* Hugging Face name; of experts with one %d for the global expert number */
    struct motley__matrix *w, *dw; /* borrowed from the model; dense ones have E = 1 */
    int dims;                      /* 1: a vector (canonical [I], O = 1), 2: a matrix [O,I] */
    int sharded;                   /* 1: experts, each on its owner; 0: replicated on every rank */
    int experts;                   /* sharded: experts of all ranks */
    const int *expert;             /* sharded: [w->E] global numbers of the local experts; borrowed */
    const int *owner;              /* sharded: [experts] rank of every expert; borrowed */
    int decay;                     /* 1: weight decay applies (matrices), 0: not (norms) */
};

#endif
