/* A plan from its text (plan_text.c).  Nothing in a text is believed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/storage.h"
#include "plan/load_text.h"
#include "plan/plan.h"
#include "profile/names.h"

/* Far beyond any cluster, and small enough that a lying text cannot ask for all memory. */
enum { LARGEST_RANKS = 1 << 20 };

/* Every get_* fails with the name of what is missing or wrong. */

static int get_integer(const json_t *object, const char *name, int64_t low, int64_t high, int64_t *value,
                       struct motley_error *error)
{
    const json_t *found = json_object_get(object, name);
    if (!json_is_integer(found))
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"%s\" is missing or no integer", name);
    if (json_integer_value(found) < low || json_integer_value(found) > high)
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"%s\" is %lld, expected %lld to %lld", name,
                            (long long)json_integer_value(found), (long long)low, (long long)high);
    *value = json_integer_value(found);
    return 0;
}

static int get_int(const json_t *object, const char *name, int *value, struct motley_error *error)
{
    int64_t read = 0;
    int status = get_integer(object, name, 0, INT_MAX, &read, error);
    *value = (int)read;
    return status;
}

static int get_flag(const json_t *object, const char *name, int *value, struct motley_error *error)
{
    const json_t *found = json_object_get(object, name);
    if (!json_is_boolean(found))
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"%s\" is missing or neither true nor false", name);
    *value = json_is_true(found);
    return 0;
}

static int get_word(const json_t *object, const char *name, const char *const *words, int *value,
                    struct motley_error *error)
{
    const char *found = json_string_value(json_object_get(object, name));
    for (int i = 0; found && words[i]; i++)
        if (!strcmp(found, words[i])) {
            *value = i;
            return 0;
        }
    return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"%s\" is %s%.40s%s, expected %s%s%s%s", name, found ? "\"" : "",
                        found ? found : "missing", found ? "\"" : "", words[0], words[1] ? ", " : "",
                        words[1] ? words[1] : "", words[1] && words[2] ? ", ..." : "");
}

static int get_name(const json_t *object, const char *name, char *value, size_t size, struct motley_error *error)
{
    const char *found = json_string_value(json_object_get(object, name));
    if (!found || strlen(found) >= size)
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"%s\" is missing or no text of at most %zu characters",
                            name, size - 1);
    strcpy(value, found);
    return 0;
}

static int get_real(const json_t *object, const char *name, double *value, struct motley_error *error)
{
    const json_t *found = json_object_get(object, name);
    if (!json_is_number(found) || !isfinite(json_number_value(found)))
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"%s\" is no number", name);
    *value = json_number_value(found);
    return 0;
}

static int get_number(const json_t *object, const char *name, double *value, struct motley_error *error)
{
    const json_t *found = json_object_get(object, name);
    if (!json_is_number(found) || !isfinite(json_number_value(found)) || json_number_value(found) < 0)
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"%s\" is missing or no number from 0 on", name);
    *value = json_number_value(found);
    return 0;
}

/* seconds NULL: there are none. */
static int get_phases(const json_t *object, const char *name, struct motley__phases *phases, double *seconds,
                      struct motley_error *error)
{
    const json_t *found = json_object_get(object, name);
    int status = get_number(found, "gate", &phases->gate, error);
    status = status ? status : get_number(found, "dispatch", &phases->dispatch, error);
    status = status ? status : get_number(found, "experts", &phases->experts, error);
    status = status ? status : get_number(found, "combine", &phases->combine, error);
    status = status ? status : get_number(found, "weights", &phases->weights, error);
    return status || !seconds ? status : get_number(found, "seconds", seconds, error);
}

static int read_alternative(const json_t *object, struct motley__alternative *alternative, struct motley_error *error)
{
    struct motley__prediction *p = &alternative->predicted;
    int64_t bytes = 0;
    int mode = 0, status = get_word(object, "mode", motley__mode_names + MOTLEY_MODE_EXPERT, &mode, error);
    alternative->mode = (enum motley_mode)(mode + MOTLEY_MODE_EXPERT);
    status = status ? status : get_int(object, "group", &alternative->group, error);
    status = status ? status : get_flag(object, "fits", &alternative->fits, error);
    if (status || !alternative->fits)
        return status;
    status = get_flag(object, "known", &p->known, error);
    status = status ? status : get_phases(object, "forward", &p->forward, &p->forward_seconds, error);
    status = status ? status : get_phases(object, "backward", &p->backward, &p->backward_seconds, error);
    status = status ? status : get_number(object, "bytes_moved", &p->moved, error);
    status = status ? status : get_number(object, "bytes_moved_nodes", &p->node_moved, error);
    status = status ? status : get_integer(object, "bytes", 0, INT64_MAX, &bytes, error);
    p->bytes = (uint64_t)bytes;
    return status;
}

/* What was considered; a plan from before there were modes says nothing of it. */
static int read_alternatives(const json_t *root, motley_plan *plan, struct motley_error *error)
{
    const json_t *list = json_object_get(root, "alternatives");
    const size_t count = json_array_size(list);
    int64_t chosen = 0;
    int status = 0;
    if (!list || (json_is_array(list) && !count))
        return 0;
    if (!json_is_array(list) || count > MOTLEY__ALTERNATIVES)
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"alternatives\" is no list of at most %d",
                            MOTLEY__ALTERNATIVES);
    plan->alternative = calloc(count, sizeof *plan->alternative);
    if (!plan->alternative)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the alternatives of a plan");
    plan->alternatives = (int)count;
    for (size_t i = 0; i < count && !status; i++)
        status = read_alternative(json_array_get(list, i), &plan->alternative[i], error);
    status = status ? status : get_integer(root, "chosen", 0, (int64_t)count - 1, &chosen, error);
    plan->chosen = (int)chosen;
    return status;
}

/* *load is what options->load is; owned by the caller. */
static int read_shape(const json_t *root, struct motley_layer_shape *shape, struct motley_plan_options *options,
                      double **load, struct motley_error *error)
{
    const json_t *object = json_object_get(root, "shape"), *chosen = json_object_get(root, "options");
    int activation = 0, gate = 0, shares = 0, dtype = 0, mode = MOTLEY_MODE_EXPERT, exchange = 0, wire = 0;
    int status = get_int(object, "D", &shape->D, error);
    status = status ? status : get_int(object, "F", &shape->F, error);
    status = status ? status : get_int(object, "E", &shape->E, error);
    status = status ? status : get_int(object, "K", &shape->K, error);
    status = status ? status : get_word(object, "activation", motley__activation_names, &activation, error);
    status = status ? status : get_flag(object, "bias", &shape->bias, error);
    status = status ? status : get_word(object, "gate", motley__gate_names, &gate, error);
    if (json_object_get(object, "gate_width")) /* without one: a plan from before there was a cosine gate */
        status = status ? status : get_int(object, "gate_width", &shape->gate_width, error);
    status = status ? status : get_flag(object, "normalize", &shape->normalize, error);
    if (json_object_get(object, "dtype")) /* without one: a plan from before there was more than f32 */
        status = status ? status : get_word(object, "dtype", motley__storage_names, &dtype, error);
    status = status ? status : get_integer(chosen, "tokens", 0, INT64_MAX, &options->tokens, error);
    if (json_object_get(chosen, "sequence")) /* likewise: before plans knew of sequences */
        status = status ? status : get_int(chosen, "sequence", &options->sequence, error);
    status = status ? status : get_flag(chosen, "backward", &options->backward, error);
    status = status ? status : get_word(chosen, "shares", motley__shares_names, &shares, error);
    if (json_object_get(chosen, "mode")) { /* likewise: before there was more than one */
        status = status ? status : get_word(chosen, "mode", motley__mode_names, &mode, error);
        status = status ? status : get_int(chosen, "group", &options->group, error);
    }
    if (json_object_get(chosen, "pipeline")) { /* likewise */
        status = status ? status : get_word(chosen, "exchange", motley__exchange_names, &exchange, error);
        status = status ? status : get_flag(chosen, "duplicate", &options->duplicate, error);
        status = status ? status : get_int(chosen, "pipeline", &options->pipeline, error);
    }
    if (json_object_get(chosen, "capacity")) /* without one: nothing is dropped */
        status = status ? status : get_real(chosen, "capacity", &options->capacity, error);
    if (json_object_get(chosen, "wire"))
        status = status ? status : get_word(chosen, "wire", motley__storage_names, &wire, error);
    status = status ? status : get_int(chosen, "layers", &options->layers, error);
    status = status ? status : get_int(chosen, "moments", &options->moments, error);
    shape->activation = (enum motley_activation)activation;
    shape->gate = (enum motley_gate)gate;
    shape->dtype = (enum motley_dtype)dtype;
    options->shares = (enum motley_shares)shares;
    options->mode = (enum motley_mode)mode;
    options->exchange = (enum motley_exchange)exchange;
    options->wire = (enum motley_dtype)wire;
    if (!status)
        status = motley__load_from_json(chosen, shape->E, load, error);
    options->load = *load;
    if (!status && motley__plan_check(shape, options, error))
        status = error ? (error->code = MOTLEY_E_FORMAT) : MOTLEY_E_FORMAT;
    return status;
}

static int read_experts(const json_t *list, int r, int E, struct motley__holding *holding, struct motley_error *error)
{
    if (!json_is_array(list) || json_array_size(list) > (size_t)E)
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: rank %d's \"experts\" is missing or no list of at most %d",
                            r, E);
    int status = motley__holding_alloc(holding, (int)json_array_size(list), error);
    for (int i = 0; !status && i < holding->experts; i++) {
        const json_t *number = json_array_get(list, (size_t)i);
        const json_int_t expert = json_integer_value(number);
        if (!json_is_integer(number) || expert < 0 || expert >= E)
            status = motley__fail(error, MOTLEY_E_FORMAT,
                                  "plan: rank %d's experts hold something else than 0 to %d", r, E - 1);
        holding->expert[i] = (int)expert;
    }
    return status;
}

/* The slice, or the whole where a plan from before there were slices says nothing. */
static int read_slice(const json_t *object, int r, int F, struct motley__holding *holding, struct motley_error *error)
{
    const json_t *slice = json_object_get(object, "hidden");
    const json_t *begin = json_array_get(slice, 0), *end = json_array_get(slice, 1);
    holding->end = F;
    if (!slice)
        return 0;
    if (json_array_size(slice) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < 0 || json_integer_value(begin) > F ||
        json_integer_value(end) > F)
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: rank %d's \"hidden\" is no pair of numbers of 0 to %d", r,
                            F);
    holding->begin = (int)json_integer_value(begin);
    holding->end = (int)json_integer_value(end);
    return 0;
}

static int read_rank(const json_t *object, int r, motley_plan *plan, struct motley_error *error)
{
    struct motley__plan_entry *rank = &plan->rank[r];
    struct motley__holding *stored = &plan->stored.rank[r];
    int64_t bytes = 0;
    int status = get_name(object, "host", rank->host, sizeof rank->host, error);
    status = status ? status : get_name(object, "device", rank->device, sizeof rank->device, error);
    status = status ? status : get_name(object, "family", rank->family, sizeof rank->family, error);
    if (json_object_get(object, "variant")) /* likewise */
        status = status ? status : get_name(object, "variant", rank->variant, sizeof rank->variant, error);
    status = status ? status : get_word(object, "dense", motley__dense_names, &rank->dense, error);
    status = status ? status : read_experts(json_object_get(object, "experts"), r, plan->shape.E, stored, error);
    status = status ? status : read_slice(object, r, plan->shape.F, stored, error);
    if (json_object_get(object, "tokens")) /* likewise */
        status = status ? status : get_integer(object, "tokens", 0, INT64_MAX, &rank->tokens, error);
    status = status ? status : get_number(object, "gflops", &rank->gflops, error);
    status = status ? status : get_number(object, "seconds", &rank->seconds, error);
    if (json_object_get(object, "forward")) { /* likewise */
        status = status ? status : get_phases(object, "forward", &rank->forward, NULL, error);
        status = status ? status : get_phases(object, "backward", &rank->backward, NULL, error);
    }
    status = status ? status : get_number(object, "dense_gflops", &rank->dense_gflops, error);
    status = status ? status : get_integer(object, "bytes", 0, INT64_MAX, &bytes, error);
    rank->bytes = (uint64_t)bytes;
    return status;
}

/* How rows travel; a plan from before there was a choice says nothing. */
static int read_exchange(const json_t *root, motley_plan *plan, struct motley_error *error)
{
    int exchange = 0, status;
    if (!json_object_get(root, "pipeline"))
        return 0;
    status = get_word(root, "exchange", motley__exchange_names + MOTLEY_EXCHANGE_LINEAR, &exchange, error);
    plan->exchange = (enum motley_exchange)(exchange + MOTLEY_EXCHANGE_LINEAR);
    if (!status)
        status = get_int(root, "pipeline", &plan->pipeline, error);
    if (!status && plan->pipeline != 1 && plan->pipeline != 2 && plan->pipeline != 4 && plan->pipeline != 8)
        status = motley__fail(error, MOTLEY_E_FORMAT, "plan: \"pipeline\" is %d, expected 1, 2, 4 or 8",
                              plan->pipeline);
    return status;
}

static int read_ranks(const json_t *root, motley_plan *plan, struct motley_error *error)
{
    const json_t *ranks = json_object_get(root, "ranks");
    int mode = MOTLEY_MODE_EXPERT, status = 0;
    if (json_object_get(root, "mode")) /* likewise */
        status = get_word(root, "mode", motley__mode_names + MOTLEY_MODE_EXPERT, &mode, error);
    if (!status && json_object_get(root, "mode"))
        mode += MOTLEY_MODE_EXPERT;
    plan->mode = (enum motley_mode)mode;
    if (!status)
        status = read_exchange(root, plan, error);
    for (int r = 0; !status && r < plan->R; r++)
        status = read_rank(json_array_get(ranks, (size_t)r), r, plan, error);
    if (!status)
        status = motley__replicas_from_json(root, plan, error);
    if (status)
        return status;
    struct motley_error why = {0};
    status = motley__plan_index(plan, &why);
    return status == MOTLEY_E_INVALID ? motley__fail(error, MOTLEY_E_FORMAT, "plan: %s", why.text)
                                      : status ? motley__fail(error, status, "%s", why.text) : 0;
}

int motley_plan_parse(const char *text, motley_plan **plan, struct motley_error *error)
{
    struct motley_layer_shape shape = {0};
    struct motley_plan_options options = {0};
    motley_plan *made = NULL;
    double *load = NULL;
    json_error_t problem;
    int64_t version;
    int status;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    if (!root)
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: line %d: %s", problem.line, problem.text);
    const json_t *ranks = json_object_get(root, "ranks");
    status = get_integer(root, "motley_plan", MOTLEY__PLAN_TEXT, MOTLEY__PLAN_TEXT, &version, error);
    if (!status)
        status = read_shape(root, &shape, &options, &load, error);
    if (!status && (!json_is_array(ranks) || json_array_size(ranks) < 1 || json_array_size(ranks) > LARGEST_RANKS))
        status = motley__fail(error, MOTLEY_E_FORMAT, "plan: \"ranks\" is missing or no list of at least one rank");
    if (!status)
        status = motley__plan_alloc(&shape, &options, (int)json_array_size(ranks), &made, error);
    if (!status)
        status = read_alternatives(root, made, error);
    if (!status)
        status = read_ranks(root, made, error);
    if (!status && json_object_get(root, "coactivation"))
        status = motley__plan_layers_read(json_object_get(root, "coactivation"), made, error);
    json_decref(root);
    free(load);
    if (status) {
        motley_plan_destroy(made);
        return status;
    }
    *plan = made;
    return 0;
}
