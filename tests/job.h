/* What programs share that are run on the nodes of tests/cluster, outside the tests' own frame.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_JOB_H
#define MOTLEY_TESTS_JOB_H

#include <mpi.h>
#include <stdint.h>
#include <stdio.h>

#include <motley/motley.h>
#include "base/random.h"

/* Any failure ends the whole job. */
static inline void check(int status, const struct motley_error *error)
{
    if (status) {
        fprintf(stderr, "%s\n", error->text);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

/* Normally distributed, the same in every run. */
static inline void fill(float *values, size_t count, double scale, uint64_t stream)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(scale * motley__random_normal(20261122, stream, (uint64_t)i));
}

/* Seconds that this rank's experts took in the last step. */
static inline double expert_seconds(const motley_layer *layer, int backward)
{
    const double forward = motley_layer_forward_times(layer).experts;
    return backward ? forward + motley_layer_backward_times(layer).experts : forward;
}

#endif
