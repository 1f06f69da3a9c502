/* What planning has timed or checked since the job began.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "plan/known.h"

void motley__known_destroy(struct motley__known *known)
{
    if (!known)
        return;
    motley__links_clear(&known->links);
    free(known->curve);
    free(known);
}

static int same_curve(const struct motley_layer_shape *a, const struct motley_layer_shape *b)
{
    return a->D == b->D && a->F == b->F && a->activation == b->activation && a->bias == b->bias && a->dtype == b->dtype;
}

int motley__known_has(const struct motley__known *known, const struct motley_layer_shape *shape, int backward)
{
    int found = 0;
    for (int i = 0; i < known->curves && !found; i++)
        found = same_curve(&known->curve[i].shape, shape) && known->curve[i].backward >= !!backward;
    return found;
}

int motley__known_add(struct motley__known *known, const struct motley_layer_shape *shape, int backward,
                      struct motley_error *error)
{
    if (motley__known_has(known, shape, backward))
        return 0;
    struct motley__known_curve *more = realloc(known->curve, ((size_t)known->curves + 1) * sizeof *more);
    if (!more)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to plan");
    known->curve = more;
    known->curve[known->curves++] = (struct motley__known_curve){
        {.D = shape->D, .F = shape->F, .activation = shape->activation, .bias = shape->bias, .dtype = shape->dtype},
        !!backward};
    return 0;
}
