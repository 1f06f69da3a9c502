/* `motley simulate`: what a step would take on a described cluster, of its size or of others, in every mode.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "cli/cli.h"
#include "plan/plan.h"
#include "profile/names.h"
#include "simulate/simulate.h"

enum { SIZES = 64 };                    /* of the cluster, in one run */

struct request {
    int64_t tokens, tokens_per_rank, width, hidden, experts, top_k, layers;
    int activation, bias, backward, dtype, wire, shares, csv;
    const char *cluster, *ranks, *mode, *svg;
};

/* 0, or the outcome of motley__options_parse. */
static int parse(int argc, char **argv, struct motley__globals *globals, struct request *request)
{
    const struct motley__option options[] = {
        {"--cluster", MOTLEY__TEXT, &request->cluster, 0, 0, "FILE", "description of nodes, devices and links", 1},
        {"--ranks", MOTLEY__TEXT, &request->ranks, 0, 0, "LIST",
         "sizes to shrink or grow it to, as 2,4,8 (its own size)", 0},
        {"--tokens", MOTLEY__INTEGER, &request->tokens, 1, 1e15, NULL, "tokens of all ranks in one step", 0},
        {"--tokens-per-rank", MOTLEY__INTEGER, &request->tokens_per_rank, 1, 1e9, NULL, "instead: of each rank", 0},
        {"--width", MOTLEY__INTEGER, &request->width, 1, INT_MAX, NULL, "model width D", 1},
        {"--hidden", MOTLEY__INTEGER, &request->hidden, 1, INT_MAX, NULL, "hidden width F of an expert", 1},
        {"--experts", MOTLEY__INTEGER, &request->experts, 1, INT_MAX, NULL, "experts of all ranks", 1},
        {"--top-k", MOTLEY__INTEGER, &request->top_k, 1, INT_MAX, NULL, "experts per token", 1},
        {"--layers", MOTLEY__INTEGER, &request->layers, 1, 1e6, NULL, "such layers in the model, for memory (1)", 0},
        {"--activation", MOTLEY__CHOICE, &request->activation, 0, 0, "relu|gelu|silu|swiglu", "of the experts (swiglu)",
         0},
        {"--bias", MOTLEY__FLAG, &request->bias, 0, 0, NULL, "experts have biases (not swiglu)", 0},
        {"--backward", MOTLEY__FLAG, &request->backward, 0, 0, NULL, "forward and backward", 0},
        {"--dtype", MOTLEY__CHOICE, &request->dtype, 0, 0, "f32|bf16|f16", "storage on devices (f32)", 0},
        {"--wire", MOTLEY__CHOICE, &request->wire, 0, 0, "f32|bf16|f16",
         "of rows between ranks, where that is narrower than --dtype: rounded (as stored)", 0},
        {"--shares", MOTLEY__CHOICE, &request->shares, 0, 0, "measured|even", "how work is shared out (measured)", 0},
        {"--mode", MOTLEY__TEXT, &request->mode, 0, 0, "M", "auto (default), expert, data, model or hybrid:r", 0},
        {"--csv", MOTLEY__FLAG, &request->csv, 0, 0, NULL, "every alternative as a line of CSV", 0},
        {"--svg", MOTLEY__TEXT, &request->svg, 0, 0, "FILE", "draw milliseconds over ranks", 0},
        {0},
    };
    return motley__options_parse(argc, argv, "simulate", "--cluster FILE --tokens T --width D --hidden F --experts E "
                                 "--top-k K [--ranks 2,4,...] [OPTIONS]", options, globals);
}

/* Sizes of a list; without one the cluster's own. */
static int read_sizes(const char *list, int own, int size[SIZES], int *count, struct motley_error *error)
{
    *count = 0;
    if (!list) {
        size[(*count)++] = own;
        return 0;
    }
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        char *end;
        const long value = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || value < 1 || value > MOTLEY__LARGEST_CLUSTER || *count == SIZES)
            return motley__fail(error, MOTLEY_E_INVALID, "--ranks '%s': expected at most %d numbers from 1 to %d with "
                                "commas between", list, SIZES, MOTLEY__LARGEST_CLUSTER);
        size[(*count)++] = (int)value;
    }
    return 0;
}

static int read_options(const struct request *request, struct motley_plan_options *options, struct motley_error *error)
{
    *options = (struct motley_plan_options){
        .wire = (enum motley_dtype)request->wire,
        .tokens = request->tokens, .backward = request->backward, .layers = (int)request->layers,
        .moments = request->backward ? 2 : 0, .shares = (enum motley_shares)request->shares,
    };
    if ((request->tokens > 0) == (request->tokens_per_rank > 0))
        return motley__fail(error, MOTLEY_E_INVALID, "give either --tokens or --tokens-per-rank");
    return motley__mode_parse("--mode", request->mode, &options->mode, &options->group, error);
}

/* What a mode comes to: its fastest groups. */
static void add_row(struct motley__table *table, const struct motley__simulation *of, enum motley_mode mode)
{
    const struct motley__alternative *best = motley__simulation_best(of, mode);
    char name[32];
    int listed = 0;

    for (int i = 0; i < of->alternatives; i++)
        listed = listed || of->alternative[i].mode == mode;
    if (of->chosen >= 0 && of->alternative[of->chosen].mode == mode)
        best = &of->alternative[of->chosen];
    if (!listed)
        return;
    if (!best) {
        motley__table_row(table, "%d|%d|%s|-|-|-|-|-|-|-|does not fit|", of->R, of->nodes, motley__mode_names[mode]);
        return;
    }
    const struct motley__prediction *p = &best->predicted;
    motley__mode_text(best->mode, best->group, name, sizeof name);
    motley__table_row(table, "%d|%d|%s|%.3f|%.3f|%.3f|%.3f|%.3f|%.2f|%.2f|%.3f|%s", of->R, of->nodes, name,
                      1e3 * motley__step_seconds(p), 1e3 * (p->forward.gate + p->backward.gate),
                      1e3 * motley__rows_seconds(p), 1e3 * motley__experts_seconds(p),
                      1e3 * (p->forward.weights + p->backward.weights), 1e-6 * p->moved, 1e-6 * p->node_moved,
                      (double)p->bytes / (1 << 30), of->chosen >= 0 && best == &of->alternative[of->chosen] ? "*" : "");
}

static int print_table(const struct motley__simulation *simulation, int count, struct motley_error *error)
{
    struct motley__table *table = motley__table_create(">ranks|>nodes|mode|>ms a step|>gate|>all-to-all|>experts|"
                                                       ">weights|>MB moved|>between nodes|>GiB, fullest|chosen");
    if (!table)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory");
    for (int s = 0; s < count; s++)
        for (int mode = MOTLEY_MODE_EXPERT; mode <= MOTLEY_MODE_HYBRID; mode++)
            add_row(table, &simulation[s], (enum motley_mode)mode);
    motley__table_print(table, stdout);
    motley__table_destroy(table);
    return 0;
}

static json_t *alternative_json(const struct motley__alternative *found)
{
    const struct motley__prediction *p = &found->predicted;
    char mode[32];
    motley__mode_text(found->mode, found->group, mode, sizeof mode);
    if (!found->fits)
        return json_pack("{s:s, s:b}", "mode", mode, "fits", 0);
    return json_pack("{s:s, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "mode", mode, "fits", 1, "step_seconds",
                     motley__step_seconds(p), "gate_seconds", p->forward.gate + p->backward.gate, "rows_seconds",
                     motley__rows_seconds(p), "experts_seconds", motley__experts_seconds(p), "weights_seconds",
                     p->forward.weights + p->backward.weights, "moved_bytes", p->moved, "node_bytes", p->node_moved,
                     "memory_bytes", (json_int_t)p->bytes);
}

static void print_json(const struct motley__simulation *simulation, int count)
{
    json_t *sizes = json_array();
    for (int s = 0; s < count; s++) {
        json_t *list = json_array();
        for (int i = 0; i < simulation[s].alternatives; i++)
            json_array_append_new(list, alternative_json(&simulation[s].alternative[i]));
        json_array_append_new(sizes, json_pack("{s:i, s:i, s:I, s:i, s:o}", "ranks", simulation[s].R, "nodes",
                                               simulation[s].nodes, "tokens", (json_int_t)simulation[s].tokens,
                                               "chosen", simulation[s].chosen, "alternatives", list));
    }
    json_t *root = json_pack("{s:o}", "sizes", sizes);
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(root);
    printf("%s\n", text ? text : "{}");
    free(text);
}

static int show(const struct request *request, const struct motley__globals *globals,
                const struct motley__simulation *simulation, int count, struct motley_error *error)
{
    char caption[160];
    int status = 0;
    if (request->csv)
        motley__simulation_csv(simulation, count, stdout);
    else if (globals->json)
        print_json(simulation, count);
    else
        status = print_table(simulation, count, error);
    snprintf(caption, sizeof caption, "%lld experts of D=%lld F=%lld, K=%lld, %lld tokens %s%s",
             (long long)request->experts, (long long)request->width, (long long)request->hidden,
             (long long)request->top_k,
             (long long)(request->tokens ? request->tokens : request->tokens_per_rank),
             request->tokens ? "a step" : "a rank", request->backward ? ", forward and backward" : "");
    if (!status && request->svg)
        status = motley__simulation_plot(request->svg, simulation, count, caption, error);
    return status;
}

static int simulate(const struct request *request, const struct motley__globals *globals, struct motley_error *error)
{
    const struct motley_layer_shape shape = {
        .D = (int)request->width, .F = (int)request->hidden, .E = (int)request->experts, .K = (int)request->top_k,
        .activation = (enum motley_activation)request->activation, .bias = request->bias,
        .dtype = (enum motley_dtype)request->dtype,
    };
    struct motley_plan_options options;
    struct motley__cluster cluster = {0};
    struct motley__simulation *simulation = malloc(SIZES * sizeof *simulation);
    int size[SIZES], count = 0, status = read_options(request, &options, error);
    if (!simulation)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory");
    if (!status)
        status = motley__plan_check(&shape, &options, error);
    if (!status)
        status = motley__cluster_read(request->cluster, &cluster, error);
    if (!status)
        status = read_sizes(request->ranks, motley__cluster_ranks(&cluster), size, &count, error);
    for (int s = 0; s < count && !status; s++) {
        if (request->tokens_per_rank)
            options.tokens = size[s] * request->tokens_per_rank;
        status = motley__simulate(&cluster, &shape, &options, size[s], &simulation[s], error);
    }
    if (!status)
        status = show(request, globals, simulation, count, error);
    motley__cluster_clear(&cluster);
    free(simulation);
    return status;
}

int motley__command_simulate(int argc, char **argv, struct motley__globals *globals)
{
    struct request request = {.activation = MOTLEY_SWIGLU, .mode = "auto"};
    struct motley_error error = {0};
    int rank, status = 0, outcome = parse(argc, argv, globals, &request);
    if (outcome)
        return outcome == 1 ? 0 : 2;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        status = simulate(&request, globals, &error);
    status = motley__agree(MPI_COMM_WORLD, status, &error);
    return status ? motley__command_failed("simulate", &error) : 0;
}
