/* A model's weights as a list: what optimizer, checkpoint and gradient exchange walk over.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_PARAMETER_H
#define MOTLEY_MODEL_PARAMETER_H

#include "product/slice.h"

struct motley__parameter {
    char name[128];                /* Hugging Face name; of experts with one %d for the global expert number */
    struct motley__matrix *w, *dw; /* borrowed from the model; dense ones have E = 1.  dw NULL: none is trained */
    int dims;                      /* 1: a vector (canonical [I], O = 1), 2: a matrix [O,I] */
    int O, I;                      /* whole; w and dw of experts hold what is this rank's of it */
    const struct motley__placement *placement;  /* experts: a partition of them; NULL: replicated.  Borrowed */
    const struct motley__holding *mine;         /* experts: this rank's of it */
    enum motley__hidden hidden;    /* experts: the dimension that ranks may divide */
    int decay;                     /* 1: weight decay applies (matrices), 0: not (norms) */
    int counted;                   /* 1: no gradient moves it, but how often experts were chosen */
};

/* What a holding has of one expert's matrix. */
static inline struct motley__part_shape motley__parameter_part(const struct motley__parameter *parameter,
                                                               const struct motley__holding *holding)
{
    return motley__part_of(parameter->hidden, holding->begin, holding->end, parameter->O, parameter->I);
}

#endif
