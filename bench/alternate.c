/* Rivals under one clock.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "base/clock.h"
#include "bench/alternate.h"

/* What is very slow is timed less than FEWEST times. */
static const double PATIENCE_SECONDS = 30;
enum { FEWEST = 3 };

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
                     double *flush_seconds, struct motley_error *error)
{
    struct motley__side timed = *side;
    int status = side->prepare ? side->prepare(side->self, error) : 0;
    timed.prepare = NULL;
    if (!status)
        status = motley__side_time(flush, flush_seconds, error);
    return status ? status : motley__side_time(&timed, seconds, error);
}

int motley__rounds_enough(const struct motley__rounds *rounds, int done, double spent)
{
    if (done >= rounds->most)
        return 1;
    return done > 0 && spent >= (done < FEWEST         ? fmax(PATIENCE_SECONDS, rounds->slow)
                                 : done < rounds->least ? rounds->slow
                                                        : rounds->seconds);
}

int motley__alternate(const struct motley__side *sides, int count, const struct motley__side *flush,
                      const struct motley__rounds *rounds, double *seconds, double *flush_seconds,
                      struct motley_error *error)
{
    double time[MOTLEY__SIDES][MOTLEY__ROUNDS], flushed[MOTLEY__SIDES * MOTLEY__ROUNDS];
    const double begin = motley__seconds();
    int n = 0, status = 0;
    double spent = 0;
    while (!status && !motley__rounds_enough(rounds, n, spent)) {
        for (int i = 0; i < count && !status; i++) {
            const int side = n % 2 ? count - 1 - i : i;
            status = time_cold(&sides[side], flush, &time[side][n], &flushed[n * count + i], error);
        }
        n++;
        spent = motley__seconds() - begin;
    }
    if (status)
        return status;
    for (int i = 0; i < count; i++)
        seconds[i] = motley__median(time[i], n);
    *flush_seconds = motley__median(flushed, n * count);
    return 0;
}
