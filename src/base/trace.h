/* What each rank did when, as a Chrome/Perfetto trace: a compute and a communication track per rank,
 * clocks aligned between ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_TRACE_H
#define MOTLEY_BASE_TRACE_H

#include <mpi.h>

#include "base/error.h"

struct motley__trace; /* opaque */

/* Aligns this rank's clock with rank 0's (the midpoint of the fastest of several round trips).
 * path is used by rank 0; limit: seconds that others may stay silent, 0 for ten minutes.  Collective. */
int motley__trace_create(MPI_Comm comm, double limit, const char *path, struct motley__trace **trace,
                         struct motley_error *error);

/* One span, motley__seconds() times; track 0 computation, 1 communication.  `name` must be a constant.
 * trace NULL: nothing. */
void motley__trace_span(struct motley__trace *trace, int track, const char *name, double begin, double end);

/* Gathers all spans on rank 0 and writes the file.  Collective. */
int motley__trace_write(struct motley__trace *trace, struct motley_error *error);
void motley__trace_destroy(struct motley__trace *trace); /* accepts NULL */

#endif
