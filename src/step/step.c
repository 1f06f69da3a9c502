/* Building lists of operators.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "step/step.h"

uint64_t motley__step_add(struct motley__step *step, struct motley__op op)
{
    if (step->count >= MOTLEY__STEP_LIMIT) {
        step->count++;
        return 0;
    }
    assert(op.after >> step->count == 0); /* only what comes before */
    assert((op.stream == MOTLEY__COMMUNICATION) == (op.test != NULL));
    step->op[step->count] = op;
    return UINT64_C(1) << step->count++;
}
