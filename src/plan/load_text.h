/* Experts' loads and replicas as JSON, and back.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_LOAD_TEXT_H
#define MOTLEY_PLAN_LOAD_TEXT_H

#include <jansson.h>

#include "plan/plan.h"

/* "load": [0.5, ...] of the options, and "replicas": [{"expert": 3, "rank": 0, "part": 0.25}, ...] of the plan, where
 * it has them. */
void motley__load_to_json(const motley_plan *plan, json_t *options);
void motley__replicas_to_json(const motley_plan *plan, json_t *root);

/* *load [E] owned by the caller, NULL where the options have none.  Errors: MOTLEY_E_FORMAT, MOTLEY_E_MEMORY. */
int motley__load_from_json(const json_t *options, int E, double **load, struct motley_error *error);

/* plan->replica; whether they can be is motley__plan_index's to say.  Errors: likewise. */
int motley__replicas_from_json(const json_t *root, motley_plan *plan, struct motley_error *error);

#endif
