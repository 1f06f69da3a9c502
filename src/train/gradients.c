/* Gradients between ranks: replicated weights' summed over all ranks, and the norm of all of them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "base/collective.h"
#include "base/random.h"
#include "base/wait.h"
#include "device/program.h"
#include "device/queue.h"
#include "train/gradients.h"
#include "train/segment.h"

enum {
    LANES = 4096,               /* of the sum of squares */
    GROUP = 64,                 /* work-items of a group */
    MESSAGE = 16 * 1024 * 1024  /* floats of one MPI_Allreduce */
};

/* Has every rank a part of its gradient? */
static int is_summed(const struct motley__parameter *parameter)
{
    return !parameter->placement && !parameter->counted;
}

static size_t canonical_floats(const struct motley__parameter *parameter)
{
    return (size_t)parameter->dw->O * (size_t)parameter->dw->I;
}

/* The buffer that all replicated gradients are views of, or NULL. */
static struct motley__buffer *common_parent(const struct motley__parameter *parameters, int count)
{
    struct motley__buffer *parent = NULL;
    for (int i = 0; i < count; i++) {
        if (!is_summed(&parameters[i]))
            continue;
        const struct motley__matrix *dw = parameters[i].dw;
        struct motley__buffer *here = dw->segments == 1 ? dw->segment[0]->parent : NULL;
        if (!here || (parent && here != parent))
            return NULL;
        parent = here;
    }
    return parent;
}

/* A number that is equal on two ranks when, and only when, their arenas hold the same floats at the same places. */
static uint64_t layout_hash(const struct motley__device *device, const struct motley__parameter *parameters, int count,
                            const struct motley__buffer *arena)
{
    uint64_t facts[2] = {device->align_bytes, arena->bytes}, hash = MOTLEY__HASH_START;
    hash = motley__hash_bytes(hash, facts, sizeof facts);
    for (int i = 0; i < count; i++) {
        if (!is_summed(&parameters[i]))
            continue;
        const struct motley__matrix *dw = parameters[i].dw;
        int shape[3] = {dw->O, dw->I, dw->panel};
        hash = motley__hash_bytes(hash, shape, sizeof shape);
    }
    return hash;
}

static int choose_arena(struct motley__gradients *gradients, struct motley_error *error)
{
    struct motley__buffer *arena = common_parent(gradients->parameter, gradients->count);
    uint64_t hash = arena ? layout_hash(gradients->device, gradients->parameter, gradients->count, arena) : 0;
    uint64_t bounds[2] = {hash, ~hash}; /* the least and, inverted, the greatest */
    int status = motley__reduce(gradients->comm, gradients->time_limit, bounds, 2, MPI_UINT64_T, MPI_MIN, error);
    if (!status && arena && bounds[0] == ~bounds[1])
        gradients->arena = arena;
    return status;
}

int motley__gradients_create(MPI_Comm comm, double time_limit, struct motley__device *device,
                             const struct motley__parameter *parameters, int count,
                             struct motley__gradients **gradients, struct motley_error *error)
{
    struct motley__gradients *made = calloc(1, sizeof *made);
    int status = made ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the gradients");
    status = motley__agree_within(comm, time_limit, status, error);
    if (status) {
        free(made);
        return status;
    }
    *made = (struct motley__gradients){.comm = comm, .time_limit = time_limit, .device = device,
                                       .parameter = parameters, .count = count};
    MPI_Comm_rank(comm, &made->rank);
    MPI_Comm_size(comm, &made->size);
    status = choose_arena(made, error);
    if (made->arena) {
        made->floats = made->arena->bytes / sizeof(float);
    } else {
        for (int i = 0; i < count; i++)
            made->floats += is_summed(&parameters[i]) ? canonical_floats(&parameters[i]) : 0;
    }
    if (!status && made->size > 1 && !(made->arena && made->arena->host)) {
        made->host = malloc((made->floats + 1) * sizeof(float));
        if (!made->host)
            status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu gradients", made->floats);
    }
    if (!status)
        status = motley__buffer_create(device, LANES * sizeof(float), &made->sums, error);
    status = motley__agree_within(comm, time_limit, status, error);
    if (status) {
        motley__gradients_destroy(made);
        return status;
    }
    *gradients = made;
    return 0;
}

void motley__gradients_destroy(struct motley__gradients *gradients)
{
    if (!gradients)
        return;
    motley__buffer_destroy(gradients->sums);
    free(gradients->host);
    free(gradients);
}

/* Replicated gradients, one after another in canonical form, to host (or from it). */
static int canonical(struct motley__gradients *gradients, int store, struct motley_error *error)
{
    float *at = gradients->host;
    int status = 0;
    for (int i = 0; i < gradients->count && !status; i++) {
        const struct motley__parameter *parameter = &gradients->parameter[i];
        if (!is_summed(parameter))
            continue;
        status =
            store ? motley__matrix_set(parameter->dw, 0, at, error) : motley__matrix_get(parameter->dw, 0, at, error);
        at += canonical_floats(parameter);
    }
    return status;
}

static int allreduce(const struct motley__gradients *gradients, float *values, size_t floats,
                     struct motley_error *error)
{
    int status = 0;
    for (size_t at = 0; at < floats && !status; at += MESSAGE) {
        int count = floats - at < MESSAGE ? (int)(floats - at) : MESSAGE;
        MPI_Request request;
        status = motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, values + at, count, MPI_FLOAT, MPI_SUM,
                                                        gradients->comm, &request), "MPI_Iallreduce");
        if (!status)
            status = motley__wait(&request, gradients->time_limit, "gradients", error);
    }
    return status;
}

int motley__gradients_sum(struct motley__gradients *gradients, struct motley_error *error)
{
    struct motley__buffer *arena = gradients->arena;
    size_t bytes = gradients->floats * sizeof(float);
    if (gradients->size == 1 || gradients->floats == 0)
        return 0;
    int status;
    if (arena && arena->host)
        status = motley__queue_wait(gradients->device, error);
    else if (arena)
        status = motley__buffer_read(arena, 0, gradients->host, bytes, error);
    else
        status = canonical(gradients, 0, error);
    if (!status)
        status = allreduce(gradients, gradients->host ? gradients->host : arena->host, gradients->floats, error);
    if (!status && arena && !arena->host)
        status = motley__buffer_write(arena, 0, gradients->host, bytes, error);
    if (!status && !arena)
        status = canonical(gradients, 1, error);
    return status;
}

/* The sum of squares of this rank's replicated (experts 0) or own experts' (1) gradients. */
static int squares(struct motley__gradients *gradients, cl_kernel kernel, int experts, double *sum,
                   struct motley_error *error)
{
    const struct motley__range range = {{LANES}, {GROUP}};
    float lanes[LANES];
    int accumulate = 0, status = 0;
    for (int i = 0; i < gradients->count && !status; i++) {
        const struct motley__parameter *parameter = &gradients->parameter[i];
        if (parameter->counted || (parameter->placement != NULL) != experts)
            continue;
        for (int s = 0; s < parameter->dw->segments && !status; s++) {
            int n = (int)motley__segment_floats(parameter->dw, s);
            if (n == 0)
                continue;
            status = motley__launch(gradients->device, kernel, range, error,
                                    MOTLEY__VALUE(n), MOTLEY__VALUE(accumulate),
                                    MOTLEY__BUFFER(parameter->dw->segment[s]), MOTLEY__BUFFER(gradients->sums));
            accumulate = 1;
        }
    }
    *sum = 0;
    if (!status && accumulate)
        status = motley__buffer_read(gradients->sums, 0, lanes, sizeof lanes, error);
    for (int lane = 0; lane < LANES && accumulate && !status; lane++)
        *sum += lanes[lane];
    return status;
}

int motley__gradients_norm(struct motley__gradients *gradients, double *norm, struct motley_error *error)
{
    double experts = 0, replicated = 0, sum = 0;
    cl_kernel kernel;
    int status = motley__kernel(gradients->device, "squares.cl", "", "squares", &kernel, error);
    if (!status)
        status = squares(gradients, kernel, 1, &experts, error);
    if (!status && gradients->rank == 0)
        status = squares(gradients, kernel, 0, &replicated, error);
    if (status)
        return status;
    experts += replicated;
    MPI_Request request;
    status = motley__fail_mpi(error, MPI_Ireduce(&experts, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, gradients->comm, &request),
                              "MPI_Ireduce");
    if (!status)
        status = motley__wait(&request, gradients->time_limit, "the gradients' norm", error);
    if (!status)
        status = motley__fail_mpi(error, MPI_Ibcast(&sum, 1, MPI_DOUBLE, 0, gradients->comm, &request), "MPI_Ibcast");
    if (!status)
        status = motley__wait(&request, gradients->time_limit, "the gradients' norm", error);
    if (!status)
        *norm = sqrt(sum);
    return status;
}
