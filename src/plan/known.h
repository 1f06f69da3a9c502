/* What planning has timed or checked since the job began: another plan of the same shape believes it, so that two plans
 * of one job are alike, and quickly made.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_KNOWN_H
#define MOTLEY_PLAN_KNOWN_H

#include <motley/plan.h>
#include "profile/link.h"

/* Zero knows nothing. */
struct motley__known {
    struct motley__links links;      /* R 0: not timed yet */
    int curves;
    struct motley__known_curve {
        struct motley_layer_shape shape; /* those of its numbers that a curve has, the others 0 */
        int backward;
    } *curve;                        /* [curves] owned */
};

/* Accepts NULL. */
void motley__known_destroy(struct motley__known *known);

/* 1: curves of the shape were checked, of both directions when backward. */
int motley__known_has(const struct motley__known *known, const struct motley_layer_shape *shape, int backward);

/* They are from now on.  Errors: MOTLEY_E_MEMORY. */
int motley__known_add(struct motley__known *known, const struct motley_layer_shape *shape, int backward,
                      struct motley_error *error);

#endif
