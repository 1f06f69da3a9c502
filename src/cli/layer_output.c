/* From the ranks of `motley layer` to its output, part by part: rank 0 never holds more than the largest.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "base/collective.h"
#include "cli/layer_job.h"

enum { TAG = 2 };

struct output {
    struct motley__layer_job *job;
    struct motley__safetensors_writer *writer; /* rank 0; NULL once something failed there */
    float *numbers;                            /* room for the largest part */
    double *sums;                              /* rank 0, as many: a gradient that is summed over ranks */
    int32_t *indices;                          /* room for the routing of one rank */
    int status;                                /* the first failure of this rank */
    struct motley_error *error;
};

static const char *const gradient_name[MOTLEY__WEIGHTS] = {
    "dgate", "dw1", "dw2", "dw3", "db1", "db2", NULL, "dcos_proj", "dcos_bias", "dcos_temperature"};

static int64_t tokens_of(const struct motley__layer_job *job, int rank)
{
    return job->first[rank + 1] - job->first[rank];
}

static void put(struct output *output, const char *name, int64_t first, int64_t count, const void *values)
{
    if (!output->status)
        output->status = motley__safetensors_write(output->writer, name, first, count, values, output->error);
}

static int has_gradient(const struct motley__layer_job *job, int which)
{
    return job->present[which] && gradient_name[which];
}

/* The tensors of the output, in the order of the file. */
static int list_tensors(const struct motley__layer_job *job, struct motley__tensor_info *infos)
{
    const struct motley_layer_shape *shape = &job->shape;
    int64_t E = shape->E, D = shape->D, F = shape->F, K = shape->K;
    int count = 0;
    infos[count++] = (struct motley__tensor_info){"y", MOTLEY__F32, 2, {job->T, D}, 0, 0};
    infos[count++] = (struct motley__tensor_info){"indices", MOTLEY__I32, 2, {job->T, K}, 0, 0};
    infos[count++] = (struct motley__tensor_info){"weights", MOTLEY__F32, 2, {job->T, K}, 0, 0};
    if (!job->request.backward)
        return count;
    int64_t inputs = shape->gate == MOTLEY_GATE_COSINE ? shape->gate_width : D, P = shape->gate_width;
    const struct motley__tensor_info gradients[MOTLEY__WEIGHTS] = {
        [MOTLEY_GATE] = {"dgate", MOTLEY__F32, 2, {E, inputs}, 0, 0},
        [MOTLEY_W1] = {"dw1", MOTLEY__F32, 3, {E, F, D}, 0, 0},
        [MOTLEY_W2] = {"dw2", MOTLEY__F32, 3, {E, D, F}, 0, 0},  [MOTLEY_W3] = {"dw3", MOTLEY__F32, 3, {E, F, D}, 0, 0},
        [MOTLEY_B1] = {"db1", MOTLEY__F32, 2, {E, F}, 0, 0},     [MOTLEY_B2] = {"db2", MOTLEY__F32, 2, {E, D}, 0, 0},
        [MOTLEY_COS_PROJ] = {"dcos_proj", MOTLEY__F32, 2, {P, D}, 0, 0},
        [MOTLEY_COS_BIAS] = {"dcos_bias", MOTLEY__F32, 1, {P}, 0, 0},
        [MOTLEY_COS_TEMPERATURE] = {"dcos_temperature", MOTLEY__F32, 1, {1}, 0, 0},
    };
    infos[count++] = (struct motley__tensor_info){"dx", MOTLEY__F32, 2, {job->T, D}, 0, 0};
    for (int which = 0; which < MOTLEY__WEIGHTS; which++)
        if (has_gradient(job, which))
            infos[count++] = gradients[which];
    return count;
}

/* Numbers to rank 0, and there from rank r; nothing more once somebody was not heard. */
static void give(struct output *output, const void *numbers, int count, MPI_Datatype type)
{
    if (output->status != MOTLEY_E_COMM &&
        motley__send(MPI_COMM_WORLD, output->job->time_limit, 0, TAG, numbers, count, type, output->error))
        output->status = MOTLEY_E_COMM;
}

static void take(struct output *output, int r, void *numbers, int count, MPI_Datatype type)
{
    if (output->status != MOTLEY_E_COMM &&
        motley__receive(MPI_COMM_WORLD, output->job->time_limit, r, TAG, numbers, count, type, output->error))
        output->status = MOTLEY_E_COMM;
}

/* Rows of y or dx, rank by rank. */
static void gather_rows(struct output *output, const char *name, const motley_tensor *tensor)
{
    struct motley__layer_job *job = output->job;
    int D = job->shape.D;
    MPI_Datatype row = motley__row_type(D);
    if (!output->status)
        output->status = motley_tensor_read(tensor, output->numbers, output->error);
    if (job->rank != 0)
        give(output, output->numbers, (int)tokens_of(job, job->rank), row);
    for (int r = 0; r < job->R && job->rank == 0; r++) {
        if (r != 0)
            take(output, r, output->numbers, (int)tokens_of(job, r), row);
        put(output, name, job->first[r] * D, tokens_of(job, r) * D, output->numbers);
    }
    MPI_Type_free(&row);
}

/* indices and weights, rank by rank. */
static void gather_routing(struct output *output)
{
    struct motley__layer_job *job = output->job;
    int K = job->shape.K;
    if (!output->status)
        output->status = motley_layer_routing(job->layer, output->indices, output->numbers, output->error);
    if (job->rank != 0) {
        give(output, output->indices, (int)tokens_of(job, job->rank) * K, MPI_INT32_T);
        give(output, output->numbers, (int)tokens_of(job, job->rank) * K, MPI_FLOAT);
    }
    for (int r = 0; r < job->R && job->rank == 0; r++) {
        int64_t count = tokens_of(job, r) * K;
        if (r != 0) {
            take(output, r, output->indices, (int)count, MPI_INT32_T);
            take(output, r, output->numbers, (int)count, MPI_FLOAT);
        }
        put(output, "indices", job->first[r] * K, count, output->indices);
        put(output, "weights", job->first[r] * K, count, output->numbers);
    }
}

/* This rank's part of the gradient of one expert's weight, and on rank 0 those of all other ranks. */
static void gather_parts(struct output *output, enum motley_weight which, int expert)
{
    struct motley__layer_job *job = output->job;
    int64_t first;
    MPI_Datatype part;
    for (int r = 0; r < job->R; r++) {
        if ((job->rank != 0 && job->rank != r) || !motley__layer_part(job, r, which, expert, &first, &part))
            continue;
        if (job->rank == r && !output->status)
            output->status = motley_layer_get_gradient(job->layer, which, expert, output->numbers, output->error);
        if (job->rank == r && r != 0)
            give(output, output->numbers + first, 1, part);
        if (job->rank == 0 && r != 0)
            take(output, r, output->numbers + first, 1, part);
        MPI_Type_free(&part);
    }
}

/* The gradient of one weight, expert by expert, put together from its parts. */
static void gather_experts(struct output *output, enum motley_weight which)
{
    struct motley__layer_job *job = output->job;
    int rows, columns;
    motley__weight_size(&job->shape, which, &rows, &columns);
    int64_t size = (int64_t)rows * columns;
    for (int e = 0; e < job->shape.E; e++) {
        gather_parts(output, which, e);
        if (job->rank == 0)
            put(output, gradient_name[which], e * size, size, output->numbers);
    }
}

/* Of what every rank has, each has the gradient of its own tokens; summed in order of rank, in double, so that it
 * repeats. */
static void gather_everywhere(struct output *output, enum motley_weight which)
{
    struct motley__layer_job *job = output->job;
    int rows, columns;
    motley__weight_size(&job->shape, which, &rows, &columns);
    int64_t size = (int64_t)rows * columns;
    MPI_Datatype row = motley__row_type(columns);
    if (!output->status)
        output->status = motley_layer_get_gradient(job->layer, which, 0, output->numbers, output->error);
    if (job->rank != 0)
        give(output, output->numbers, rows, row);
    for (int r = 0; r < job->R && job->rank == 0; r++) {
        if (r != 0)
            take(output, r, output->numbers, rows, row);
        for (int64_t i = 0; i < size; i++)
            output->sums[i] = (r == 0 ? 0 : output->sums[i]) + output->numbers[i];
    }
    if (job->rank == 0) {
        for (int64_t i = 0; i < size; i++)
            output->numbers[i] = (float)output->sums[i];
        put(output, gradient_name[which], 0, size, output->numbers);
    }
    MPI_Type_free(&row);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void allocate(struct output *output)
{
    const struct motley__layer_job *job = output->job;
    const struct motley_layer_shape *shape = &job->shape;
    int64_t longest = 1, largest = 1, sums = 1;
    for (int r = 0; r < job->R; r++)
        longest = larger(longest, tokens_of(job, r));
    for (int i = 0; i < MOTLEY__WEIGHTS && job->request.backward; i++) {
        int rows, columns;
        motley__weight_size(shape, (enum motley_weight)i, &rows, &columns);
        if (has_gradient(job, i))
            largest = larger(largest, (int64_t)rows * columns);
        if (has_gradient(job, i) && motley__weight_is_everywhere((enum motley_weight)i))
            sums = larger(sums, (int64_t)rows * columns);
    }
    int64_t numbers = larger(longest * larger(shape->D, shape->K), largest);
    output->numbers = malloc((size_t)numbers * sizeof *output->numbers);
    output->indices = malloc((size_t)(longest * shape->K) * sizeof *output->indices);
    output->sums = calloc((size_t)sums, sizeof *output->sums);
    if (!output->numbers || !output->indices || !output->sums)
        output->status = motley__fail(output->error, MOTLEY_E_MEMORY,
                                      "out of host memory for %lld numbers of the output", (long long)numbers);
}

static void gather_all(struct output *output)
{
    struct motley__layer_job *job = output->job;
    gather_rows(output, "y", job->y);
    gather_routing(output);
    if (!job->request.backward)
        return;
    gather_rows(output, "dx", job->dx);
    for (int i = 0; i < MOTLEY__WEIGHTS; i++) {
        const enum motley_weight which = (enum motley_weight)i;
        if (has_gradient(job, i))
            (motley__weight_is_everywhere(which) ? gather_everywhere : gather_experts)(output, which);
    }
}

int motley__layer_output_write(struct motley__layer_job *job, struct motley_error *error)
{
    struct output output = {.job = job, .error = error};
    struct motley__tensor_info infos[4 + MOTLEY__WEIGHTS];
    allocate(&output);
    if (!output.status && job->rank == 0)
        output.status = motley__safetensors_create(job->output_path, infos, list_tensors(job, infos), &output.writer,
                                                   error);
    int status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, output.status, error);
    if (!status) {
        gather_all(&output);
        status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, output.status, error);
    }
    if (!status && job->rank == 0)
        status = motley__safetensors_commit(output.writer, error);
    else
        motley__safetensors_discard(output.writer);
    free(output.sums);
    free(output.indices);
    free(output.numbers);
    return motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
}
