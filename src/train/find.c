/* Finding a checkpoint to go on from, or a model to use.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/collective.h"
#include "base/file.h"
#include "train/checkpoint.h"
#include "train/shelf.h"

int motley__checkpoint_prepare(MPI_Comm comm, double time_limit, const char *output, struct motley_error *error)
{
    int rank, status = 0;
    MPI_Comm_rank(comm, &rank);
    if (rank == 0)
        status = motley__directory_make(output, error);
    if (rank == 0 && !status)
        status = motley__shelf_tidy(output, error);
    return motley__agree_within(comm, time_limit, status, error);
}

void motley__found_checkpoint_clear(struct motley__found_checkpoint *found)
{
    free(found->path);
    free(found->config);
    free(found->trainer);
    free(found->plan);
    memset(found, 0, sizeof *found);
}

static int read_text(const char *directory, const char *name, char **text, struct motley_error *error)
{
    char *path;
    size_t bytes;
    int status = motley__format(&path, error, "%s/%s", directory, name);
    if (!status)
        status = motley__file_read(path, text, &bytes, error);
    free(path);
    return status;
}

/* Rank 0's string on every rank; NULL stays NULL. */
static int broadcast_text(MPI_Comm comm, double time_limit, int rank, char **text, struct motley_error *error)
{
    int bytes = *text ? (int)strlen(*text) + 1 : 0;
    int status = motley__broadcast(comm, time_limit, 0, &bytes, 1, MPI_INT, error);
    if (status || bytes == 0)
        return status;
    if (rank != 0)
        *text = malloc((size_t)bytes);
    if (!*text)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a text");
    status = motley__agree_within(comm, time_limit, status, error);
    return status ? status : motley__broadcast(comm, time_limit, 0, *text, bytes, MPI_CHAR, error);
}

static int share(MPI_Comm comm, double time_limit, int status, struct motley__found_checkpoint *found,
                 struct motley_error *error)
{
    int rank;
    MPI_Comm_rank(comm, &rank);
    char **texts[] = {&found->path, &found->config, &found->trainer, &found->plan};
    status = motley__agree_within(comm, time_limit, status, error);
    for (int i = 0; i < 4 && !status; i++)
        status = broadcast_text(comm, time_limit, rank, texts[i], error);
    if (status)
        motley__found_checkpoint_clear(found);
    return status;
}

/* Rank 0: the newest that passes the check. */
static int search(const char *output, char **path, int *damaged, struct motley_error *error)
{
    int64_t *steps;
    int count, status = motley__shelf_steps(output, &steps, &count, error);
    *damaged = 0;
    if (status)
        return status;
    for (int i = 0; i < count && !status && !*path; i++) {
        status = motley__shelf_path(output, steps[i], "", path, error);
        if (!status && motley__shelf_check(*path, NULL)) {
            free(*path);
            *path = NULL;
            ++*damaged;
        }
    }
    free(steps);
    return status;
}

int motley__checkpoint_newest(MPI_Comm comm, double time_limit, const char *output,
                              struct motley__found_checkpoint *found, int *damaged, struct motley_error *error)
{
    int rank, status = 0, passed_over = 0;
    MPI_Comm_rank(comm, &rank);
    memset(found, 0, sizeof *found);
    if (rank == 0) {
        status = search(output, &found->path, &passed_over, error);
        if (!status && found->path)
            status = read_text(found->path, "config.json", &found->config, error);
        if (!status && found->path)
            status = read_text(found->path, "trainer.json", &found->trainer, error);
        if (!status && found->path)
            status = read_text(found->path, "plan.json", &found->plan, error);
    }
    status = share(comm, time_limit, status, found, error);
    if (!status)
        status = motley__broadcast(comm, time_limit, 0, &passed_over, 1, MPI_INT, error);
    if (status)
        motley__found_checkpoint_clear(found);
    else
        *damaged = passed_over;
    return status;
}

/* Rank 0: the directory itself, or its newest checkpoint. */
static int search_model(const char *directory, char **path, struct motley_error *error)
{
    char *config;
    int damaged, status = motley__format(&config, error, "%s/config.json", directory);
    if (status)
        return status;
    int is_model = motley__shelf_exists(config);
    free(config);
    if (is_model)
        return motley__format(path, error, "%s", directory);
    if (!motley__shelf_exists(directory))
        return motley__fail(error, MOTLEY_E_IO, "%s: there is no such directory", directory);
    status = search(directory, path, &damaged, error);
    if (!status && !*path)
        status = motley__fail(error, MOTLEY_E_FORMAT,
                              "%s: neither a model (no config.json) nor a directory with a whole "
                              "checkpoint in it (%d damaged ones)",
                              directory, damaged);
    return status;
}

int motley__checkpoint_model(MPI_Comm comm, double time_limit, const char *directory,
                             struct motley__found_checkpoint *found, struct motley_error *error)
{
    int rank, status = 0;
    MPI_Comm_rank(comm, &rank);
    memset(found, 0, sizeof *found);
    if (rank == 0) {
        status = search_model(directory, &found->path, error);
        if (!status)
            status = read_text(found->path, "config.json", &found->config, error);
        if (!status)
            read_text(found->path, "plan.json", &found->plan, NULL); /* a model from elsewhere has none */
    }
    return share(comm, time_limit, status, found, error);
}
