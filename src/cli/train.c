/* `motley train`: a language model of mixture-of-experts layers from text, over all ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>

#include "allocate/mode.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/table.h"
#include "cli/cli.h"
#include "context.h"
#include "device/storage.h"
#include "profile/names.h"

/* Set by SIGTERM, SIGINT or SIGUSR1: save and stop.  A handler can reach nothing else. */
static volatile sig_atomic_t stop_requested;

static void request_stop(int signal_number)
{
    (void)signal_number;
    stop_requested = 1;
}

/* The command line; numbers that were not given stay as they are marked here, so that 0 can mean 0. */
struct request {
    struct motley__paths text;
    uint64_t text_limit;
    const char *output;
    int64_t width, layers, heads, hidden, experts, top_k, sequence;
    int64_t steps, batch, warmup, seed, save_every, eval_every, held_out;
    double learning_rate, weight_decay, beta1, beta2, clip, balance, z_loss;
    double correction_rate, noise, importance, capacity;
    int gate, weigh, prioritised;
    const char *how;                    /* --mode */
    enum motley_mode mode;
    int shares, dtype, wire, resume, group, keep_plan;
    const char *coactivation, *record;
    int64_t collaborators;
};

static const int64_t NO_INTEGER = INT64_MIN;
enum { NO_CHOICE = -1 };

static struct request nothing_given(void)
{
    return (struct request){.warmup = NO_INTEGER, .save_every = NO_INTEGER, .eval_every = NO_INTEGER,
                            .weight_decay = NAN, .clip = NAN, .balance = NAN, .z_loss = NAN, .dtype = NO_CHOICE,
                            .correction_rate = NAN, .noise = NAN, .importance = NAN, .capacity = NAN,
                            .wire = NO_CHOICE, .gate = NO_CHOICE, .weigh = NO_CHOICE};
}

static int parse(int argc, char **argv, struct motley__globals *globals, struct request *r)
{
    const double most = 1e15;
    const struct motley__option options[] = {
        {"--text", MOTLEY__PATHS, &r->text, 0, 0, NULL, "text files, or directories of them; split off for judging: 5%",
         0},
        {"--text-limit", MOTLEY__BYTES, &r->text_limit, 0, 0, NULL, "use only the first bytes, as 64M (all)", 0},
        {"--output", MOTLEY__TEXT, &r->output, 0, 0, NULL, "directory for checkpoints, loss.csv and loss.svg", 1},
        {"--resume", MOTLEY__FLAG, &r->resume, 0, 0, NULL, "go on from the newest checkpoint in --output", 0},
        {"--steps", MOTLEY__INTEGER, &r->steps, 1, most, NULL, "steps in all (1200)", 0},
        {"--batch", MOTLEY__INTEGER, &r->batch, 1, 1 << 24, NULL, "sequences of all ranks in a step (16)", 0},
        {"--sequence", MOTLEY__INTEGER, &r->sequence, 1, 1 << 24, NULL, "bytes the model sees at once (128)", 0},
        {"--width", MOTLEY__INTEGER, &r->width, 1, 1 << 20, NULL, "of the model (128)", 0},
        {"--layers", MOTLEY__INTEGER, &r->layers, 1, 10000, NULL, "blocks of attention and experts (3)", 0},
        {"--heads", MOTLEY__INTEGER, &r->heads, 1, 1 << 20, NULL, "of attention (4)", 0},
        {"--hidden", MOTLEY__INTEGER, &r->hidden, 1, 1 << 20, NULL, "width inside an expert (256)", 0},
        {"--experts", MOTLEY__INTEGER, &r->experts, 1, 1 << 16, NULL, "in every layer (8)", 0},
        {"--top-k", MOTLEY__INTEGER, &r->top_k, 1, 1 << 16, NULL, "experts for each byte (2)", 0},
        {"--learning-rate", MOTLEY__NUMBER, &r->learning_rate, 1e-12, 1e3, NULL, "the highest (0.0025)", 0},
        {"--warmup", MOTLEY__INTEGER, &r->warmup, 0, most, NULL, "steps up to it (a 20th of all)", 0},
        {"--weight-decay", MOTLEY__NUMBER, &r->weight_decay, 0, 1e3, NULL, "of matrices (0.1)", 0},
        {"--beta1", MOTLEY__NUMBER, &r->beta1, 1e-6, 0.999999, NULL, "memory of the gradient (0.9)", 0},
        {"--beta2", MOTLEY__NUMBER, &r->beta2, 1e-6, 0.999999, NULL, "memory of its square (0.95)", 0},
        {"--clip", MOTLEY__NUMBER, &r->clip, 0, 1e9, NULL, "the gradient's largest norm, 0: none (1)", 0},
        {"--balance", MOTLEY__NUMBER, &r->balance, 0, 1e9, NULL, "coefficient of the balance loss (0.02)", 0},
        {"--z-loss", MOTLEY__NUMBER, &r->z_loss, 0, 1e9, NULL,
         "coefficient of the gate's z-loss (0.001; sigmoid: none)", 0},
        {"--gate", MOTLEY__CHOICE, &r->gate, 0, 0, "softmax|sigmoid|cosine", "how experts are chosen (softmax)", 0},
        {"--correction-rate", MOTLEY__NUMBER, &r->correction_rate, 0, 1e3, NULL,
         "of a sigmoid gate, how much a step moves the correction for the choice (0.001)", 0},
        {"--weigh", MOTLEY__CHOICE, &r->weigh, 0, 0, "after|before",
         "weights multiply what experts return, or what they are given (after)", 0},
        {"--noise", MOTLEY__NUMBER, &r->noise, 0, 1e9, "s",
         "learning: normal numbers of deviation s / experts are added to the gate's logits (0)", 0},
        {"--importance", MOTLEY__NUMBER, &r->importance, 0, 1e9, NULL,
         "coefficient of the importance and load loss; needs --noise (0)", 0},
        {"--capacity", MOTLEY__NUMBER, &r->capacity, -1e9, 1e9, "f",
         "learning: an expert takes top-k * int(|f| * ceil(bytes / experts)) choices; 0: all (0)", 0},
        {"--bpr", MOTLEY__FLAG, &r->prioritised, 0, 0, NULL,
         "with --capacity: bytes in order of their best score", 0},
        {"--seed", MOTLEY__INTEGER, &r->seed, 0, 9e18, NULL, "of weights and of the order of the text (0)", 0},
        {"--save-every", MOTLEY__INTEGER, &r->save_every, 0, most, NULL, "steps; 0: only at the end (a 10th of all)",
         0},
        {"--eval-every", MOTLEY__INTEGER, &r->eval_every, 0, most, NULL, "steps; 0: only at the end (a 20th of all)",
         0},
        {"--held-out", MOTLEY__INTEGER, &r->held_out, 1, most, NULL, "held-out bytes to predict each time (32768)", 0},
        {"--shares", MOTLEY__CHOICE, &r->shares, 0, 0, "measured|even", "how the work is shared out (measured)", 0},
        {"--mode", MOTLEY__TEXT, &r->how, 0, 0, MOTLEY__MODES, "how experts are divided (auto: as is fastest)", 0},
        {"--keep-plan", MOTLEY__FLAG, &r->keep_plan, 0, 0, NULL, "never move experts, however devices change", 0},
        {"--coactivation", MOTLEY__TEXT, &r->coactivation, 0, 0, "FILE",
         "put experts that bytes chose together on one rank", 0},
        {"--collaborators", MOTLEY__INTEGER, &r->collaborators, 1, 1 << 16, NULL,
         "beside its first expert a byte chooses among so many of its closest", 0},
        {"--record-coactivation", MOTLEY__TEXT, &r->record, 0, 0, "FILE",
         "write which experts bytes chose together", 0},
        {"--dtype", MOTLEY__CHOICE, &r->dtype, 0, 0, "f32|bf16|f16", "of weights and activations (f32)", 0},
        {"--wire", MOTLEY__CHOICE, &r->wire, 0, 0, "f32|bf16|f16",
         "of rows between ranks, where that is narrower than --dtype: rounded (as stored)", 0},
        {0},
    };
    return motley__options_parse(argc, argv, "train", "--text PATH... --output DIRECTORY [OPTIONS]", options, globals);
}

/* Zero is the library's word for "default"; a zero that was given is told as -1. */
static int64_t integer(int64_t given)
{
    return given == NO_INTEGER ? 0 : given == 0 ? -1 : given;
}

static double number(double given)
{
    return isnan(given) ? 0 : given == 0 ? -1 : given;
}

/* The first choice of a list is 0 in the library, where it would not be heard. */
static int choice(int given)
{
    return given == NO_CHOICE ? 0 : given == 0 ? -1 : given;
}

static struct motley_trainer_options to_options(const struct request *r)
{
    return (struct motley_trainer_options){
        .text = r->text.path, .texts = r->text.count, .text_limit = r->text_limit, .output = r->output,
        .width = (int)r->width, .layers = (int)r->layers, .heads = (int)r->heads, .hidden = (int)r->hidden,
        .experts = (int)r->experts, .top_k = (int)r->top_k, .sequence = (int)r->sequence, .steps = r->steps,
        .batch = (int)r->batch, .learning_rate = r->learning_rate, .warmup = integer(r->warmup),
        .weight_decay = number(r->weight_decay), .beta1 = r->beta1, .beta2 = r->beta2, .clip = number(r->clip),
        .balance = number(r->balance), .z = number(r->z_loss), .seed = (uint64_t)r->seed,
        .save_every = integer(r->save_every), .evaluate_every = integer(r->eval_every), .held_out = r->held_out,
        .shares = (enum motley_shares)r->shares, .mode = r->mode, .group = r->group, .keep_plan = r->keep_plan,
        .coactivation = r->coactivation, .collaborators = (int)r->collaborators, .record_coactivation = r->record,
        .dtype = choice(r->dtype), .wire = choice(r->wire), .gate = choice(r->gate), .before = choice(r->weigh),
        .correction_rate = number(r->correction_rate), .noise = number(r->noise), .importance = number(r->importance),
        .capacity = number(fabs(r->capacity)), .prioritised = r->prioritised,
    };
}

/* A run as the terminal sees it. */
struct display {
    FILE *stream;                           /* rank 0, unless quiet; else NULL */
    struct motley__progress progress;
    struct motley_trainer_facts facts;
    struct motley_trainer_report last;
    double tokens, seconds;                 /* of the steps since the last look at held-out text */
    char checkpoint[4096];                  /* the newest; "" before the first */
    double held_out_loss;                   /* the last one; NaN before the first */
};

static double megabytes(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

static int print_ranks(const motley_trainer *trainer, motley_context *context, FILE *stream)
{
    struct motley__table *table = motley__table_create(">rank|host|device|family|>cores|>sequences per step");
    for (int r = 0; table && r < motley_context_size(context); r++) {
        const struct motley_device_info *info = motley_context_device(context, r);
        motley__table_row(table, "%d|%s|%s|%s|%d|%d", r, info->host, info->name, info->family, info->cores,
                          motley_trainer_sequences(trainer, r));
    }
    if (!table)
        return -1;
    motley__table_print(table, stream);
    motley__table_destroy(table);
    return 0;
}

static void introduce(struct display *display, const motley_trainer *trainer, motley_context *context,
                      const char *output)
{
    const struct motley_trainer_facts *facts = &display->facts;
    FILE *stream = display->stream;
    if (!stream)
        return;
    print_ranks(trainer, context, stream);
    fputc('\n', stream);
    motley_plan_print(motley_trainer_plan(trainer), stream);
    fprintf(stream,
            "\ntext     %.2f MB of %d files: %.2f MB to learn from, %.2f MB held out (judged on %.1f kB of it)\n",
            megabytes(facts->text_bytes), facts->files, megabytes(facts->train_bytes), megabytes(facts->held_out_bytes),
            (double)facts->evaluated_bytes / 1e3);
    if (facts->skipped)
        fprintf(stream, "         %d binary files were passed over\n", facts->skipped);
    fprintf(stream, "counting bigrams predicts it in %.3f bits per byte, a Witten-Bell trigram in %.3f\n",
            facts->bigram_bits, facts->trigram_bits);
    fprintf(stream, "model    %.2f M weights, %.2f M of them used for a byte, a %s gate, stored as %s%s\n",
            facts->weights / 1e6, facts->active_weights / 1e6, motley__gate_names[facts->gate],
            motley__storage_name(facts->dtype), facts->dtype == MOTLEY_F32 ? "" : " with an f32 master");
    fprintf(stream, "steps    %" PRId64 " of %" PRId64 " sequences of %" PRId64 " bytes, into %s\n\n", facts->steps,
            facts->batch, facts->sequence, output);
    if (facts->step > 0)
        fprintf(stream, "going on behind step %" PRId64 "%s\n", facts->step,
                facts->planned_anew ? ", planned anew: these are not the ranks, or not the storage, that wrote it"
                                    : " with the plan it has");
    fflush(stream);
}

static double bits(double nats)
{
    return nats / log(2);
}

/* What a reader of the log wants to compare, one line for each look at held-out text. */
static void print_evaluation(struct display *display, const struct motley_trainer_report *report)
{
    if (display->progress.terminal && display->progress.drawn)
        fputs("\r\033[K", display->progress.stream);
    fprintf(display->stream,
            "step %6" PRId64 "  train %.4f  held out %.4f nats = %.3f bits per byte (bigram %.3f, trigram %.3f)  "
            "%.0f tokens/s\n",
            report->step, report->loss, report->held_out_loss, bits(report->held_out_loss),
            display->facts.bigram_bits, display->facts.trigram_bits, display->tokens / display->seconds);
    fflush(display->stream);
    display->tokens = display->seconds = 0;
}

static int watch(void *user, const struct motley_trainer_report *report)
{
    struct display *display = user;
    display->last = *report;
    if (report->saved)
        snprintf(display->checkpoint, sizeof display->checkpoint, "%s", report->saved);
    if (!isnan(report->held_out_loss))
        display->held_out_loss = report->held_out_loss;
    if (display->stream) {
        const double tokens = (double)(display->facts.batch * display->facts.sequence);
        display->tokens += tokens;
        display->seconds += tokens / report->tokens_per_second;
        if (!isnan(report->held_out_loss))
            print_evaluation(display, report);
        if (report->step ==
            display->facts.step + 1) /* the first step also built kernels: it says nothing about the rest */
            motley__progress_start(&display->progress, stderr, "training", (double)(report->steps - report->step));
        motley__progress_show(&display->progress, (double)(report->step - display->facts.step - 1),
                              "step %" PRId64 "  loss %.3f  %.0f tokens/s", report->step, report->loss,
                              report->tokens_per_second);
    }
    return stop_requested;
}

static int print_json(const struct display *display, motley_context *context, int stopped)
{
    const struct motley_trainer_report *last = &display->last;
    json_t *held_out = isnan(display->held_out_loss) ? json_null() : json_real(display->held_out_loss);
    json_t *held_out_bits = isnan(display->held_out_loss) ? json_null() : json_real(bits(display->held_out_loss));
    json_t *json = json_pack("{s:i, s:I, s:I, s:I, s:f, s:o, s:o, s:f, s:f, s:f, s:s, s:b}", "ranks",
                             motley_context_size(context), "step", (json_int_t)last->step, "steps",
                             (json_int_t)display->facts.steps, "tokens", (json_int_t)last->tokens, "loss", last->loss,
                             "held_out_loss", held_out, "held_out_bits", held_out_bits, "bigram_bits",
                             display->facts.bigram_bits, "trigram_bits", display->facts.trigram_bits, "seconds",
                             last->seconds, "checkpoint", display->checkpoint, "stopped", stopped);
    int status = json ? json_dumpf(json, stdout, JSON_INDENT(2)) : -1;
    putchar('\n');
    json_decref(json);
    return status;
}

static int conclude(struct display *display, motley_context *context, int json, const char *output,
                    struct motley_error *error)
{
    const int64_t step = display->last.step, steps = display->facts.steps;
    int status = 0;
    motley__progress_end(&display->progress);
    if (display->stream) {
        if (step < steps)
            fprintf(display->stream, "stopped on request behind step %" PRId64 "; it is saved, go on with --resume\n",
                    step);
        else if (display->checkpoint[0])
            fprintf(display->stream, "done: %s; the losses are in %s/loss.svg and loss.csv\n", display->checkpoint,
                    output);
        else
            fprintf(display->stream, "nothing is left to do: all %" PRId64 " steps are in %s\n", steps, output);
    }
    if (json && motley_context_rank(context) == 0 && print_json(display, context, step < steps))
        status = motley__fail(error, MOTLEY_E_IO, "the results cannot be written to standard output");
    return motley__context_agree(context, status, error);
}

static int train(motley_context *context, const struct request *request, const struct motley__globals *globals,
                 struct motley_error *error)
{
    const struct motley_trainer_options options = to_options(request);
    const int talks = motley_context_rank(context) == 0 && !globals->quiet;
    struct display display = {.stream = !talks ? NULL : globals->json ? stderr : stdout, .held_out_loss = NAN};
    motley_trainer *trainer;
    int status = request->resume ? motley_trainer_resume(context, &options, &trainer, error)
                                 : motley_trainer_create(context, &options, &trainer, error);
    if (status)
        return status;
    display.facts = motley_trainer_facts(trainer);
    display.last.step = display.facts.step;
    introduce(&display, trainer, context, request->output);
    const struct sigaction action = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL); /* mpirun passes this one on and leaves the time to save to us */
    status = motley_trainer_run(trainer, watch, &display, error);
    if (!status)
        status = conclude(&display, context, globals->json, request->output, error);
    motley__progress_end(&display.progress);
    motley_trainer_destroy(trainer);
    return status;
}

int motley__command_train(int argc, char **argv, struct motley__globals *globals)
{
    struct request request = nothing_given();
    struct motley_error error = {0};
    motley_context *context = NULL;
    int outcome = parse(argc, argv, globals, &request);
    if (outcome)
        return outcome == 1 ? 0 : 2;
    globals->context.verbose += !globals->quiet && !globals->context.verbose;
    int status = request.how ? motley__mode_parse("--mode", request.how, &request.mode, &request.group, &error) : 0;
    status = motley__agree_within(MPI_COMM_WORLD, globals->context.time_limit_seconds, status, &error);
    if (!status)
        status = motley_context_create(MPI_COMM_WORLD, &globals->context, &context, &error);
    if (!status)
        status = train(context, &request, globals, &error);
    if (status)
        outcome = motley__command_failed("train", &error);
    motley_context_destroy(context);
    return outcome;
}
