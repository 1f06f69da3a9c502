/* Which experts the tokens of `motley layer` chose together, for the next run: --record-coactivation.
 *
 * Every token of the input counts once, however often the step was repeated.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "base/error.h"
#include "cli/layer_job.h"
#include "coactivation/tally.h"

/* This rank's tokens of the last step. */
static int count(const struct motley__layer_job *job, struct motley__tally **tally, struct motley_error *error)
{
    const int64_t first = job->first[job->rank], T = job->first[job->rank + 1] - first;
    const size_t pairs = (size_t)T * (size_t)job->shape.K;
    int32_t *indices = malloc((pairs + 1) * sizeof *indices);
    float *weights = malloc((pairs + 1) * sizeof *weights);
    int status = indices && weights ? motley__tally_create(1, job->shape.E, job->shape.K, tally, error)
                                    : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the routing of %lld "
                                                   "tokens", (long long)T);
    if (!status)
        status = motley_layer_routing(job->layer, indices, weights, error);
    if (!status)
        motley__tally_add(*tally, 0, (uint64_t)first, (int)T, indices);
    free(indices);
    free(weights);
    return motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
}

int motley__layer_record(const struct motley__layer_job *job, struct motley_error *error)
{
    struct motley__tally *tally = NULL;
    motley_coactivation *sum = NULL;
    int status = count(job, &tally, error);
    if (!status)
        status = motley__tally_sum(tally, MPI_COMM_WORLD, job->time_limit, &sum, error);
    motley__tally_destroy(tally);
    if (!status && sum)
        status = motley__coactivation_write(sum, job->record_path, error);
    motley_coactivation_destroy(sum);
    return motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
}
