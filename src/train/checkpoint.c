/* Checkpoints on disk, written and read: whole or not there.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/checkpoint.h"
#include "train/shelf.h"

enum { KEPT = 2 }; /* checkpoints */

static int text_file(const char *directory, const char *name, const char *text, struct motley_error *error)
{
    char *path;
    int status = motley__format(&path, error, "%s/%s", directory, name);
    if (!status)
        status = motley__file_write(path, text, strlen(text), error);
    free(path);
    return status;
}

static int rename_directory(const char *from, const char *to, struct motley_error *error)
{
    if (!rename(from, to))
        return 0;
    return motley__fail(error, MOTLEY_E_IO, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
}

/* Take away a checkpoint that has its name: first the name, then the files. */
static int take_away(const char *path, struct motley_error *error)
{
    char *away;
    int status = motley__format(&away, error, "%s" MOTLEY__UNFINISHED, path);
    if (!status)
        status = motley__directory_remove(away, error);
    if (!status)
        status = rename_directory(path, away, error);
    if (!status)
        status = motley__directory_remove(away, error);
    free(away);
    return status;
}

/* Rank 0, all files are in `temporary`: give it its name, then drop the old ones.  Only steps up to this one are
 * counted: what is newer is not whole, or the run would have gone on from there. */
static int publish(const char *output, const char *temporary, const char *path, int64_t step,
                   struct motley_error *error)
{
    int64_t *steps = NULL;
    int count = 0, kept = 0;
    int status = motley__directory_sync(temporary, error);
    if (!status && motley__shelf_exists(path)) /* not whole: written again */
        status = motley__directory_remove(path, error);
    if (!status)
        status = rename_directory(temporary, path, error);
    if (!status)
        status = motley__directory_sync(output, error);
    if (!status)
        status = motley__shelf_steps(output, &steps, &count, error);
    for (int i = 0; i < count && !status; i++) {
        char *old = NULL;
        if (steps[i] > step || ++kept <= KEPT)
            continue;
        status = motley__shelf_path(output, steps[i], "", &old, error);
        if (!status)
            status = take_away(old, error);
        free(old);
    }
    free(steps);
    return status;
}

static int save_tensors(MPI_Comm comm, double time_limit, const char *temporary,
                        const struct motley__checkpoint *checkpoint, struct motley_error *error)
{
    const struct motley__tensor_set weights = {"", checkpoint->adamw->master};
    const struct motley__tensor_set moments[2] = {{".exp_avg", checkpoint->adamw->m},
                                                  {".exp_avg_sq", checkpoint->adamw->v}};
    char *model = NULL, *optimizer = NULL;
    int status = motley__format(&model, error, "%s/model.safetensors", temporary);
    if (!status)
        status = motley__format(&optimizer, error, "%s/optimizer.safetensors", temporary);
    status = motley__agree_within(comm, time_limit, status, error);
    if (!status)
        status = motley__tensors_save(comm, time_limit, model, checkpoint->parameter, checkpoint->count, &weights, 1,
                                      error);
    if (!status)
        status = motley__tensors_save(comm, time_limit, optimizer, checkpoint->parameter, checkpoint->count, moments,
                                      2, error);
    if (!status) /* all ranks have rank 0's masters of replicated weights now */
        status = motley__agree_within(comm, time_limit, motley__adamw_round(checkpoint->adamw, error), error);
    free(model);
    free(optimizer);
    return status;
}

int motley__checkpoint_save(MPI_Comm comm, double time_limit, const char *output, int64_t step,
                            const struct motley__checkpoint *checkpoint, char **path, struct motley_error *error)
{
    char *final = NULL, *temporary = NULL;
    int rank, status;
    MPI_Comm_rank(comm, &rank);
    status = motley__shelf_path(output, step, "", &final, error);
    if (!status)
        status = motley__shelf_path(output, step, MOTLEY__UNFINISHED, &temporary, error);
    if (!status && rank == 0)
        status = motley__directory_remove(temporary, error);
    if (!status && rank == 0)
        status = motley__directory_make(temporary, error);
    if (!status && rank == 0)
        status = text_file(temporary, "config.json", checkpoint->config, error);
    if (!status && rank == 0)
        status = text_file(temporary, "plan.json", checkpoint->plan, error);
    if (!status && rank == 0)
        status = text_file(temporary, "trainer.json", checkpoint->trainer, error);
    status = motley__agree_within(comm, time_limit, status, error);
    if (!status)
        status = save_tensors(comm, time_limit, temporary, checkpoint, error);
    if (!status) {
        if (rank == 0)
            status = publish(output, temporary, final, step, error);
        status = motley__agree_within(comm, time_limit, status, error);
    }
    if (status && rank == 0 && temporary)
        motley__directory_remove(temporary, NULL); /* the first failure is the one to tell */
    if (!status && path) {
        *path = final;
        final = NULL;
    }
    free(final);
    free(temporary);
    return status;
}

int motley__checkpoint_load(MPI_Comm comm, double time_limit, const char *path,
                            const struct motley__checkpoint *checkpoint, struct motley_error *error)
{
    const struct motley__tensor_set weights = {"", checkpoint->adamw ? checkpoint->adamw->master : NULL};
    char *model = NULL, *optimizer = NULL;
    int status = motley__format(&model, error, "%s/model.safetensors", path);
    if (!status)
        status = motley__format(&optimizer, error, "%s/optimizer.safetensors", path);
    status = motley__agree_within(comm, time_limit, status, error);
    if (!status)
        status = motley__tensors_load(comm, time_limit, model, checkpoint->parameter, checkpoint->count, &weights, 1,
                                      error);
    if (!status && checkpoint->adamw) {
        const struct motley__tensor_set moments[2] = {{".exp_avg", checkpoint->adamw->m},
                                                      {".exp_avg_sq", checkpoint->adamw->v}};
        status = motley__tensors_load(comm, time_limit, optimizer, checkpoint->parameter, checkpoint->count, moments,
                                      2, error);
        if (!status)
            status = motley__agree_within(comm, time_limit, motley__adamw_round(checkpoint->adamw, error), error);
    }
    free(model);
    free(optimizer);
    return status;
}
