/* Waiting for other ranks: without keeping the core from those who compute on it, and not for ever.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_WAIT_H
#define MOTLEY_BASE_WAIT_H

#include <mpi.h>

#include "base/error.h"

/* Nothing happened for `waited` seconds: yield the core, now and then and when a peer is late nap.
 * alone 1: nobody else needs the core, so poll on for a while first. */
void motley__idle(double waited, int alone);

/* Until the request is complete.  what: for the message, "gradients"; limit: seconds, 0 for ten minutes.
 * Errors: MOTLEY_E_COMM (the other ranks stayed silent).  The request is then still open, its buffers may yet be
 * written, and the job can only be ended. */
int motley__wait(MPI_Request *request, double limit, const char *what, struct motley_error *error);

#endif
