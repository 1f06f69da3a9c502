/* Building lists of operators.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "step/step.h"

/* All of them come before operator `count`. */
static int come_before(const struct motley__ops *ops, int count)
{
    for (int i = count; i < MOTLEY__STEP_LIMIT; i++)
        if (motley__ops_has(ops, i))
            return 0;
    return 1;
}

struct motley__ops motley__step_add(struct motley__step *step, struct motley__op op)
{
    struct motley__ops added = {{0}};

    if (step->count >= MOTLEY__STEP_LIMIT) {
        step->count++;
        return added;
    }
    assert(come_before(&op.after, step->count));
    assert((op.stream == MOTLEY__COMMUNICATION) == (op.test != NULL));
    step->op[step->count] = op;
    motley__ops_add(&added, step->count++);
    return added;
}
