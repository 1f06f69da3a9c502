/* Plans changed by hand, through their text.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PLAN_JSON_H
#define MOTLEY_TESTS_PLAN_JSON_H

#include <jansson.h>
#include <stdlib.h>

#include <motley/plan.h>

/* To change, and to be given to parse_plan. */
static inline json_t *plan_json(const motley_plan *plan)
{
    char *text = NULL;
    int status = motley_plan_text(plan, &text, NULL);
    json_t *root = status ? NULL : json_loads(text, 0, NULL);
    free(text);
    return root;
}

/* The plan of it; root is let go.  Errors: those of motley_plan_parse. */
static inline int parse_plan(json_t *root, motley_plan **plan, struct motley_error *error)
{
    char *text = json_dumps(root, 0);
    int status = motley_plan_parse(text, plan, error);
    free(text);
    json_decref(root);
    return status;
}

#endif
