/* A model's matrices to and from one safetensors file, whatever ranks hold them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/collective.h"
#include "base/file.h"
#include "model/safetensors.h"
#include "train/tensors.h"

enum { TAG = 7301 };

/* One pass over a file.  A rank that fails keeps taking part in the messages (its failure is agreed at the end), so
 * `local` is what went wrong here and the walk itself only ends early when MPI fails. */
struct pass {
    MPI_Comm comm;
    double time_limit;
    int rank;
    struct motley__safetensors *file;               /* rank 0, loading */
    struct motley__safetensors_writer *writer;      /* rank 0, saving */
    float *values, *part;                           /* one canonical matrix, and a part of one; owned */
    struct motley_error *error;
    int local;                                      /* first failure of this rank, 0: none */
};

static struct motley__matrix *matrix_of(const struct motley__tensor_set *set,
                                        const struct motley__parameter *parameters, int i)
{
    return set->matrix ? set->matrix[i] : parameters[i].w;
}

static int items_of(const struct motley__parameter *parameter)
{
    return parameter->placement ? parameter->placement->E : 1;
}

/* How many of its matrices a set has: none of a moment where there is none. */
static int items_in(const struct motley__tensor_set *set, const struct motley__parameter *parameters, int i)
{
    return matrix_of(set, parameters, i) ? items_of(&parameters[i]) : 0;
}

static int floats_of(const struct motley__parameter *parameter)
{
    return parameter->O * parameter->I;
}

/* The one %d of an expert's name replaced by its number; *name owned by the caller. */
static int name_of(const struct motley__parameter *parameter, int expert, const char *suffix, char **name,
                   struct motley_error *error)
{
    const char *place = parameter->placement ? strstr(parameter->name, "%d") : NULL;
    if (!place)
        return motley__format(name, error, "%s%s", parameter->name, suffix);
    return motley__format(name, error, "%.*s%d%s%s", (int)(place - parameter->name), parameter->name, expert, place + 2,
                          suffix);
}

static struct motley__tensor_info describe(const struct motley__parameter *parameter, const char *name)
{
    struct motley__tensor_info info = {.name = name, .dtype = MOTLEY__F32, .dims = parameter->dims};
    info.shape[0] = parameter->dims == 1 ? parameter->I : parameter->O;
    info.shape[1] = parameter->dims == 1 ? 0 : parameter->I;
    return info;
}

/* All tensors of the sets in order; *infos and the names in it owned by the caller. */
static int list(const struct motley__parameter *parameters, int count, const struct motley__tensor_set *sets,
                int set_count, struct motley__tensor_info **infos, int *info_count, struct motley_error *error)
{
    int total = 0, status = 0;
    for (int i = 0; i < count; i++)
        total += items_of(&parameters[i]) * set_count;
    struct motley__tensor_info *made = calloc((size_t)total + 1, sizeof *made);
    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a list of %d tensors", total);
    int n = 0;
    for (int s = 0; s < set_count; s++)
        for (int i = 0; i < count; i++)
            for (int e = 0; e < items_in(&sets[s], parameters, i) && !status; e++) {
                char *name = NULL;
                status = name_of(&parameters[i], e, sets[s].suffix, &name, error);
                made[n++] = describe(&parameters[i], name);
            }
    *infos = made;
    *info_count = n;
    return status;
}

static void list_free(struct motley__tensor_info *infos, int count)
{
    for (int i = 0; i < count; i++)
        free((char *)infos[i].name);
    free(infos);
}

static int begin(MPI_Comm comm, double time_limit, const struct motley__parameter *parameters, int count,
                 struct pass *pass, struct motley_error *error)
{
    size_t most = 1;
    for (int i = 0; i < count; i++)
        if ((size_t)floats_of(&parameters[i]) > most)
            most = (size_t)floats_of(&parameters[i]);
    *pass = (struct pass){.comm = comm, .time_limit = time_limit, .error = error, .values = calloc(most, sizeof(float)),
                          .part = calloc(most, sizeof(float))};
    MPI_Comm_rank(comm, &pass->rank);
    if (!pass->values || !pass->part)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a matrix of %zu numbers", most);
    return 0;
}

static int send(struct pass *pass, const float *values, int n, int to)
{
    return motley__send(pass->comm, pass->time_limit, to, TAG, values, n, MPI_FLOAT, pass->error);
}

static int receive(struct pass *pass, float *values, int n, int from)
{
    return motley__receive(pass->comm, pass->time_limit, from, TAG, values, n, MPI_FLOAT, pass->error);
}

/* Rank 0's numbers on every rank. */
static int share(struct pass *pass, int n)
{
    return motley__broadcast(pass->comm, pass->time_limit, 0, pass->values, n, MPI_FLOAT, pass->error);
}

/* What rank r holds of an expert: its place there (-1: nothing) and its part. */
static int held(const struct motley__parameter *parameter, int expert, int r, struct motley__part_shape *part)
{
    const struct motley__holding *holding = &parameter->placement->rank[r];
    *part = motley__parameter_part(parameter, holding);
    if (parameter->hidden == MOTLEY__HIDDEN_NONE && holding->begin > 0)
        return -1;
    return motley__holding_find(holding, expert);
}

/* One expert's matrix from those who hold its parts into rank 0's values. */
static int collect(struct pass *pass, const struct motley__parameter *parameter, struct motley__matrix *matrix,
                   int expert)
{
    int status = 0;
    for (int r = 0; r < parameter->placement->R && !status; r++) {
        struct motley__part_shape part;
        const int local = held(parameter, expert, r, &part);
        if (local < 0 || (pass->rank != 0 && pass->rank != r))
            continue;
        if (pass->rank == r && !pass->local)
            pass->local = motley__matrix_get(matrix, local, pass->part, pass->error);
        if (r != 0)
            status = pass->rank == 0 ? receive(pass, pass->part, part.O * part.I, r)
                                     : send(pass, pass->part, part.O * part.I, 0);
        if (pass->rank == 0)
            motley__part_paste(&part, parameter->I, pass->part, pass->values);
    }
    return status;
}

/* The same the other way. */
static int deal(struct pass *pass, const struct motley__parameter *parameter, struct motley__matrix *matrix, int expert)
{
    int status = 0;
    for (int r = 0; r < parameter->placement->R && !status; r++) {
        struct motley__part_shape part;
        const int local = held(parameter, expert, r, &part);
        if (local < 0 || (pass->rank != 0 && pass->rank != r))
            continue;
        if (pass->rank == 0)
            motley__part_cut(&part, parameter->I, pass->values, pass->part);
        if (r != 0)
            status = pass->rank == 0 ? send(pass, pass->part, part.O * part.I, r)
                                     : receive(pass, pass->part, part.O * part.I, 0);
        if (pass->rank == r && !pass->local && !status)
            pass->local = motley__matrix_set(matrix, local, pass->part, pass->error);
    }
    return status;
}

/* One matrix to the file; all ranks are given rank 0's copy of a replicated one. */
static int save_one(struct pass *pass, const struct motley__parameter *parameter, const struct motley__tensor_set *set,
                    struct motley__matrix *matrix, int expert)
{
    const int n = floats_of(parameter);
    char *name = NULL;
    int status = 0;
    if (parameter->placement) {
        status = collect(pass, parameter, matrix, expert);
    } else {
        if (pass->rank == 0 && !pass->local)
            pass->local = motley__matrix_get(matrix, 0, pass->values, pass->error);
        status = share(pass, n);
        if (!status && pass->rank != 0 && !pass->local)
            pass->local = motley__matrix_set(matrix, 0, pass->values, pass->error);
    }
    if (status || pass->rank != 0 || pass->local)
        return status;
    pass->local = name_of(parameter, expert, set->suffix, &name, pass->error);
    if (!pass->local)
        pass->local = motley__safetensors_write(pass->writer, name, 0, n, pass->values, pass->error);
    free(name);
    return 0;
}

int motley__tensors_save(MPI_Comm comm, double time_limit, const char *path,
                         const struct motley__parameter *parameters, int count,
                         const struct motley__tensor_set *sets, int set_count, struct motley_error *error)
{
    struct pass pass;
    int status = begin(comm, time_limit, parameters, count, &pass, error), infos_count = 0;
    struct motley__tensor_info *infos = NULL;
    if (!status && pass.rank == 0)
        status = list(parameters, count, sets, set_count, &infos, &infos_count, error);
    if (!status && pass.rank == 0)
        status = motley__safetensors_create(path, infos, infos_count, &pass.writer, error);
    status = motley__agree_within(comm, time_limit, status, error);
    for (int s = 0; s < set_count && !status; s++)
        for (int i = 0; i < count && !status; i++)
            for (int e = 0; e < items_in(&sets[s], parameters, i) && !status; e++)
                status = save_one(&pass, &parameters[i], &sets[s], matrix_of(&sets[s], parameters, i), e);
    if (!status) {
        pass.local = motley__agree_within(comm, time_limit, pass.local, error);
        status = pass.local;
        if (!status && pass.rank == 0) {
            status = motley__safetensors_commit(pass.writer, error);
            pass.writer = NULL; /* gone either way */
        }
        if (!pass.local)
            status = motley__agree_within(comm, time_limit, status, error);
    }
    motley__safetensors_discard(pass.writer);
    list_free(infos, infos_count);
    free(pass.part);
    free(pass.values);
    return status;
}

/* Rank 0: one tensor into pass->values. */
static int read_one(struct pass *pass, const struct motley__parameter *parameter, const struct motley__tensor_set *set,
                    int expert)
{
    char *name = NULL;
    int n = floats_of(parameter);
    const struct motley__tensor_info *info;
    int status = name_of(parameter, expert, set->suffix, &name, pass->error);
    if (!status) {
        struct motley__tensor_info expected = describe(parameter, name);
        status = motley__safetensors_require(pass->file, name, 1, expected.dims, expected.shape, &info, pass->error);
    }
    if (!status)
        status = motley__safetensors_read(pass->file, info, 0, n, pass->values, pass->error);
    for (int i = 0; i < n && !status; i++)
        if (!isfinite(pass->values[i]))
            status = motley__fail(pass->error, MOTLEY_E_NONFINITE, "%s: tensor \"%s\": element %d is %g, not a finite "
                                  "number", motley__safetensors_path(pass->file), name, i, pass->values[i]);
    free(name);
    return status;
}

/* One matrix from the file to those who hold its parts, or to all. */
static int load_one(struct pass *pass, const struct motley__parameter *parameter, const struct motley__tensor_set *set,
                    struct motley__matrix *matrix, int expert)
{
    if (pass->rank == 0 && !pass->local)
        pass->local = read_one(pass, parameter, set, expert);
    if (parameter->placement)
        return deal(pass, parameter, matrix, expert);
    int status = share(pass, floats_of(parameter));
    if (!status && !pass->local)
        pass->local = motley__matrix_set(matrix, 0, pass->values, pass->error);
    return status;
}

int motley__tensors_load(MPI_Comm comm, double time_limit, const char *path,
                         const struct motley__parameter *parameters, int count,
                         const struct motley__tensor_set *sets, int set_count, struct motley_error *error)
{
    struct pass pass;
    int status = begin(comm, time_limit, parameters, count, &pass, error);
    if (!status && pass.rank == 0)
        status = motley__safetensors_open(path, &pass.file, error);
    status = motley__agree_within(comm, time_limit, status, error);
    for (int s = 0; s < set_count && !status; s++)
        for (int i = 0; i < count && !status; i++)
            for (int e = 0; e < items_in(&sets[s], parameters, i) && !status; e++)
                status = load_one(&pass, &parameters[i], &sets[s], matrix_of(&sets[s], parameters, i), e);
    if (!status)
        status = motley__agree_within(comm, time_limit, pass.local, error);
    motley__safetensors_close(pass.file);
    free(pass.part);
    free(pass.values);
    return status;
}
