/* The learning rate of a step: linear warm-up, then half a cosine down to a tenth.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "train/schedule.h"

static const double FLOOR = 0.1; /* of the peak */

double motley__learning_rate(double peak, int64_t warmup, int64_t steps, int64_t step)
{
    if (warmup < 0)
        warmup = 0;
    if (step <= warmup)
        return peak * (double)step / (double)warmup;
    if (step >= steps)
        return peak * FLOOR;
    double part = (double)(step - warmup) / (double)(steps - warmup);
    return peak * (FLOOR + (1 - FLOOR) * 0.5 * (1 + cos(3.14159265358979323846 * part)));
}
