/* The sizes of a decoder, checked.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "model/config.h"

struct motley__config motley__config_default(void)
{
    return (struct motley__config){
        .vocabulary = 256, .D = 128, .layers = 4, .heads = 4, .kv_heads = 4, .F = 256, .E = 8, .K = 2,
        .positions = 256, .rope_theta = 10000, .norm_eps = 1e-5, .balance_coefficient = 0.02, .z_coefficient = 1e-3,
    };
}

int motley__config_gate_width(int D)
{
    return D > 512 ? 256 : (D + 1) / 2;
}

struct motley_layer_shape motley__config_shape(const struct motley__config *c, enum motley_dtype dtype)
{
    return (struct motley_layer_shape){.D = c->D, .F = c->F, .E = c->E, .K = c->K, .activation = MOTLEY_SWIGLU,
                                       .gate = c->gate, .gate_width = c->gate_width, .normalize = 1, .dtype = dtype};
}

static int check_range(const char *name, int value, int low, int high, struct motley_error *error)
{
    if (value >= low && value <= high)
        return 0;
    return motley__fail(error, MOTLEY_E_INVALID, "%s must be between %d and %d, but it is %d", name, low, high, value);
}

static int check_number(const char *name, double value, int zero, struct motley_error *error)
{
    if (isfinite(value) && (value > 0 || (zero && value == 0)))
        return 0;
    return motley__fail(error, MOTLEY_E_INVALID, "%s must be a %s number, but it is %g", name,
                        zero ? "non-negative" : "positive", value);
}

int motley__config_check(const struct motley__config *c, struct motley_error *error)
{
    const struct {
        const char *name;
        int value, low, high;
    } range[] = {
        {"vocabulary (vocab_size)", c->vocabulary, 1, 256},
        {"width (hidden_size)", c->D, 1, 1 << 20},
        {"layers (num_hidden_layers)", c->layers, 1, 10000},
        {"heads (num_attention_heads)", c->heads, 1, c->D},
        {"key heads (num_key_value_heads)", c->kv_heads, 1, c->heads},
        {"hidden width (intermediate_size)", c->F, 1, 1 << 20},
        {"experts (num_local_experts)", c->E, 1, 1 << 16},
        {"experts per token (num_experts_per_tok)", c->K, 1, c->E},
        {"positions (max_position_embeddings)", c->positions, 1, 1 << 24},
        {"gate (motley_gate)", (int)c->gate, MOTLEY_GATE_SOFTMAX, MOTLEY_GATE_COSINE},
        {"the gate's width (motley_gate_width)", c->gate_width, c->gate == MOTLEY_GATE_COSINE,
         c->gate == MOTLEY_GATE_COSINE ? 256 : 0},
    };
    for (unsigned i = 0; i < sizeof range / sizeof range[0]; i++) {
        int status = check_range(range[i].name, range[i].value, range[i].low, range[i].high, error);
        if (status)
            return status;
    }
    if (c->D % c->heads || c->D / c->heads % 2)
        return motley__fail(error, MOTLEY_E_INVALID, "the width must be an even multiple of the heads, but it is %d "
                            "with %d heads", c->D, c->heads);
    if (c->heads % c->kv_heads)
        return motley__fail(error, MOTLEY_E_INVALID, "the key heads must divide the %d heads, but there are %d",
                            c->heads, c->kv_heads);
    int status = check_number("rope_theta", c->rope_theta, 0, error);
    if (!status)
        status = check_number("rms_norm_eps", c->norm_eps, 0, error);
    if (!status)
        status = check_number("the balance coefficient", c->balance_coefficient, 1, error);
    if (!status)
        status = check_number("the z-loss coefficient", c->z_coefficient, 1, error);
    if (!status && c->z_coefficient > 0 && c->gate == MOTLEY_GATE_SIGMOID)
        status = motley__fail(error, MOTLEY_E_INVALID, "a z-loss of %g with a sigmoid gate, whose scores do not share "
                              "their logits' sum; leave it out", c->z_coefficient);
    return status;
}

/* Of one layer. */
static double gate_weights(const struct motley__config *c)
{
    const double D = c->D, E = c->E, P = c->gate_width;
    return c->gate == MOTLEY_GATE_COSINE ? E * P + P * D + P + 1 : c->gate == MOTLEY_GATE_SIGMOID ? E * D + E : E * D;
}

double motley__config_weights(const struct motley__config *c, double *active)
{
    const double D = c->D, kv = D / c->heads * c->kv_heads;
    const double block = 2 * D * D + 2 * D * kv + 2 * D + gate_weights(c), expert = 3 * D * c->F;
    const double dense = 2 * D * c->vocabulary + D + c->layers * block;
    if (active)
        *active = dense + c->layers * c->K * expert;
    return dense + c->layers * c->E * expert;
}
