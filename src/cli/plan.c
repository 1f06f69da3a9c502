/* `motley plan`: who would compute what, from what the devices were measured to do.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/mode.h"
#include "base/error.h"
#include "cli/cli.h"

struct request {
    int64_t tokens, width, hidden, experts, top_k;
    int activation, bias, backward, dtype, wire, shares;
    double capacity;
    const char *mode, *coactivation, *loads;
    int64_t coactivation_layer;         /* -1: all */
    enum motley_mode how;               /* what mode says */
    int group;
};

/* 0, or the outcome of motley__options_parse. */
static int parse(int argc, char **argv, struct motley__globals *globals, struct request *request)
{
    const struct motley__option options[] = {
        {"--tokens", MOTLEY__INTEGER, &request->tokens, 1, 1e15, NULL, "tokens of all ranks in one step", 1},
        {"--width", MOTLEY__INTEGER, &request->width, 1, INT_MAX, NULL, "model width D", 1},
        {"--hidden", MOTLEY__INTEGER, &request->hidden, 1, INT_MAX, NULL, "hidden width F of an expert", 1},
        {"--experts", MOTLEY__INTEGER, &request->experts, 1, INT_MAX, NULL, "experts of all ranks", 1},
        {"--top-k", MOTLEY__INTEGER, &request->top_k, 1, INT_MAX, NULL, "experts per token", 1},
        {"--activation", MOTLEY__CHOICE, &request->activation, 0, 0, "relu|gelu|silu|swiglu", "of the experts (swiglu)",
         0},
        {"--bias", MOTLEY__FLAG, &request->bias, 0, 0, NULL, "experts have biases (not swiglu)", 0},
        {"--backward", MOTLEY__FLAG, &request->backward, 0, 0, NULL, "plan for training: forward and backward", 0},
        {"--dtype", MOTLEY__CHOICE, &request->dtype, 0, 0, "f32|bf16|f16", "storage on devices (f32)", 0},
        {"--wire", MOTLEY__CHOICE, &request->wire, 0, 0, "f32|bf16|f16",
         "of rows between ranks, where that is narrower than --dtype: rounded (as stored)", 0},
        {"--shares", MOTLEY__CHOICE, &request->shares, 0, 0, "measured|even", "how experts are shared out (measured)",
         0},
        {"--mode", MOTLEY__TEXT, &request->mode, 0, 0, MOTLEY__MODES, "how the work is divided (auto: as is fastest)",
         0},
        {"--coactivation", MOTLEY__TEXT, &request->coactivation, 0, 0, "FILE",
         "put experts that tokens chose together on one rank", 0},
        {"--coactivation-layer", MOTLEY__INTEGER, &request->coactivation_layer, 0, INT_MAX - 1, NULL,
         "look at one layer of it, from 0 (each, and all together)", 0},
        {"--capacity", MOTLEY__NUMBER, &request->capacity, -1e9, 1e9, "f",
         "an expert takes at most K * int(|f| * ceil(tokens / E)) choices of a step (0: all)", 0},
        {"--loads", MOTLEY__TEXT, &request->loads, 0, 0, "FILE",
         "routed pairs of each expert, in any scale: one number a line (all alike)", 0},
        {0},
    };
    return motley__options_parse(argc, argv, "plan", "--tokens T --width D --hidden F --experts E --top-k K [OPTIONS]",
                                 options, globals);
}

static int check(struct request *request, struct motley_error *error)
{
    return motley__mode_parse("--mode", request->mode, &request->how, &request->group, error);
}

static int print(const motley_plan *plan, int json, struct motley_error *error)
{
    char *text;
    if (!json) {
        motley_plan_print(plan, stdout);
        return 0;
    }
    int status = motley_plan_text(plan, &text, error);
    if (!status) {
        printf("%s\n", text);
        free(text);
    }
    return status;
}

int motley__command_plan(int argc, char **argv, struct motley__globals *globals)
{
    struct request request = {.activation = MOTLEY_SWIGLU, .mode = "auto", .coactivation_layer = -1};
    struct motley_error error = {0};
    motley_context *context = NULL;
    motley_plan *plan = NULL;
    motley_coactivation *coactivation = NULL;
    double *load = NULL;
    int outcome = parse(argc, argv, globals, &request);
    if (outcome)
        return outcome == 1 ? 0 : 2;
    const struct motley_layer_shape shape = {
        .D = (int)request.width, .F = (int)request.hidden, .E = (int)request.experts, .K = (int)request.top_k,
        .activation = (enum motley_activation)request.activation, .bias = request.bias,
        .dtype = (enum motley_dtype)request.dtype,
    };
    const double limit = globals->context.time_limit_seconds;
    int status = motley__agree_within(MPI_COMM_WORLD, limit, check(&request, &error), &error);
    if (!status)
        status = motley__coactivation_given(request.coactivation, request.coactivation_layer, limit, &coactivation,
                                            &error);
    if (!status)
        status = motley__loads_read(request.loads, shape.E, limit, &load, &error);
    const struct motley_plan_options options = {
        .tokens = request.tokens, .backward = request.backward, .shares = (enum motley_shares)request.shares,
        .mode = request.how, .group = request.group, .coactivation = coactivation,
        .coactivation_layer = (int)request.coactivation_layer + 1, .load = load, .capacity = request.capacity,
        .wire = (enum motley_dtype)request.wire,
    };
    if (!status)
        status = motley_context_create(MPI_COMM_WORLD, &globals->context, &context, &error);
    if (!status)
        status = motley_plan_create(context, &shape, &options, &plan, &error);
    if (!status && motley_context_rank(context) == 0)
        status = print(plan, globals->json, &error);
    if (context)
        status = motley__agree_within(MPI_COMM_WORLD, limit, status, &error);
    motley_plan_destroy(plan);
    motley_coactivation_destroy(coactivation);
    motley_context_destroy(context);
    free(load);
    return status ? motley__command_failed("plan", &error) : 0;
}
