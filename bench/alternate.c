/* Two rivals under one clock.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "base/clock.h"
#include "bench/alternate.h"

/* What is very slow is timed fewer times than the least. */
static const double PATIENCE_SECONDS = 30;

/* The device's clock when a marker was reached; 0 when it does not tell. */
static cl_ulong reached(cl_event marker)
{
    cl_ulong time = 0;
    if (clGetEventProfilingInfo(marker, CL_PROFILING_COMMAND_END, sizeof time, &time, NULL) != CL_SUCCESS)
        return 0;
    return time;
}

/* By the device's clock; *seconds stays when it does not tell. */
static int run_between_markers(const struct motley__side *side, double *seconds, struct motley_error *error)
{
    cl_event before, after;
    int status = motley__queue_marker(side->device, &before, error);
    if (status)
        return status;
    status = side->run(side->self, error);
    if (!status)
        status = motley__queue_marker(side->device, &after, error);
    if (!status) {
        status = motley__queue_wait(side->device, error);
        if (!status && reached(before) && reached(after) > reached(before))
            *seconds = 1e-9 * (double)(reached(after) - reached(before));
        clReleaseEvent(after);
    }
    clReleaseEvent(before);
    return status;
}

int motley__side_time(const struct motley__side *side, double *seconds, struct motley_error *error)
{
    int status = side->prepare ? side->prepare(side->self, error) : 0;
    if (!status && side->device)
        status = motley__queue_wait(side->device, error);
    if (status)
        return status;
    const double begin = motley__seconds();
    double by_device = 0;
    if (side->device && !side->device->is_cpu) {
        status = run_between_markers(side, &by_device, error);
    } else {
        status = side->run(side->self, error);
        if (!status && side->device)
            status = motley__queue_wait(side->device, error);
    }
    *seconds = by_device > 0 ? by_device : motley__seconds() - begin;
    return status;
}

/* The side's own preparation, then cold caches, then the clock. */
static int time_cold(const struct motley__side *side, const struct motley__side *flush, double *seconds,
                     struct motley_error *error)
{
    struct motley__side timed = *side;
    double unused;
    int status = side->prepare ? side->prepare(side->self, error) : 0;
    timed.prepare = NULL;
    if (!status)
        status = motley__side_time(flush, &unused, error);
    return status ? status : motley__side_time(&timed, seconds, error);
}

int motley__alternate(const struct motley__side *ours, const struct motley__side *peer,
                      const struct motley__side *flush, const struct motley__rounds *rounds, double *seconds,
                      double *peer_seconds, struct motley_error *error)
{
    double own[MOTLEY__ROUNDS], other[MOTLEY__ROUNDS];
    const double begin = motley__seconds();
    int n = 0, status = 0;
    double spent = 0;
    while (!status && n < rounds->most &&
           (n == 0 || spent < (n < rounds->least ? PATIENCE_SECONDS : rounds->seconds))) {
        const int peer_first = peer && n % 2;
        if (peer_first)
            status = time_cold(peer, flush, &other[n], error);
        if (!status)
            status = time_cold(ours, flush, &own[n], error);
        if (!status && peer && !peer_first)
            status = time_cold(peer, flush, &other[n], error);
        n++;
        spent = motley__seconds() - begin;
    }
    if (status)
        return status;
    *seconds = motley__median(own, n);
    *peer_seconds = peer ? motley__median(other, n) : 0;
    return 0;
}
