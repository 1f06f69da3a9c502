/* A decoder's config.json; the contract is config_json.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "profile/names.h"
#include "train/config_json.h"

static const double MIXTRAL_THETA = 1e6; /* when a file does not say */

/* For what Mixtral has not: transformers must not take it for one. */
static const char OWN_TYPE[] = "motley";

static int is_own(const struct motley__config *c)
{
    return c->gate != MOTLEY_GATE_SOFTMAX || c->before;
}

static int add_routing(json_t *json, const struct motley__config *c)
{
    return json_object_set_new(json, "motley_gate", json_string(motley__gate_names[c->gate])) ||
           json_object_set_new(json, "motley_gate_width", json_integer(c->gate_width)) ||
           json_object_set_new(json, "motley_weights_before_experts", json_boolean(c->before));
}

int motley__config_text(const struct motley__config *config, char **text, struct motley_error *error)
{
    const struct motley__config *c = config;
    json_t *json = json_pack(
        "{s:[s], s:s, s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:n, s:n}",
        "architectures", is_own(c) ? "MotleyForCausalLM" : "MixtralForCausalLM", "model_type",
        is_own(c) ? OWN_TYPE : "mixtral", "hidden_act", "silu", "tie_word_embeddings", 0,
        "vocab_size", c->vocabulary, "hidden_size", c->D, "intermediate_size", c->F, "num_hidden_layers", c->layers,
        "num_attention_heads", c->heads, "num_key_value_heads", c->kv_heads, "num_local_experts", c->E,
        "num_experts_per_tok", c->K, "max_position_embeddings", c->positions, "rope_theta", c->rope_theta,
        "rms_norm_eps", c->norm_eps, "router_aux_loss_coef", c->balance_coefficient, "motley_router_z_loss_coef",
        c->z_coefficient, "bos_token_id", "eos_token_id");
    const int failed = !json || json_object_set_new(json, "torch_dtype", json_string("float32")) ||
                       (is_own(c) && add_routing(json, c));
    char *made = !failed ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a model's config.json");
    *text = made;
    return 0;
}

static int read_integer(const json_t *json, const char *name, int *value, struct motley_error *error)
{
    const json_t *member = json_object_get(json, name);
    if (!json_is_integer(member) || json_integer_value(member) < 0 || json_integer_value(member) > INT32_MAX)
        return motley__fail(error, MOTLEY_E_FORMAT, "config.json: \"%s\" must be an integer, but it is %s", name,
                            !member ? "missing" : json_is_integer(member) ? "out of range" : "not one");
    *value = (int)json_integer_value(member);
    return 0;
}

/* Optional: *value stays when it is absent. */
static int read_number(const json_t *json, const char *name, double *value, struct motley_error *error)
{
    const json_t *member = json_object_get(json, name);
    if (!member)
        return 0;
    if (!json_is_number(member))
        return motley__fail(error, MOTLEY_E_FORMAT, "config.json: \"%s\" must be a number", name);
    *value = json_number_value(member);
    return 0;
}

/* Features that would change the result and that the decoder has not. */
static int check_features(const json_t *json, struct motley_error *error)
{
    const char *type = json_string_value(json_object_get(json, "model_type"));
    if (!type || (strcmp(type, "mixtral") && strcmp(type, OWN_TYPE)))
        return motley__fail(error, MOTLEY_E_UNSUPPORTED,
                            "config.json: \"model_type\" must be \"mixtral\" or \"%s\", but it is %s", OWN_TYPE,
                            type ? type : "missing");
    const char *activation = json_string_value(json_object_get(json, "hidden_act"));
    if (activation && strcmp(activation, "silu"))
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "config.json: \"hidden_act\" must be \"silu\", but it is %s",
                            activation);
    if (json_is_true(json_object_get(json, "tie_word_embeddings")))
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "config.json: tied word embeddings are not available");
    if (json_is_integer(json_object_get(json, "sliding_window")))
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "config.json: a sliding window is not available");
    if (json_is_object(json_object_get(json, "rope_scaling")))
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "config.json: scaled rotary positions are not available");
    const json_t *width = json_object_get(json, "hidden_size"), *heads = json_object_get(json, "num_attention_heads");
    const json_t *head = json_object_get(json, "head_dim");
    if (json_is_integer(head) &&
        json_integer_value(head) * json_integer_value(heads) != json_integer_value(width))
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "config.json: \"head_dim\" must be hidden_size over "
                            "num_attention_heads");
    return 0;
}

/* Of the own type alone: all three must be there. */
static int read_routing(const json_t *json, struct motley__config *c, struct motley_error *error)
{
    const char *type = json_string_value(json_object_get(json, "model_type"));
    const char *gate = json_string_value(json_object_get(json, "motley_gate"));
    const json_t *before = json_object_get(json, "motley_weights_before_experts");
    int which = 0;
    if (!type || strcmp(type, OWN_TYPE))
        return 0;
    while (motley__gate_names[which] && (!gate || strcmp(gate, motley__gate_names[which])))
        which++;
    if (!motley__gate_names[which] || which == MOTLEY_GATE_FORCED)
        return motley__fail(error, MOTLEY_E_FORMAT, "config.json: \"motley_gate\" must be \"softmax\", \"sigmoid\" or "
                            "\"cosine\", but it is %s", gate ? gate : "missing");
    if (!json_is_boolean(before))
        return motley__fail(error, MOTLEY_E_FORMAT, "config.json: \"motley_weights_before_experts\" must be true or "
                            "false");
    c->gate = (enum motley_gate)which;
    c->before = json_is_true(before);
    return read_integer(json, "motley_gate_width", &c->gate_width, error);
}

int motley__config_parse(const char *text, struct motley__config *config, struct motley_error *error)
{
    struct motley__config c = motley__config_default();
    json_error_t reason;
    json_t *json = json_loads(text, 0, &reason);
    int status = 0;
    if (!json_is_object(json))
        status = motley__fail(error, MOTLEY_E_FORMAT, "config.json: not a JSON object (line %d: %s)", reason.line,
                              json ? "another kind of value" : reason.text);
    if (!status)
        status = check_features(json, error);
    const struct {
        const char *name;
        int *value;
    } integer[] = {{"vocab_size", &c.vocabulary}, {"hidden_size", &c.D}, {"intermediate_size", &c.F},
                   {"num_hidden_layers", &c.layers}, {"num_attention_heads", &c.heads},
                   {"num_key_value_heads", &c.kv_heads}, {"num_local_experts", &c.E}, {"num_experts_per_tok", &c.K},
                   {"max_position_embeddings", &c.positions}};
    for (size_t i = 0; i < sizeof integer / sizeof integer[0] && !status; i++)
        status = read_integer(json, integer[i].name, integer[i].value, error);
    c.rope_theta = MIXTRAL_THETA;
    const json_t *rope = json_object_get(json, "rope_parameters"); /* where newer versions keep it */
    if (!status)
        status =
            read_number(json_object_get(json, "rope_theta") || !rope ? json : rope, "rope_theta", &c.rope_theta, error);
    if (!status)
        status = read_number(json, "rms_norm_eps", &c.norm_eps, error);
    if (!status)
        status = read_number(json, "router_aux_loss_coef", &c.balance_coefficient, error);
    if (!status)
        status = read_number(json, "motley_router_z_loss_coef", &c.z_coefficient, error);
    if (!status)
        status = read_routing(json, &c, error);
    if (!status)
        status = motley__config_check(&c, error);
    json_decref(json);
    if (!status)
        *config = c;
    return status;
}
