/* Waiting for other ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <sched.h>

#include "base/clock.h"
#include "base/wait.h"

/* A message inside a node that is not among the largest takes less. */
static const double SPIN_SECONDS = 1e-3;

/* After this long a peer is late. */
static const double PATIENCE_SECONDS = 0.02, NAP_SECONDS = 100e-6;

/* Polling ranks that never sleep can keep a core to themselves for seconds: Linux 6.18, which schedules by session, was
 * seen to wake nobody else for 16 s, whether they yield or not.  A short nap in each period lets others in; it
 * takes 50 us longer than it says, the kernel's timer slack. */
static const double PERIOD_SECONDS = 4e-3, WINDOW_SECONDS = 50e-6, SHORT_NAP_SECONDS = 1e-6;
static const double LIMIT_SECONDS = 600;

void motley__idle(double waited, int alone)
{
    if (alone && waited < SPIN_SECONDS)
        return;
    if (waited > PATIENCE_SECONDS)
        motley__sleep(NAP_SECONDS);
    else if (fmod(motley__seconds(), PERIOD_SECONDS) < WINDOW_SECONDS)
        motley__sleep(SHORT_NAP_SECONDS);
    else
        sched_yield();
}

int motley__wait(MPI_Request *request, double limit, const char *what, struct motley_error *error)
{
    const double since = motley__seconds();
    int done = 0, status;

    if (limit <= 0)
        limit = LIMIT_SECONDS;
    while (!(status = motley__fail_mpi(error, MPI_Test(request, &done, MPI_STATUS_IGNORE), "MPI_Test")) && !done) {
        const double waited = motley__seconds() - since;

        if (waited > limit)
            return motley__fail(error, MOTLEY_E_COMM,
                                "%s: nothing heard from the other ranks for %.0f seconds; one failed, or it is slower "
                                "than --time-limit allows", what, waited);
        motley__idle(waited, 0);
    }
    return status;
}
