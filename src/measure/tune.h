/* Tuning a device: for each class of shapes the values of its variant's tunables with which the products are fastest.
 *
 *   for each class of rows, each product, each tunable that matters there    (product/tuning.h)
 *       its values against the default, those chosen before it in place      (contest.h)
 *   what came of it must have the default's bits and pass the check of admission, or the defaults stay
 *
 * All ranks tune at the same time, each its own device: ranks that share cores load each other as they do in a step.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_TUNE_H
#define MOTLEY_MEASURE_TUNE_H

#include "context.h"
#include "profile/profile.h"

/* Tune the class of weights that the shape belongs to, for its storage type, within about so many seconds: each contest
 * has its part of them, so with fewer seconds fewer values are tried.  `entry` of this rank gets a choice for each
 * class that was tried, and the device is set to it; what was set before is forgotten.  A device that cannot hold one
 * expert keeps its defaults.
 *
 * Collective; agreed.  Errors: those of devices, MOTLEY_E_MEMORY, MOTLEY_E_COMM. */
int motley__tune(motley_context *context, const struct motley_layer_shape *shape, double seconds,
                 struct motley__profile_entry *entry, struct motley_error *error);

/* Set a device to the choices of an entry for a storage type.  A choice that the device's variant does not know is
 * passed over with a warning.  Local.  Errors: MOTLEY_E_MEMORY. */
int motley__tune_set(struct motley__device *device, enum motley_dtype dtype, const struct motley__profile_entry *entry,
                     const struct motley__log *log, struct motley_error *error);

/* The rows of an expert, on average, at which a class is tried. */
extern const int motley__tune_rows[MOTLEY__ROWS_CLASSES];

#endif
