/* How all ranks do one thing at the same time.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "base/clock.h"
#include "base/collective.h"
#include "measure/measuring.h"
#include "measure/timing.h"

static const double WINDOW_SECONDS = 0.08;      /* the shortest window: 24 periods of a rank with 1 ms slices at 30% */
static const double LONG_SECONDS = 0.4;         /* a pass of that length is its own average: few are enough */
static const double SAMPLE_SECONDS = 0.01;      /* the shortest sample: quick passes are timed in bundles */
static const double NAP_SECONDS = 0.0002;       /* between looks at a barrier: waiting ranks leave the cores alone */

enum {
    SAMPLES = 64,                               /* in one window, at most */
    PASSES = 5                                  /* of the slowest rank in one window, where they are quick */
};

/* An MPI barrier would spin, on cores that others still compute on. */
int motley__measuring_meet(struct motley__measuring *w)
{
    const double since = motley__seconds(), limit = w->context->time_limit;
    MPI_Request request;
    int there = 0, status = motley__fail_mpi(w->error, MPI_Ibarrier(w->context->comm, &request), "MPI_Ibarrier");
    while (!status && !there) {
        status = motley__fail_mpi(w->error, MPI_Test(&request, &there, MPI_STATUS_IGNORE), "MPI_Test");
        if (!status && !there && motley__seconds() - since > limit)
            status = motley__fail(w->error, MOTLEY_E_COMM, "measuring together: nothing heard from the other ranks for "
                                  "%.0f seconds; one failed, or it is slower than --time-limit allows", limit);
        if (!status && !there)
            motley__sleep(NAP_SECONDS);
    }
    return status;
}

int motley__measuring_agree(struct motley__measuring *w, int failed, double *value)
{
    int status = motley__measuring_meet(w);
    if (!status)
        status = motley__context_agree(w->context, failed, w->error);
    if (!status)
        status = motley__reduce(w->context->comm, w->context->time_limit, value, 1, MPI_DOUBLE, MPI_MAX, w->error);
    return status;
}

int motley__measuring_agree_bits(struct motley__measuring *w, int *bits)
{
    return motley__reduce(w->context->comm, w->context->time_limit, bits, 1, MPI_INT, MPI_BOR, w->error);
}

/* A window is long enough for several passes of the slowest rank, unless they are long themselves. */
static double window_seconds(double pass_seconds)
{
    return fmax(WINDOW_SECONDS, fmin(PASSES * pass_seconds, LONG_SECONDS));
}

int motley__measuring_fewest(double pass_seconds)
{
    return pass_seconds < LONG_SECONDS ? 3 : 1;
}

int motley__measuring_window(struct motley__measuring *w, struct motley__trial *trial, int backward, double own_seconds,
                             double slowest_seconds, struct motley__point *point)
{
    double seconds[SAMPLES];
    const double bundle = ceil(SAMPLE_SECONDS / fmax(own_seconds, 1e-5)), length = window_seconds(slowest_seconds);
    const int repeats = bundle > 1 ? (int)bundle : 1, fewest = motley__measuring_fewest(slowest_seconds);
    int status = motley__measuring_meet(w), n = 0;
    double begin = motley__seconds();
    while (!status && trial && (n < fewest || motley__seconds() - begin < length)) {
        status = motley__trial_pass(trial, backward, repeats, &seconds[n % SAMPLES], w->error); /* keeps the latest */
        n++;
    }
    if (!status && n > 0)
        motley__timing(seconds, n < SAMPLES ? n : SAMPLES, &point->seconds, &point->spread, &point->samples);
    return status;
}
