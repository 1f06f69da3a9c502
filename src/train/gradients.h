/* Gradients between ranks: replicated weights' summed over all ranks, and the norm of all of them.
 *
 * An expert's gradient is complete already on the ranks that hold its parts.  The others lie in one arena; where all
 * ranks keep it in the same layout it is summed as it lies, in one piece; else every tensor passes through its
 * canonical form.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_GRADIENTS_H
#define MOTLEY_TRAIN_GRADIENTS_H

#include <mpi.h>

#include "model/parameter.h"

struct motley__gradients {
    MPI_Comm comm;                              /* borrowed */
    int rank, size;
    double time_limit;                          /* seconds another rank may stay silent */
    struct motley__device *device;              /* borrowed */
    const struct motley__parameter *parameter;  /* [count] borrowed */
    int count;
    struct motley__buffer *arena;               /* holds all replicated gradients, alike on all ranks; NULL: canonical.
                                                   Borrowed from the model */
    float *host;                                /* [floats] owned; NULL when the arena is host memory */
    size_t floats;                              /* of the arena, or of all canonical forms together */
    struct motley__buffer *sums;                /* lanes of the norm; owned */
};

/* Decides by comparing layouts.  Collective. */
int motley__gradients_create(MPI_Comm comm, double time_limit, struct motley__device *device,
                             const struct motley__parameter *parameters, int count,
                             struct motley__gradients **gradients, struct motley_error *error);
void motley__gradients_destroy(struct motley__gradients *gradients); /* accepts NULL */

/* Sum the replicated weights' gradients over the ranks.  Collective.  Errors: MOTLEY_E_COMM (a rank stayed silent). */
int motley__gradients_sum(struct motley__gradients *gradients, struct motley_error *error);

/* The norm of the gradient of the whole model, the same number on every rank: experts from their owners, the others
 * from rank 0.  Sums run in a fixed order.  Call after _sum.  Collective. */
int motley__gradients_norm(struct motley__gradients *gradients, double *norm, struct motley_error *error);

#endif
