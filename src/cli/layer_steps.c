/* The steps of `motley layer`: one to warm up, then the timed ones, of which the medians count.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/layer_job.h"

static int one_step(struct motley__layer_job *job, struct motley_error *error)
{
    int status = motley_layer_forward(job->layer, job->x, job->forced, job->y, error);
    if (!status && job->request.backward)
        status = motley_layer_backward(job->layer, job->dy, job->dx, error);
    return status;
}

/* Medians field by field: motley_layer_times is nothing but doubles. */
enum { FIELDS = sizeof(struct motley_layer_times) / sizeof(double) };

static struct motley_layer_times medians(const struct motley_layer_times *times, int n, double *scratch)
{
    struct motley_layer_times result;
    for (int field = 0; field < FIELDS; field++) {
        for (int i = 0; i < n; i++)
            scratch[i] = ((const double *)&times[i])[field];
        ((double *)&result)[field] = motley__median(scratch, n);
    }
    return result;
}

int motley__layer_run_steps(struct motley__layer_job *job, struct motley_error *error)
{
    int repeat = (int)job->request.repeat, status = 0;
    struct motley_layer_times *forward = calloc((size_t)repeat, sizeof *forward),
                              *backward = calloc((size_t)repeat, sizeof *backward);
    double *scratch = calloc((size_t)repeat, sizeof *scratch);
    if (!forward || !backward || !scratch)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the times of %d steps", repeat);
    status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);

    struct motley__progress progress;
    motley__progress_start(&progress, job->progress, "steps", 1 + repeat);
    for (int i = -1; i < repeat && !status; i++) {
        status = one_step(job, error);
        if (status || i < 0)
            continue;
        forward[i] = motley_layer_forward_times(job->layer);
        if (job->request.backward)
            backward[i] = motley_layer_backward_times(job->layer);
        motley__progress_show(&progress, 2 + i, "%.3g s", forward[i].step + backward[i].step);
    }
    motley__progress_end(&progress);
    if (!status) {
        job->seconds.forward = medians(forward, repeat, scratch);
        job->seconds.backward = medians(backward, repeat, scratch);
    }
    free(scratch);
    free(backward);
    free(forward);
    return status;
}
