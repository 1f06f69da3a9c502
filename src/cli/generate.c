/* `motley generate`: text from a trained model.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <math.h>

#include "base/error.h"
#include "cli/cli.h"
#include "context.h"

struct request {
    const char *model, *prompt;
    int64_t max_tokens, sample_top_k, seed;
    double temperature, top_p;
    int dtype;
};

static int parse(int argc, char **argv, struct motley__globals *globals, struct request *r)
{
    const struct motley__option options[] = {
        {"--model", MOTLEY__TEXT, &r->model, 0, 0, NULL, "a checkpoint, or the --output of motley train", 1},
        {"--prompt", MOTLEY__TEXT, &r->prompt, 0, 0, NULL, "the text to continue", 1},
        {"--max-tokens", MOTLEY__INTEGER, &r->max_tokens, 1, 1 << 30, NULL, "bytes to write (256)", 0},
        {"--temperature", MOTLEY__NUMBER, &r->temperature, 0, 100, NULL, "0: always the likeliest (1)", 0},
        {"--top-p", MOTLEY__NUMBER, &r->top_p, 1e-9, 1, NULL, "only the likeliest with this probability together (1)",
         0},
        {"--sample-top-k", MOTLEY__INTEGER, &r->sample_top_k, 1, INT_MAX, NULL, "only the so many likeliest (all)", 0},
        {"--seed", MOTLEY__INTEGER, &r->seed, 0, 9e18, NULL, "the same seed gives the same text (0)", 0},
        {"--dtype", MOTLEY__CHOICE, &r->dtype, 0, 0, "f32|bf16|f16", "of weights and activations (f32)", 0},
        {0},
    };
    return motley__options_parse(argc, argv, "generate", "--model DIRECTORY --prompt TEXT [OPTIONS]", options, globals);
}

/* The text as it comes, behind its prompt. */
struct display {
    const char *prompt; /* NULL once it is shown */
};

static void emit(void *user, const char *bytes, size_t count)
{
    struct display *display = user;
    if (display->prompt)
        fputs(display->prompt, stdout);
    display->prompt = NULL;
    fwrite(bytes, 1, count, stdout);
    fflush(stdout);
}

static int generate(motley_context *context, const struct request *r, struct motley_error *error)
{
    const struct motley_generate_options options = {
        .tokens = r->max_tokens, .temperature = isnan(r->temperature) ? 0 : r->temperature == 0 ? -1 : r->temperature,
        .top_p = r->top_p, .top_k = (int)r->sample_top_k, .seed = (uint64_t)r->seed,
        .dtype = (enum motley_dtype)r->dtype,
    };
    struct display display = {r->prompt};
    int status = motley_generate(context, r->model, r->prompt, &options, emit, &display, error);
    if (status)
        return status;
    if (motley_context_rank(context) == 0 && (putchar('\n') == EOF || fflush(stdout) || ferror(stdout)))
        status = motley__fail(error, MOTLEY_E_IO, "the text cannot be written to standard output");
    return motley__context_agree(context, status, error);
}

int motley__command_generate(int argc, char **argv, struct motley__globals *globals)
{
    struct request request = {.temperature = NAN};
    struct motley_error error = {0};
    motley_context *context = NULL;
    int outcome = parse(argc, argv, globals, &request);
    if (outcome)
        return outcome == 1 ? 0 : 2;
    int status = motley_context_create(MPI_COMM_WORLD, &globals->context, &context, &error);
    if (!status)
        status = generate(context, &request, &error);
    if (status)
        outcome = motley__command_failed("generate", &error);
    motley_context_destroy(context);
    return outcome;
}
