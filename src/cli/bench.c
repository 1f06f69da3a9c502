/* `motley bench`: the operators, or whole layers, against what the device can do at most and against others; or what
 * goes between ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "bench/alternate.h"
#include "bench/bench.h"
#include "bench/exchange.h"
#include "cli/cli.h"

static const char SYNOPSIS[] = "operators|layer|exchange [--csv] [--full] [OPTIONS]";

struct request {
    struct motley__bench_request bench;
    int csv, exchange;
};

/* 0, or the outcome of motley__options_parse. */
static int parse(int argc, char **argv, struct motley__globals *globals, struct request *request)
{
    struct motley__bench_request *bench = &request->bench;
    const struct motley__option options[] = {
        {"--csv", MOTLEY__FLAG, &request->csv, 0, 0, NULL, "rows as comma-separated values", 0},
        {"--full", MOTLEY__FLAG, &bench->full, 0, 0, NULL, "every storage type, routing and peer", 0},
        {"--operator", MOTLEY__TEXT, &bench->operators, 0, 0, "LIST", "these alone, as esmm,estmm", 0},
        {"--dtype", MOTLEY__TEXT, &bench->dtypes, 0, 0, "LIST", "storage types: f32|bf16|f16", 0},
        {"--shape", MOTLEY__TEXT, &bench->shapes, 0, 0, "LIST", "these alone, ExKxDxF as 8x2x1024x2816", 0},
        {"--tokens", MOTLEY__TEXT, &bench->tokens, 0, 0, "LIST", "these numbers T alone, as 1,512", 0},
        {"--routing", MOTLEY__TEXT, &bench->routings, 0, 0, "LIST", "these alone: " MOTLEY__ROUTING_NAMES, 0},
        {"--peer", MOTLEY__TEXT, &bench->peers, 0, 0, "LIST", "these alone: openblas|clblast|none", 0},
        {"--activation", MOTLEY__CHOICE, &bench->activation, 0, 0, "swiglu|relu", "of whole layers (swiglu)", 0},
        {"--cases", MOTLEY__TEXT, &bench->cases, 0, 0, "TEXT",
         "cells whose name has this, as 'estmm backward E8 K2 T512'", 0},
        {"--seconds", MOTLEY__NUMBER, &bench->seconds, 1e-3, 1e6, "s", "for the rounds of each row (0.6)", 0},
        {"--rounds", MOTLEY__INTEGER, &bench->rounds, 1, MOTLEY__ROUNDS, "n",
         "so many for each row, however long they take", 0},
        {"--seed", MOTLEY__INTEGER, &bench->seed, 0, 1e15, "s", "of the routings (1)", 0},
        {0},
    };
    return motley__options_parse(argc, argv, "bench", SYNOPSIS, options, globals);
}

/* The word behind the command's name; *words of it. */
static int read_what(int argc, char **argv, struct request *request, int *words, struct motley_error *error)
{
    *words = argc > 0 && strncmp(argv[0], "--", 2) != 0;
    if (*words && !strcmp(argv[0], "layer"))
        request->bench.layer = 1;
    else if (*words && !strcmp(argv[0], "exchange"))
        request->exchange = 1;
    else if (!*words || strcmp(argv[0], "operators") != 0)
        return motley__fail(error, MOTLEY_E_INVALID, "expected one of operators, layer, exchange behind it, found '%s'",
                            argc > 0 ? argv[0] : "nothing");
    return 0;
}

/* Until all ranks are here, without keeping a core busy. */
static void meet(void)
{
    MPI_Request request;
    int there = 0;
    for (MPI_Ibarrier(MPI_COMM_WORLD, &request); !there; motley__sleep(0.01))
        MPI_Test(&request, &there, MPI_STATUS_IGNORE);
}

/* One device at a time: rank 0 measures, the others wait. */
static int measure(motley_context *context, const struct motley__bench_request *request, struct motley_error *error)
{
    int status = 0;
    if (context->rank == 0)
        status = motley__bench(context, request, error);
    meet();
    return motley__agree(MPI_COMM_WORLD, status, error);
}

int motley__command_bench(int argc, char **argv, struct motley__globals *globals)
{
    struct request request = {.bench = {.seed = 1}};
    struct motley__selection selection; /* only whether it can be made */
    struct motley_error error = {0};
    motley_context *context = NULL;
    int rank, words, status = read_what(argc, argv, &request, &words, &error);
    int outcome = parse(argc - words, argv + words, globals, &request);
    if (outcome)
        return outcome == 1 ? 0 : 2;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (!status)
        status = motley__select(&request.bench, 0, &selection, &error);
    if (status && rank == 0)
        fprintf(stderr, "motley bench: %s\n", error.text);
    if (status)
        return 2;
    request.bench.format = request.csv     ? MOTLEY__FORMAT_CSV
                           : globals->json ? MOTLEY__FORMAT_JSON
                                           : MOTLEY__FORMAT_TABLE;
    request.bench.quiet = globals->quiet;
    status = motley_context_create(MPI_COMM_WORLD, &globals->context, &context, &error);
    if (!status)
        status = request.exchange ? motley__bench_exchange(context, &request.bench, &error)
                                  : measure(context, &request.bench, &error);
    motley_context_destroy(context);
    return status ? motley__command_failed("bench", &error) : 0;
}
