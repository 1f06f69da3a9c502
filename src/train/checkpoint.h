/* Checkpoints on disk: whole or not there.
 *
 *   OUTPUT/checkpoint-STEP/      a whole one: config.json, model.safetensors, optimizer.safetensors, trainer.json,
 *                                plan.json
 *   OUTPUT/checkpoint-STEP.tmp/  one being written, or removed; what a killed run left is removed by the next
 *
 * A directory is filled under its temporary name, synced, and renamed; then all but the newest two are renamed away
 * and removed.  Whatever the moment a run is killed, the newest checkpoint that has its name is whole.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_CHECKPOINT_H
#define MOTLEY_TRAIN_CHECKPOINT_H

#include "train/adamw.h"
#include "train/tensors.h"

/* Every time_limit: seconds that other ranks may stay silent, 0 for ten minutes. */

/* What goes into one: weights are the optimizer's f32 masters, so any storage type can go on from it.  The texts are
 * rank 0's. */
struct motley__checkpoint {
    const struct motley__parameter *parameter;  /* [count] borrowed */
    int count;
    struct motley__adamw *adamw;                /* borrowed; NULL when loading: weights only */
    const char *config, *trainer, *plan;        /* texts of the three JSON files; borrowed */
};

/* Write OUTPUT/checkpoint-STEP.  *path (may be NULL) owned by the caller.
 * Collective: all ranks succeed, or all fail and the checkpoints before are untouched. */
int motley__checkpoint_save(MPI_Comm comm, double time_limit, const char *output, int64_t step,
                            const struct motley__checkpoint *checkpoint, char **path, struct motley_error *error);

/* Make the directory, and remove what a killed run left half-written.  Rank 0 works.  Collective. */
int motley__checkpoint_prepare(MPI_Comm comm, double time_limit, const char *output, struct motley_error *error);

/* A checkpoint found: its texts on every rank, owned. */
struct motley__found_checkpoint {
    char *path;
    char *config, *trainer, *plan;              /* NULL: there is none */
};

/* The newest whole checkpoint in a directory, each judged by opening all its files; found->path stays NULL when
 * there is none.  *damaged: checkpoints passed over because they are not whole.  Collective. */
int motley__checkpoint_newest(MPI_Comm comm, double time_limit, const char *output,
                              struct motley__found_checkpoint *found, int *damaged, struct motley_error *error);

/* A model to use: the directory itself when it holds one, else its newest checkpoint; trainer is not filled, plan only
 * when there is one.
 * Collective.  Errors: MOTLEY_E_IO, MOTLEY_E_FORMAT (neither). */
int motley__checkpoint_model(MPI_Comm comm, double time_limit, const char *directory,
                             struct motley__found_checkpoint *found, struct motley_error *error);
void motley__found_checkpoint_clear(struct motley__found_checkpoint *found); /* accepts a zeroed one */

/* Weights, rounded to how the model stores them, and masters and moments when checkpoint->adamw is given.
 * Collective. */
int motley__checkpoint_load(MPI_Comm comm, double time_limit, const char *path,
                            const struct motley__checkpoint *checkpoint, struct motley_error *error);

#endif
