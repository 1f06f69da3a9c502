/* Experts' loads and replicas as JSON, and back.  Nothing in a text is believed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "plan/load_text.h"

void motley__load_to_json(const motley_plan *plan, json_t *options)
{
    if (!plan->load)
        return;
    json_t *list = json_array();
    for (int e = 0; e < plan->shape.E; e++)
        json_array_append_new(list, json_real(plan->load[e]));
    json_object_set_new(options, "load", list);
}

void motley__replicas_to_json(const motley_plan *plan, json_t *root)
{
    if (!plan->replicas)
        return;
    json_t *list = json_array();
    for (int i = 0; i < plan->replicas; i++) {
        const struct motley__replica *replica = &plan->replica[i];
        json_array_append_new(list, json_pack("{s:i, s:i, s:f}", "expert", replica->expert, "rank", replica->rank,
                                              "part", replica->part));
    }
    json_object_set_new(root, "replicas", list);
}

int motley__load_from_json(const json_t *options, int E, double **load, struct motley_error *error)
{
    const json_t *list = json_object_get(options, "load");
    *load = NULL;
    if (!list)
        return 0;
    if (!json_is_array(list) || json_array_size(list) != (size_t)E)
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"load\" is no list of %d numbers, one for each expert", E);
    double *read = malloc((size_t)E * sizeof *read);
    if (!read)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the loads of %d experts", E);
    for (int e = 0; e < E; e++) {
        const json_t *number = json_array_get(list, (size_t)e);
        if (!json_is_number(number)) {
            free(read);
            return motley__fail(error, MOTLEY_E_FORMAT, "plan: the load of expert %d is no number", e);
        }
        read[e] = json_number_value(number);
    }
    *load = read;
    return 0;
}

static int read_replica(const json_t *object, int i, const motley_plan *plan, struct motley__replica *replica,
                        struct motley_error *error)
{
    const json_t *expert = json_object_get(object, "expert"), *rank = json_object_get(object, "rank");
    const json_t *part = json_object_get(object, "part");
    const json_int_t e = json_integer_value(expert), r = json_integer_value(rank);
    const double share = json_number_value(part);
    if (!json_is_integer(expert) || e < 0 || e >= plan->shape.E || !json_is_integer(rank) || r < 0 || r >= plan->R ||
        !json_is_number(part) || !(share > 0 && share <= 1))
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: replica %d is not an \"expert\" of %d, a \"rank\" of %d and "
                            "a \"part\" of 0 to 1", i, plan->shape.E, plan->R);
    *replica = (struct motley__replica){(int)e, (int)r, share};
    return 0;
}

int motley__replicas_from_json(const json_t *root, motley_plan *plan, struct motley_error *error)
{
    const json_t *list = json_object_get(root, "replicas");
    const size_t count = json_array_size(list), most = (size_t)plan->shape.E * (size_t)plan->R;
    int status = 0;
    if (!list)
        return 0;
    if (!json_is_array(list) || !count || count > most)
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"replicas\" is no list of 1 to %zu", most);
    plan->replica = calloc(count, sizeof *plan->replica);
    if (!plan->replica)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu replicas of experts", count);
    for (size_t i = 0; i < count && !status; i++)
        status = read_replica(json_array_get(list, i), (int)i, plan, &plan->replica[i], error);
    plan->replicas = status ? 0 : (int)count;
    return status;
}
