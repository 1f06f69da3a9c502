/* What programs share that are run on the nodes of tests/cluster, outside the tests' own frame.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_JOB_H
#define MOTLEY_TESTS_JOB_H

#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <motley/motley.h>
#include "base/clock.h"
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

/* All experts get the same matrix: only the gate decides what is computed. */
static inline void set_weights(const motley_plan *plan, motley_layer *layer, int rank)
{
    const struct motley_layer_shape *shape = motley_plan_shape(plan);
    const struct motley_plan_rank own = motley_plan_rank(plan, rank);
    const size_t gate = (size_t)shape->E * (size_t)shape->D, matrix = (size_t)shape->D * (size_t)shape->F;
    float *values = malloc(sizeof *values * (gate > matrix ? gate : matrix));
    struct motley_error error = {0};
    fill(values, gate, 0.05, 1);
    check(motley_layer_set(layer, MOTLEY_GATE, 0, values, &error), &error);
    fill(values, matrix, 0.03, 2);
    for (int i = 0; i < own.experts; i++)
        for (int w = MOTLEY_W1; w <= MOTLEY_W3; w++)
            check(motley_layer_set(layer, (enum motley_weight)w, own.expert[i], values, &error), &error);
    free(values);
}

/* x [T,D] of this rank with numbers, y [T,D]. */
static inline void make_tokens(motley_context *context, int64_t T, int D, motley_tensor **x, motley_tensor **y)
{
    float *tokens = malloc(sizeof *tokens * (size_t)(T + 1) * (size_t)D);
    struct motley_error error = {0};
    check(motley_tensor_create(context, MOTLEY_F32, T, D, x, &error), &error);
    check(motley_tensor_create(context, MOTLEY_F32, T, D, y, &error), &error);
    fill(tokens, (size_t)T * (size_t)D, 1, (uint64_t)(10 + motley_context_rank(context)));
    check(motley_tensor_write(*x, tokens, &error), &error);
    free(tokens);
}

/* A step that all ranks begin together: *step seconds of the slowest, *experts of this rank's experts. */
static inline void time_step(motley_layer *layer, const motley_tensor *x, const int32_t *forced, motley_tensor *y,
                             int backward, double *step, double *experts)
{
    struct motley_error error = {0};
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = motley__seconds();
    check(motley_layer_forward(layer, x, forced, y, &error), &error);
    if (backward)
        check(motley_layer_backward(layer, x, y, &error), &error);
    double seconds = motley__seconds() - begin;
    *experts = expert_seconds(layer, backward);
    MPI_Allreduce(&seconds, step, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
}

#endif
