/* Made-up measurements: devices whose curves follow "overhead + rows * time", for tests of planning.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PLAN_FIXTURE_H
#define MOTLEY_TESTS_PLAN_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "profile/profile.h"

static inline struct motley_layer_shape fixture_shape(int E, int K)
{
    return (struct motley_layer_shape){.D = 64, .F = 128, .E = E, .K = K, .activation = MOTLEY_SWIGLU};
}

static inline struct motley__profile_key fixture_key(int rank)
{
    struct motley__profile_key key = {.kernels = UINT64_C(0xfeedfacecafebeef), .cores = 1,
                                      .memory_bytes = UINT64_C(1) << 32, .place = rank, .places = rank + 1};
    snprintf(key.host, sizeof key.host, "host%d", rank);
    strcpy(key.name, "A \"fast\" \\device\\, the 2nd | x=1");
    strcpy(key.driver, "580.1");
    strcpy(key.family, "generic");
    strcpy(key.variant, "tiles");
    return key;
}

/* 1, 4, 16, 64, 256 rows. */
static inline struct motley__curve fixture_curve(const struct motley_layer_shape *shape, int backward, double overhead,
                                                 double per_row)
{
    struct motley__curve curve = {.backward = backward, .D = shape->D, .F = shape->F,
                                  .activation = (int)shape->activation, .bias = shape->bias,
                                  .dtype = (int)shape->dtype};
    for (int rows = 1; rows <= 256; rows *= 4) {
        struct motley__point point = {
            .rows = rows, .seconds = overhead + rows * per_row, .spread = per_row, .samples = 9};
        motley__curve_set(&curve, &point);
    }
    return curve;
}

#endif
