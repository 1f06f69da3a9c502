/* A model's matrices to and from one safetensors file, whatever ranks hold them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/safetensors.h"
#include "train/tensors.h"

enum { TAG = 7301 };

/* One pass over a file.  A rank that fails keeps taking part in the messages (its failure is agreed at the end), so
 * `local` is what went wrong here and the walk itself only ends early when MPI fails. */
struct pass {
    MPI_Comm comm;
    int rank;
    struct motley__safetensors *file;               /* rank 0, loading */
    struct motley__safetensors_writer *writer;      /* rank 0, saving */
    float *values;                                  /* one canonical matrix; owned */
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
    return parameter->sharded ? parameter->experts : 1;
}

static int floats_of(const struct motley__parameter *parameter)
{
    return parameter->w->O * parameter->w->I;
}

/* The one %d of an expert's name replaced by its number; *name owned by the caller. */
static int name_of(const struct motley__parameter *parameter, int expert, const char *suffix, char **name,
                   struct motley_error *error)
{
    const char *place = parameter->sharded ? strstr(parameter->name, "%d") : NULL;
    if (!place)
        return motley__format(name, error, "%s%s", parameter->name, suffix);
    return motley__format(name, error, "%.*s%d%s%s", (int)(place - parameter->name), parameter->name, expert, place + 2,
                          suffix);
}

/* The place of a global expert among this rank's. */
static int local_index(const struct motley__parameter *parameter, int expert)
{
    if (!parameter->sharded)
        return 0;
    for (int e = 0; e < parameter->w->E; e++)
        if (parameter->expert[e] == expert)
            return e;
    return -1;
}

static struct motley__tensor_info describe(const struct motley__parameter *parameter, const char *name)
{
    struct motley__tensor_info info = {.name = name, .dtype = MOTLEY__F32, .dims = parameter->dims};
    info.shape[0] = parameter->dims == 1 ? parameter->w->I : parameter->w->O;
    info.shape[1] = parameter->dims == 1 ? 0 : parameter->w->I;
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
            for (int e = 0; e < items_of(&parameters[i]) && !status; e++) {
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

static int begin(MPI_Comm comm, const struct motley__parameter *parameters, int count, struct pass *pass,
                 struct motley_error *error)
{
    size_t most = 1;
    for (int i = 0; i < count; i++)
        if ((size_t)floats_of(&parameters[i]) > most)
            most = (size_t)floats_of(&parameters[i]);
    *pass = (struct pass){.comm = comm, .error = error, .values = calloc(most, sizeof(float))};
    MPI_Comm_rank(comm, &pass->rank);
    if (!pass->values)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a matrix of %zu numbers", most);
    return 0;
}

static int mpi(struct pass *pass, int status, const char *call)
{
    return motley__fail_mpi(pass->error, status, call);
}

/* One matrix from its owner to the file. */
static int save_one(struct pass *pass, const struct motley__parameter *parameter, const struct motley__tensor_set *set,
                    struct motley__matrix *matrix, int expert)
{
    int n = floats_of(parameter), owner = parameter->sharded ? parameter->owner[expert] : 0, status = 0;
    char *name = NULL;
    if (pass->rank == owner && !pass->local)
        pass->local = motley__matrix_get(matrix, local_index(parameter, expert), pass->values, pass->error);
    if (!parameter->sharded)
        status = mpi(pass, MPI_Bcast(pass->values, n, MPI_FLOAT, 0, pass->comm), "MPI_Bcast");
    else if (owner != 0 && pass->rank == owner)
        status = mpi(pass, MPI_Send(pass->values, n, MPI_FLOAT, 0, TAG, pass->comm), "MPI_Send");
    else if (owner != 0 && pass->rank == 0)
        status = mpi(pass, MPI_Recv(pass->values, n, MPI_FLOAT, owner, TAG, pass->comm, MPI_STATUS_IGNORE), "MPI_Recv");
    if (!status && !parameter->sharded && pass->rank != 0 && !pass->local)
        pass->local = motley__matrix_set(matrix, 0, pass->values, pass->error);
    if (status || pass->rank != 0 || pass->local)
        return status;
    pass->local = name_of(parameter, expert, set->suffix, &name, pass->error);
    if (!pass->local)
        pass->local = motley__safetensors_write(pass->writer, name, 0, n, pass->values, pass->error);
    free(name);
    return 0;
}

int motley__tensors_save(MPI_Comm comm, const char *path, const struct motley__parameter *parameters, int count,
                         const struct motley__tensor_set *sets, int set_count, struct motley_error *error)
{
    struct pass pass;
    int status = begin(comm, parameters, count, &pass, error), infos_count = 0;
    struct motley__tensor_info *infos = NULL;
    if (!status && pass.rank == 0)
        status = list(parameters, count, sets, set_count, &infos, &infos_count, error);
    if (!status && pass.rank == 0)
        status = motley__safetensors_create(path, infos, infos_count, &pass.writer, error);
    status = motley__agree(comm, status, error);
    for (int s = 0; s < set_count && !status; s++)
        for (int i = 0; i < count && !status; i++)
            for (int e = 0; e < items_of(&parameters[i]) && !status; e++)
                status = save_one(&pass, &parameters[i], &sets[s], matrix_of(&sets[s], parameters, i), e);
    if (!status) {
        pass.local = motley__agree(comm, pass.local, error);
        status = pass.local;
        if (!status && pass.rank == 0) {
            status = motley__safetensors_commit(pass.writer, error);
            pass.writer = NULL; /* gone either way */
        }
        if (!pass.local)
            status = motley__agree(comm, status, error);
    }
    motley__safetensors_discard(pass.writer);
    list_free(infos, infos_count);
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

/* One matrix from the file to its owner, or to all. */
static int load_one(struct pass *pass, const struct motley__parameter *parameter, const struct motley__tensor_set *set,
                    struct motley__matrix *matrix, int expert)
{
    int n = floats_of(parameter), owner = parameter->sharded ? parameter->owner[expert] : 0, status = 0;
    if (pass->rank == 0 && !pass->local)
        pass->local = read_one(pass, parameter, set, expert);
    if (!parameter->sharded)
        status = mpi(pass, MPI_Bcast(pass->values, n, MPI_FLOAT, 0, pass->comm), "MPI_Bcast");
    else if (owner != 0 && pass->rank == 0)
        status = mpi(pass, MPI_Send(pass->values, n, MPI_FLOAT, owner, TAG, pass->comm), "MPI_Send");
    else if (owner != 0 && pass->rank == owner)
        status = mpi(pass, MPI_Recv(pass->values, n, MPI_FLOAT, 0, TAG, pass->comm, MPI_STATUS_IGNORE), "MPI_Recv");
    if (!status && !pass->local && (!parameter->sharded || pass->rank == owner))
        pass->local = motley__matrix_set(matrix, local_index(parameter, expert), pass->values, pass->error);
    return status;
}

int motley__tensors_load(MPI_Comm comm, const char *path, const struct motley__parameter *parameters, int count,
                         const struct motley__tensor_set *sets, int set_count, struct motley_error *error)
{
    struct pass pass;
    int status = begin(comm, parameters, count, &pass, error);
    if (!status && pass.rank == 0)
        status = motley__safetensors_open(path, &pass.file, error);
    status = motley__agree(comm, status, error);
    for (int s = 0; s < set_count && !status; s++)
        for (int i = 0; i < count && !status; i++)
            for (int e = 0; e < items_of(&parameters[i]) && !status; e++)
                status = load_one(&pass, &parameters[i], &sets[s], matrix_of(&sets[s], parameters, i), e);
    if (!status)
        status = motley__agree(comm, pass.local, error);
    motley__safetensors_close(pass.file);
    free(pass.values);
    return status;
}
