/* From the input of `motley layer` to the ranks: each expert to the ranks that store it or parts
 * of it, one at a time, each token to its rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdlib.h>

#include "base/collective.h"
#include "cli/layer_job.h"

enum { TAG = 1 };

MPI_Datatype motley__row_type(int columns)
{
    MPI_Datatype type;
    MPI_Type_contiguous(columns, MPI_FLOAT, &type);
    MPI_Type_commit(&type);
    return type;
}

static int by_number(const void *key, const void *expert)
{
    int a = *(const int *)key, b = *(const int *)expert;
    return (a > b) - (a < b);
}

int motley__layer_part(const struct motley__layer_job *job, int rank, enum motley_weight which, int expert,
                       int64_t *first, MPI_Datatype *part)
{
    const struct motley_plan_rank stored = motley_plan_rank(job->plan, rank);
    const int begin = stored.hidden_begin, width = stored.hidden_end - begin;
    int rows, columns, part_rows, part_columns;
    if (!stored.experts || !bsearch(&expert, stored.expert, (size_t)stored.experts, sizeof(int), by_number))
        return 0;
    if (which == MOTLEY_B2 && begin != 0)
        return 0;
    motley__weight_size(&job->shape, which, &rows, &columns);
    part_rows = which == MOTLEY_W1 || which == MOTLEY_W3 ? width : rows;
    part_columns = which == MOTLEY_W2 || which == MOTLEY_B1 ? width : columns;
    *first = part_rows == rows ? 0 : (int64_t)begin * columns;
    *first += part_columns == columns ? 0 : begin;
    MPI_Type_vector(part_rows, part_columns, columns, MPI_FLOAT, part);
    MPI_Type_commit(part);
    return 1;
}

/* count elements of at least 1, so that NULL always means that memory is out. */
static void *allocate(int64_t count, size_t size, int *status, struct motley_error *error)
{
    void *memory = calloc(count > 0 ? (size_t)count : 1, size);
    if (!memory && !*status)
        *status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %lld numbers", (long long)count);
    return memory;
}

static int read_floats(const struct motley__layer_job *job, const char *name, int64_t first, int64_t count,
                       float *values, struct motley_error *error)
{
    const struct motley__tensor_info *info = motley__safetensors_find(job->input, name);
    return motley__safetensors_read(job->input, info, first, count, values, error);
}

/* Parts of one expert's weight from rank 0 to the ranks that store them. */
static int send_parts(const struct motley__layer_job *job, enum motley_weight which, int expert, float *matrix,
                      struct motley_error *error)
{
    int64_t first;
    MPI_Datatype part;
    int status = 0;
    for (int r = 1; r < job->R && !status; r++) {
        if ((job->rank != 0 && job->rank != r) || !motley__layer_part(job, r, which, expert, &first, &part))
            continue;
        status = job->rank == 0
            ? motley__send(MPI_COMM_WORLD, job->time_limit, r, TAG, matrix + first, 1, part, error)
            : motley__receive(MPI_COMM_WORLD, job->time_limit, 0, TAG, matrix + first, 1, part, error);
        MPI_Type_free(&part);
    }
    return status;
}

/* One weight of all experts through `matrix`, with room for one expert. */
static int load_experts(struct motley__layer_job *job, enum motley_weight which, float *matrix,
                        struct motley__progress *progress, int *done, struct motley_error *error)
{
    int rows, columns, status = 0;
    motley__weight_size(&job->shape, which, &rows, &columns);
    int64_t size = (int64_t)rows * columns, first;
    MPI_Datatype part;
    for (int e = 0; e < job->shape.E; e++) {
        if (job->rank == 0 && !status)
            status = read_floats(job, motley__weight_name(which), e * size, size, matrix, error);
        int lost = send_parts(job, which, e, matrix, error);
        if (lost)
            return lost;
        if (motley__layer_part(job, job->rank, which, e, &first, &part)) {
            MPI_Type_free(&part);
            if (!status)
                status = motley_layer_set(job->layer, which, e, matrix, error);
        }
        motley__progress_show(progress, ++*done, "%s", motley__weight_name(which));
    }
    return status;
}

/* A weight that every rank has whole. */
static int load_everywhere(struct motley__layer_job *job, enum motley_weight which, float *matrix,
                           struct motley_error *error)
{
    int status = 0, rows, columns;
    motley__weight_size(&job->shape, which, &rows, &columns);
    MPI_Datatype row = motley__row_type(columns);
    if (job->rank == 0)
        status = read_floats(job, motley__weight_name(which), 0, (int64_t)rows * columns, matrix, error);
    int lost = motley__broadcast(MPI_COMM_WORLD, job->time_limit, 0, matrix, rows, row, error);
    MPI_Type_free(&row);
    status = lost ? lost : status;
    return status ? status : motley_layer_set(job->layer, which, 0, matrix, error);
}

/* Numbers of the largest matrix, and how many experts' matrices there are to load. */
static int64_t largest_weight(const struct motley__layer_job *job, int *matrices)
{
    int64_t largest = 1;
    *matrices = 0;
    for (int which = 0; which < MOTLEY__WEIGHTS; which++) {
        int rows, columns;
        motley__weight_size(&job->shape, (enum motley_weight)which, &rows, &columns);
        if (job->present[which] && (int64_t)rows * columns > largest)
            largest = (int64_t)rows * columns;
        if (job->present[which] && !motley__weight_is_everywhere((enum motley_weight)which))
            *matrices += job->shape.E;
    }
    return largest;
}

int motley__layer_load_weights(struct motley__layer_job *job, struct motley_error *error)
{
    int status = 0, done = 0, matrices;
    float *matrix = allocate(largest_weight(job, &matrices), sizeof *matrix, &status, error);
    status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
    if (status) {
        free(matrix);
        return status;
    }
    struct motley__progress progress;
    motley__progress_start(&progress, job->progress, "loading experts", matrices);
    for (int i = 0; i < MOTLEY__WEIGHTS; i++) {
        const enum motley_weight which = (enum motley_weight)i;
        if (!job->present[which])
            continue; /* a bias or a correction that is not given is zero, as it is created */
        int failed = motley__weight_is_everywhere(which) ? load_everywhere(job, which, matrix, error)
                                                         : load_experts(job, which, matrix, &progress, &done, error);
        status = status ? status : failed;
    }
    motley__progress_end(&progress);
    free(matrix);
    return motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
}

/* Rows of x or dy to their ranks. */
static int load_rows(struct motley__layer_job *job, const char *name, float *rows, motley_tensor *tensor,
                     struct motley_error *error)
{
    int status = 0, lost = 0, D = job->shape.D;
    MPI_Datatype row = motley__row_type(D);
    for (int r = job->R - 1; r >= 0 && !lost; r--) { /* rank 0's own last: they stay in `rows` */
        int64_t count = job->first[r + 1] - job->first[r];
        if (job->rank == 0 && !status)
            status = read_floats(job, name, job->first[r] * D, count * D, rows, error);
        if (job->rank == 0 && r != 0)
            lost = motley__send(MPI_COMM_WORLD, job->time_limit, r, TAG, rows, (int)count, row, error);
        if (job->rank == r && r != 0)
            lost = motley__receive(MPI_COMM_WORLD, job->time_limit, 0, TAG, rows, (int)count, row, error);
    }
    MPI_Type_free(&row);
    status = lost ? lost : status;
    return status ? status : motley_tensor_write(tensor, rows, error);
}

/* The forced experts of the tokens, to their ranks; `wide` and `narrow` have room for the longest part. */
static int load_forced(struct motley__layer_job *job, int64_t *wide, int32_t *narrow, struct motley_error *error)
{
    const struct motley__tensor_info *info = job->rank == 0 ? motley__safetensors_find(job->input, "forced") : NULL;
    int status = 0, lost = 0, K = job->shape.K;
    for (int r = job->R - 1; r >= 0 && !lost; r--) {
        int count = (int)(job->first[r + 1] - job->first[r]) * K;
        int32_t *target = job->rank == r ? job->forced : narrow;
        if (job->rank == 0 && !status)
            status = motley__safetensors_read_integers(job->input, info, job->first[r] * K, count, wide, error);
        for (int i = 0; job->rank == 0 && i < count; i++)
            target[i] = (int32_t)wide[i];
        if (job->rank == 0 && r != 0)
            lost = motley__send(MPI_COMM_WORLD, job->time_limit, r, TAG, narrow, count, MPI_INT32_T, error);
        if (job->rank == r && r != 0)
            lost = motley__receive(MPI_COMM_WORLD, job->time_limit, 0, TAG, job->forced, count, MPI_INT32_T, error);
    }
    return lost ? lost : status;
}

static int create_tensors(struct motley__layer_job *job, int64_t T, struct motley_error *error)
{
    int D = job->shape.D;
    int status = motley_tensor_create(job->context, job->shape.dtype, T, D, &job->x, error);
    if (!status)
        status = motley_tensor_create(job->context, job->shape.dtype, T, D, &job->y, error);
    if (!status && job->request.backward)
        status = motley_tensor_create(job->context, job->shape.dtype, T, D, &job->dy, error);
    if (!status && job->request.backward)
        status = motley_tensor_create(job->context, job->shape.dtype, T, D, &job->dx, error);
    return status;
}

int motley__layer_load_tokens(struct motley__layer_job *job, struct motley_error *error)
{
    int D = job->shape.D, K = job->shape.K, forced = job->request.gate == MOTLEY_GATE_FORCED;
    int64_t T = job->first[job->rank + 1] - job->first[job->rank], longest = T;
    for (int r = 0; r < job->R && job->rank == 0; r++)
        if (job->first[r + 1] - job->first[r] > longest)
            longest = job->first[r + 1] - job->first[r];

    int status = create_tensors(job, T, error);
    float *rows = allocate(longest * D, sizeof *rows, &status, error);
    int64_t *wide = allocate(forced ? longest * K : 0, sizeof *wide, &status, error);
    int32_t *narrow = allocate(forced ? longest * K : 0, sizeof *narrow, &status, error);
    if (forced)
        job->forced = allocate(T * K, sizeof *job->forced, &status, error);
    status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
    if (!status) {
        status = load_rows(job, "x", rows, job->x, error);
        if (job->request.backward) {
            int failed = load_rows(job, "dy", rows, job->dy, error);
            status = status ? status : failed;
        }
        if (forced) {
            int failed = load_forced(job, wide, narrow, error);
            status = status ? status : failed;
        }
        status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
    }
    free(narrow);
    free(wide);
    free(rows);
    return status;
}
