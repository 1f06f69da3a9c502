/* A plan as text (JSON).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>

#include "device/storage.h"
#include "plan/load_text.h"
#include "plan/plan.h"
#include "profile/names.h"

static json_t *shape_json(const struct motley_layer_shape *shape)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:s, s:b, s:s, s:i, s:b, s:s}", "D", shape->D, "F", shape->F, "E", shape->E,
                     "K", shape->K, "activation", motley__activation_names[shape->activation], "bias", shape->bias,
                     "gate", motley__gate_names[shape->gate], "gate_width", shape->gate_width, "normalize",
                     shape->normalize, "dtype", motley__storage_names[shape->dtype]);
}

static json_t *options_json(const struct motley_plan_options *options)
{
    return json_pack("{s:I, s:i, s:b, s:s, s:s, s:i, s:i, s:i, s:s, s:b, s:i, s:s}", "tokens",
                     (json_int_t)options->tokens, "sequence", options->sequence, "backward", options->backward,
                     "shares", motley__shares_names[options->shares], "mode", motley__mode_names[options->mode],
                     "group", options->group, "layers", options->layers, "moments", options->moments, "exchange",
                     motley__exchange_names[options->exchange], "duplicate", options->duplicate, "pipeline",
                     options->pipeline, "wire", motley__storage_names[options->wire]);
}

static json_t *experts_json(const struct motley__holding *holding)
{
    json_t *experts = json_array();
    for (int i = 0; i < holding->experts; i++)
        json_array_append_new(experts, json_integer(holding->expert[i]));
    return experts;
}

static json_t *phases_json(const struct motley__phases *phases, double seconds)
{
    json_t *object = json_pack("{s:f, s:f, s:f, s:f, s:f}", "gate", phases->gate, "dispatch", phases->dispatch,
                               "experts", phases->experts, "combine", phases->combine, "weights", phases->weights);
    if (seconds >= 0)
        json_object_set_new(object, "seconds", json_real(seconds));
    return object;
}

static json_t *alternative_json(const struct motley__alternative *alternative)
{
    const struct motley__prediction *p = &alternative->predicted;
    const char *mode = motley__mode_names[alternative->mode];
    if (!alternative->fits)
        return json_pack("{s:s, s:i, s:b}", "mode", mode, "group", alternative->group, "fits", 0);
    return json_pack("{s:s, s:i, s:b, s:b, s:o, s:o, s:f, s:f, s:I}", "mode", mode, "group", alternative->group,
                     "fits", 1, "known", p->known, "forward", phases_json(&p->forward, p->forward_seconds), "backward",
                     phases_json(&p->backward, p->backward_seconds), "bytes_moved", p->moved, "bytes_moved_nodes",
                     p->node_moved, "bytes", (json_int_t)p->bytes);
}

static json_t *alternatives_json(const motley_plan *plan)
{
    json_t *list = json_array();
    for (int i = 0; i < plan->alternatives; i++)
        json_array_append_new(list, alternative_json(&plan->alternative[i]));
    return list;
}

static json_t *rank_json(const struct motley__plan_entry *rank, const struct motley__holding *stored)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:[i, i], s:I, s:f, s:f, s:o, s:o, s:f, s:I}", "host", rank->host,
                     "device", rank->device, "family", rank->family, "variant", rank->variant, "dense",
                     motley__dense_names[rank->dense], "experts", experts_json(stored), "hidden", stored->begin,
                     stored->end, "tokens", (json_int_t)rank->tokens, "gflops", rank->gflops, "seconds", rank->seconds,
                     "forward", phases_json(&rank->forward, -1), "backward", phases_json(&rank->backward, -1),
                     "dense_gflops", rank->dense_gflops, "bytes", (json_int_t)rank->bytes);
}

int motley_plan_text(const motley_plan *plan, char **text, struct motley_error *error)
{
    json_t *ranks = json_array();
    for (int r = 0; r < plan->R; r++)
        if (json_array_append_new(ranks, rank_json(&plan->rank[r], &plan->stored.rank[r]))) {
            json_decref(ranks);
            return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the plan's text");
        }
    json_t *root = json_pack("{s:i, s:o, s:o, s:s, s:s, s:i, s:i, s:o, s:o}", "motley_plan", MOTLEY__PLAN_TEXT, "shape",
                             shape_json(&plan->shape), "options", options_json(&plan->options), "mode",
                             motley__mode_names[plan->mode], "exchange", motley__exchange_names[plan->exchange],
                             "pipeline", plan->pipeline, "chosen", plan->chosen, "alternatives",
                             alternatives_json(plan), "ranks", ranks);
    if (root) {
        if (plan->options.capacity != 0) /* most plans know of none */
            json_object_set_new(json_object_get(root, "options"), "capacity", json_real(plan->options.capacity));
        motley__load_to_json(plan, json_object_get(root, "options"));
        motley__replicas_to_json(plan, root);
        if (plan->coactivation)
            json_object_set_new(root, "coactivation", motley__plan_layers_json(plan));
    }
    char *written = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (!written)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the plan's text");
    *text = written;
    return 0;
}
