/* A model's matrices to and from one safetensors file, whatever ranks hold them.
 *
 * Rank 0 reads and writes; experts pass one at a time between those who hold its parts and rank 0, in canonical form,
 * so that a file says nothing of how ranks divided them.  A
 * replicated matrix is rank 0's: saving gives its copy to all other ranks, so that unlike devices, which round
 * differently, hold exactly what a run resumed from the file would.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_TENSORS_H
#define MOTLEY_TRAIN_TENSORS_H

#include <mpi.h>

#include "model/parameter.h"

/* One matrix for each parameter: its weights, or a moment.  The tensor's name is the parameter's and the suffix. */
struct motley__tensor_set {
    const char *suffix;                 /* "" for weights */
    struct motley__matrix **matrix;     /* [count] borrowed, NULL where there is none; NULL: the parameters' own
                                           weights */
};

/* time_limit: seconds that other ranks may stay silent, 0 for ten minutes.
 * Collective.  All ranks succeed, or all get the same error and there is no file. */
int motley__tensors_save(MPI_Comm comm, double time_limit, const char *path,
                         const struct motley__parameter *parameters, int count,
                         const struct motley__tensor_set *sets, int set_count, struct motley_error *error);

/* Collective.  Errors: MOTLEY_E_IO, MOTLEY_E_FORMAT (a tensor is missing or has another shape), MOTLEY_E_NONFINITE;
 * the matrices are then undefined. */
int motley__tensors_load(MPI_Comm comm, double time_limit, const char *path,
                         const struct motley__parameter *parameters, int count,
                         const struct motley__tensor_set *sets, int set_count, struct motley_error *error);

#endif
