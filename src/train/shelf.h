/* Which checkpoints a directory holds.  Local: rank 0 looks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_SHELF_H
#define MOTLEY_TRAIN_SHELF_H

#include <stdint.h>

#include "base/error.h"

#define MOTLEY__UNFINISHED ".tmp"

/* "OUTPUT/checkpoint-STEP<suffix>"; owned by the caller. */
int motley__shelf_path(const char *output, int64_t step, const char *suffix, char **path, struct motley_error *error);

int motley__shelf_exists(const char *path);

/* The steps of the directories with a finished name, newest first, whether whole or not; *steps owned by the caller.
 * A directory that is not there has none. */
int motley__shelf_steps(const char *output, int64_t **steps, int *count, struct motley_error *error);

/* Remove the checkpoints with an unfinished name, and torn loss files. */
int motley__shelf_tidy(const char *output, struct motley_error *error);

/* 0 when all files of a checkpoint are there and their forms hold (JSON parses, the tensors' table fits the file). */
int motley__shelf_check(const char *path, struct motley_error *error);

#endif
