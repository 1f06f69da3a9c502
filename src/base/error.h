/* Recording a failure, and agreeing on one between ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_ERROR_H
#define MOTLEY_BASE_ERROR_H

#include <mpi.h>

#include <motley/status.h>

/* Record the first failure: sets code and one sentence; returns `code`, so that callers write
 *     return motley__fail(error, MOTLEY_E_INVALID, "K is %d but there are only %d experts", K, E);
 * Keeps an error that is already recorded.  error may be NULL. */
int motley__fail(struct motley_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "where: " in front of a recorded sentence ("in.safetensors: ..."); returns error->code. */
int motley__fail_in(struct motley_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Record a failed MPI call; returns MOTLEY_E_COMM, or 0 when mpi_status is MPI_SUCCESS. */
int motley__fail_mpi(struct motley_error *error, int mpi_status, const char *call);

/* The collective error rule: every rank brings its own code, and all leave with the same one, that
 * of the lowest failing rank, with its sentence.  Returns that code.  Collective. */
int motley__agree(MPI_Comm comm, int code, struct motley_error *error);
/* The same, giving up on silent ranks after `limit` seconds (0: ten minutes); then the error is this rank's own, and
 * the job can only be ended (wait.h).  So it is where code is MOTLEY_E_COMM already: who was silent is not asked
 * again. */
int motley__agree_within(MPI_Comm comm, double limit, int code, struct motley_error *error);

#endif
