/* `motley layer`: bring your own tensors, get what the layer makes of them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocate/mode.h"
#include "base/collective.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/layer_job.h"

/* Options of which this version knows only one meaning.  The others are valid and refused by name. */
struct later {
    const char *mode, *pipeline;
    int exchange;
    uint64_t expert_memory;
};

/* An option of which every value asks for something else. */
static int refuse_option(const char *option, struct motley_error *error)
{
    return motley__fail(error, MOTLEY_E_UNSUPPORTED, "%s: this version has not that; leave it out", option);
}

static int refuse_later(const struct later *later, struct motley_error *error)
{
    if (later->expert_memory > 0)
        return refuse_option("--expert-memory", error);
    return 0;
}

/* "auto", or a number of chunks. */
static int parse_pipeline(const char *text, int *chunks, struct motley_error *error)
{
    static const char *const WORDS[] = {"1", "2", "4", "8"};
    *chunks = 0;
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, WORDS[i]))
            *chunks = 1 << i;
    if (*chunks || !strcmp(text, "auto"))
        return 0;
    return motley__fail(error, MOTLEY_E_INVALID, "--pipeline: expected auto, 1, 2, 4 or 8, found '%s'", text);
}

/* 0, or the outcome of motley__options_parse. */
static int parse(int argc, char **argv, struct motley__globals *globals, struct motley__layer_job *job,
                 struct later *later)
{
    struct motley__layer_request *request = &job->request;
    int gate = MOTLEY_GATE_SOFTMAX, activation = -1, shares = MOTLEY_SHARES_MEASURED, dtype = MOTLEY_F32;
    int wire = MOTLEY_F32;
    const struct motley__option options[] = {
        {"--input", MOTLEY__TEXT, &job->input_path, 0, 0, "IN.safetensors",
         "x, gate, w1, w2 [w3 b1 b2 dy gate_correction cos_* forced tokens_per_rank]", 1},
        {"--output", MOTLEY__TEXT, &job->output_path, 0, 0, "OUT.safetensors",
         "y, indices, weights [dx dgate dw1 dw2 dw3 db1 db2 dcos_*]", 1},
        {"--top-k", MOTLEY__INTEGER, &request->top_k, 1, INT_MAX, NULL,
         "experts per token (default 2, or the width of forced)", 0},
        {"--activation", MOTLEY__CHOICE, &activation, 0, 0, "relu|gelu|silu|swiglu",
         "default: swiglu when the input has w3, else relu", 0},
        {"--gate", MOTLEY__CHOICE, &gate, 0, 0, "softmax|sigmoid|cosine|forced",
         "how experts are chosen (softmax)", 0},
        {"--normalize", MOTLEY__FLAG, &request->normalize, 0, 0, NULL, "divide a token's weights by their sum", 0},
        {"--backward", MOTLEY__FLAG, &request->backward, 0, 0, NULL,
         "gradients of sum(y*dy), and of the losses, too", 0},
        {"--shares", MOTLEY__CHOICE, &shares, 0, 0, "measured|even", "how experts are shared out (measured)", 0},
        {"--repeat", MOTLEY__INTEGER, &request->repeat, 1, 1000000, NULL, "timed steps after one to warm up (1)", 0},
        {"--stats", MOTLEY__TEXT, &job->stats_path, 0, 0, "FILE.json", "write what every rank did, as JSON", 0},
        {"--dtype", MOTLEY__CHOICE, &dtype, 0, 0, "f32|bf16|f16", "storage on devices (f32)", 0},
        {"--mode", MOTLEY__TEXT, &later->mode, 0, 0, MOTLEY__MODES, "how the work is divided (auto: as is fastest)", 0},
        {"--loads", MOTLEY__TEXT, &job->loads_path, 0, 0, "FILE",
         "routed pairs each expert will get, in any scale: one number a line (all alike)", 0},
        {"--exchange", MOTLEY__CHOICE, &later->exchange, 0, 0, "auto|linear|hierarchical", "how rows travel (auto)", 0},
        {"--dedup", MOTLEY__CHOICE, &request->duplicate, 0, 0, "on|off", "a token goes once to a rank (on)", 0},
        {"--pipeline", MOTLEY__TEXT, &later->pipeline, 0, 0, "auto|1|2|4|8",
         "chunks of a step that travel while others are computed (auto)", 0},
        {"--wire", MOTLEY__CHOICE, &wire, 0, 0, "f32|bf16|f16",
         "of rows between ranks, where that is narrower than --dtype: rounded (as stored)", 0},
        {"--capacity", MOTLEY__NUMBER, &request->routing.capacity, -1e9, 1e9, "f",
         "an expert takes K * int(|f| * ceil(T / E)) rows; 0: all (0)", 0},
        {"--bpr", MOTLEY__FLAG, &request->routing.prioritised, 0, 0, NULL,
         "with --capacity: tokens in order of their best score", 0},
        {"--weigh", MOTLEY__CHOICE, &request->routing.before, 0, 0, "after|before",
         "weights multiply what experts return, or what they are given (after)", 0},
        {"--noise", MOTLEY__NUMBER, &request->routing.noise, 0, 1e9, "s",
         "normal numbers of deviation s / E are added to the gate's logits (0)", 0},
        {"--seed", MOTLEY__INTEGER, &request->seed, 0, INT64_MAX, NULL, "of the noise (0)", 0},
        {"--balance", MOTLEY__NUMBER, &request->losses.balance, 0, 1e9, NULL,
         "coefficient of the gate's balance loss (0: not computed)", 0},
        {"--z-loss", MOTLEY__NUMBER, &request->losses.z, 0, 1e9, NULL, "of its z-loss (0)", 0},
        {"--importance", MOTLEY__NUMBER, &request->losses.importance, 0, 1e9, NULL,
         "of its importance and load loss; needs --noise (0)", 0},
        {"--coactivation", MOTLEY__TEXT, &job->coactivation_path, 0, 0, "FILE",
         "put experts that tokens chose together on one rank", 0},
        {"--coactivation-layer", MOTLEY__INTEGER, &request->coactivation_layer, 0, INT_MAX - 1, NULL,
         "look at one layer of it, from 0 (all together)", 0},
        {"--collaborators", MOTLEY__INTEGER, &request->collaborators, 1, INT_MAX, NULL,
         "beside its first expert a token chooses among so many of its closest", 0},
        {"--record-coactivation", MOTLEY__TEXT, &job->record_path, 0, 0, "FILE",
         "write which experts tokens chose together", 0},
        {"--expert-memory", MOTLEY__BYTES, &later->expert_memory, 0, 0, NULL, "not in this version", 0},
        {0},
    };
    request->repeat = 1;
    request->coactivation_layer = -1;
    later->mode = later->pipeline = "auto";
    int outcome = motley__options_parse(argc, argv, "layer",
                                        "--input IN.safetensors --output OUT.safetensors [OPTIONS]", options, globals);
    request->activation = activation;
    request->records = job->record_path != NULL;
    request->shares = (enum motley_shares)shares;
    request->dtype = (enum motley_dtype)dtype;
    request->wire = (enum motley_dtype)wire;
    request->exchange = (enum motley_exchange)later->exchange;
    request->gate = (enum motley_gate)gate;
    request->routing.seed = (uint64_t)request->seed;
    return outcome;
}

/* Several command lines under one mpirun must ask for the same. */
static int compare_requests(const struct motley__layer_job *job, struct motley_error *error)
{
    struct motley__layer_request first = job->request;
    int status = motley__broadcast(MPI_COMM_WORLD, job->time_limit, 0, &first, sizeof first, MPI_BYTE, error);
    const struct motley__layer_request *own = &job->request;
    int same = own->top_k == first.top_k && own->repeat == first.repeat && own->activation == first.activation &&
               own->gate == first.gate && own->normalize == first.normalize && own->backward == first.backward &&
               own->shares == first.shares && own->dtype == first.dtype && own->mode == first.mode &&
               own->group == first.group && own->coactivation_layer == first.coactivation_layer &&
               own->collaborators == first.collaborators && own->exchange == first.exchange &&
               own->duplicate == first.duplicate && own->pipeline == first.pipeline &&
               own->wire == first.wire && own->records == first.records;
    if (!status && !same)
        status = motley__fail(error, MOTLEY_E_MISMATCH,
                              "expected the options of rank 0, found others; give every rank the same");
    return motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
}

/* The outputs can be created: better known now than after the work. */
static int probe_outputs(const struct motley__layer_job *job, struct motley_error *error)
{
    const char *paths[3] = {job->output_path, job->stats_path, job->record_path};
    for (int i = 0; i < 3; i++) {
        struct motley__new_file file;
        if (!paths[i])
            continue;
        int status = motley__new_file_open(paths[i], &file, error);
        if (status)
            return status;
        motley__new_file_discard(&file);
    }
    return 0;
}

/* Rank 0 looks, all know. */
static int open_input(struct motley__layer_job *job, struct motley_error *error)
{
    int status = 0;
    job->first = calloc((size_t)job->R + 1, sizeof *job->first);
    if (!job->first)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d ranks", job->R);
    if (!status && job->rank == 0)
        status = probe_outputs(job, error);
    if (!status && job->rank == 0)
        status = motley__layer_input_check(job, error);
    status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
    const struct {
        void *numbers;
        int count;
        MPI_Datatype type;
    } told[] = {{&job->shape, sizeof job->shape, MPI_BYTE}, {job->present, MOTLEY__WEIGHTS, MPI_INT},
                {&job->T, 1, MPI_INT64_T}, {job->first, job->R + 1, MPI_INT64_T}, {&job->tokens_given, 1, MPI_INT}};
    for (size_t i = 0; i < sizeof told / sizeof *told && !status; i++)
        status = motley__broadcast(MPI_COMM_WORLD, job->time_limit, 0, told[i].numbers, told[i].count, told[i].type,
                                   error);
    return status;
}

static int make_plan(struct motley__layer_job *job, struct motley_error *error)
{
    int64_t *tokens = malloc((size_t)job->R * sizeof *tokens);
    double *load = NULL;
    int status = tokens ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d ranks", job->R);
    status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
    for (int r = 0; r < job->R && !status; r++)
        tokens[r] = job->first[r + 1] - job->first[r];
    if (!status)
        status = motley__loads_read(job->loads_path, job->shape.E, job->time_limit, &load, error);
    const struct motley_plan_options options = {.tokens = job->T, .tokens_of = job->tokens_given ? tokens : NULL,
                                                .backward = job->request.backward, .shares = job->request.shares,
                                                .mode = job->request.mode, .group = job->request.group,
                                                .coactivation = job->coactivation,
                                                .coactivation_layer = (int)job->request.coactivation_layer + 1,
                                                .exchange = job->request.exchange,
                                                .duplicate = job->request.duplicate, .wire = job->request.wire,
                                                .pipeline = job->request.pipeline, .load = load,
                                                .capacity = job->request.routing.capacity};
    if (!status)
        status = motley_plan_create(job->context, &job->shape, &options, &job->plan, error);
    free(tokens);
    free(load);
    if (status)
        return status;
    if (job->progress)
        motley_plan_print(job->plan, job->progress);
    for (int r = 0; r < job->R && !job->tokens_given && motley_plan_mode(job->plan) == MOTLEY_MODE_DATA; r++)
        job->first[r + 1] = job->first[r] + motley_plan_rank(job->plan, r).tokens;
    return 0;
}

/* The stats come before the output: whoever sees the output finds them too. */
static int write_results(struct motley__layer_job *job, int print, struct motley_error *error)
{
    char *stats;
    int status = motley__layer_stats_gather(job, &stats, error);
    if (status)
        return status;
    if (job->rank == 0 && job->stats_path)
        status = motley__file_write(job->stats_path, stats, strlen(stats), error);
    status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
    if (!status) {
        status = motley__layer_output_write(job, error);
        if (status && job->rank == 0 && job->stats_path)
            unlink(job->stats_path);
    }
    if (!status && print && job->rank == 0 && fputs(stats, stdout) < 0)
        status = motley__fail(error, MOTLEY_E_IO, "the stats cannot be written to standard output");
    free(stats);
    return motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
}

static int run(struct motley__layer_job *job, const struct motley__globals *globals, const struct later *later,
               struct motley_error *error)
{
    int status = refuse_later(later, error);
    if (!status && job->request.collaborators && !job->coactivation_path)
        status = motley__fail(error, MOTLEY_E_INVALID, "--collaborators: expected --coactivation FILE beside it");
    if (!status)
        status = motley__mode_parse("--mode", later->mode, &job->request.mode, &job->request.group, error);
    if (!status)
        status = parse_pipeline(later->pipeline, &job->request.pipeline, error);
    if (!status)
        status = motley__mode_possible(job->request.mode, job->request.group, job->R, error);
    status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
    if (!status)
        status = compare_requests(job, error);
    if (!status)
        status = motley__coactivation_given(job->coactivation_path, job->request.coactivation_layer, job->time_limit,
                                            &job->coactivation, error);
    if (!status)
        status = open_input(job, error);
    if (!status)
        status = motley_context_create(MPI_COMM_WORLD, &globals->context, &job->context, error);
    if (!status)
        status = make_plan(job, error);
    if (!status)
        status = motley__layer_load_tokens(job, error);
    if (!status)
        status = motley_layer_create(job->context, job->plan, &job->layer, error);
    if (!status && job->request.collaborators)
        status = motley__agree_within(MPI_COMM_WORLD, job->time_limit,
                               motley_layer_collaborate(job->layer, job->coactivation,
                                                        (int)job->request.coactivation_layer + 1,
                                                        (int)job->request.collaborators, error), error);
    if (!status)
        status = motley_layer_set_routing(job->layer, &job->request.routing, error);
    if (!status)
        status = motley_layer_set_losses(job->layer, &job->request.losses, error);
    if (!status)
        status = motley__layer_load_weights(job, error);
    if (!status)
        status = motley__layer_run_steps(job, error);
    if (!status && job->record_path)
        status = motley__layer_record(job, error);
    if (!status)
        status = write_results(job, globals->json, error);
    return status;
}

static void release(struct motley__layer_job *job)
{
    motley_layer_destroy(job->layer);
    free(job->forced);
    motley_tensor_destroy(job->dx);
    motley_tensor_destroy(job->dy);
    motley_tensor_destroy(job->y);
    motley_tensor_destroy(job->x);
    motley_plan_destroy(job->plan);
    motley_coactivation_destroy(job->coactivation);
    motley_context_destroy(job->context);
    motley__safetensors_close(job->input);
    free(job->first);
}

int motley__command_layer(int argc, char **argv, struct motley__globals *globals)
{
    struct motley__layer_job job = {0};
    struct later later = {0};
    struct motley_error error = {0};
    int outcome = parse(argc, argv, globals, &job, &later);
    if (outcome)
        return outcome == 1 ? 0 : 2;
    MPI_Comm_rank(MPI_COMM_WORLD, &job.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &job.R);
    job.time_limit = globals->context.time_limit_seconds;
    job.progress = job.rank == 0 && !globals->quiet ? stderr : NULL;
    if (run(&job, globals, &later, &error))
        outcome = motley__command_failed("layer", &error);
    release(&job);
    return outcome;
}
