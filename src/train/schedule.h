/* The learning rate of a step: linear warm-up, then half a cosine down to a tenth.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_SCHEDULE_H
#define MOTLEY_TRAIN_SCHEDULE_H

#include <stdint.h>

/* step is 1 .. steps; beyond that the last value stays.  warmup < 1: none. */
double motley__learning_rate(double peak, int64_t warmup, int64_t steps, int64_t step);

#endif
