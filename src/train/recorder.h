/* Which experts the bytes of a run choose together, for the next one: options.record_coactivation.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_RECORDER_H
#define MOTLEY_TRAIN_RECORDER_H

#include <motley/train.h>

struct motley__recorder; /* opaque */

/* The trainer's recorder, when there is to be one.  Local. */
int motley__recorder_open(struct motley_trainer *trainer, struct motley_error *error);
void motley__recorder_close(struct motley__recorder *recorder); /* accepts NULL */

/* Count the choices of the step that has just been taken.  Local. */
int motley__recorder_step(struct motley_trainer *trainer, struct motley_error *error);

/* Everything counted, of all ranks, into the file; nothing where no step was taken.  Collective. */
int motley__recorder_write(const struct motley_trainer *trainer, struct motley_error *error);

#endif
