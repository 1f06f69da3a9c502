/* What ranks do together and say to each other, as MPI does it but not for ever: a link that is gone, or a rank that
 * hangs, must not keep the others.
 *
 * limit: seconds that others may stay silent, 0 for ten minutes.  Every call waits as wait.h says.
 * Errors: MOTLEY_E_COMM (the others stayed silent, and the job can only be ended).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_COLLECTIVE_H
#define MOTLEY_BASE_COLLECTIVE_H

#include <mpi.h>

#include "base/error.h"

/* Root's numbers to all. */
int motley__broadcast(MPI_Comm comm, double limit, int root, void *numbers, int count, MPI_Datatype type,
                      struct motley_error *error);

/* Everyone's numbers put together by op, in place, on all. */
int motley__reduce(MPI_Comm comm, double limit, void *numbers, int count, MPI_Datatype type, MPI_Op op,
                   struct motley_error *error);

/* Everyone's `mine` [count] on all: all [size,count]. */
int motley__share(MPI_Comm comm, double limit, const void *mine, int count, MPI_Datatype type, void *all,
                  struct motley_error *error);

/* The same where ranks have unlike counts [size], each to its place in `all`: on all ranks, or with root >= 0 there. */
int motley__share_unlike(MPI_Comm comm, double limit, int root, const void *mine, int count, MPI_Datatype type,
                         void *all, const int *counts, const int *starts, struct motley_error *error);

/* From one rank to another. */
int motley__send(MPI_Comm comm, double limit, int to, int tag, const void *numbers, int count, MPI_Datatype type,
                 struct motley_error *error);
int motley__receive(MPI_Comm comm, double limit, int from, int tag, void *numbers, int count, MPI_Datatype type,
                    struct motley_error *error);

#endif
