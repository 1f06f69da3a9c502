/* Making a trainer, anew or from a checkpoint.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/collective.h"
#include "base/file.h"
#include "coactivation/coactivation.h"
#include "train/config_json.h"
#include "train/ngram.h"
#include "train/recorder.h"
#include "train/shelf.h"
#include "train/trainer.h"
#include "train/watch.h"

double motley__trainer_seconds(const struct motley_trainer *trainer)
{
    return trainer->journal.seconds + motley__seconds() - trainer->started;
}

/* All ranks were given the same options. */
static int compare_settings(motley_context *context, const struct motley__settings *settings,
                            struct motley_error *error)
{
    uint64_t hash = motley__settings_hash(settings), bounds[2] = {hash, ~hash};
    int status = motley__reduce(context->comm, context->time_limit, bounds, 2, MPI_UINT64_T, MPI_MIN, error);
    if (!status && bounds[0] != ~bounds[1])
        status = motley__fail(error, MOTLEY_E_MISMATCH,
                              "the ranks were given different training options; give all ranks "
                              "the same command line");
    return motley__context_agree(context, status, error);
}

/* What counting predicts on the windows that the model will be judged on: rank 0 counts. */
static int judge_by_counts(struct motley_trainer *trainer, struct motley_error *error)
{
    const int S = trainer->settings.o.sequence;
    double bits[2] = {0, 0};
    int status = 0;
    trainer->windows = motley__data_windows(&trainer->data, S, (trainer->settings.o.held_out + S - 1) / S);
    if (trainer->context->rank == 0) {
        struct motley__ngram *ngram = NULL;
        uint8_t *sequence = malloc((size_t)S + 1);
        if (!sequence)
            status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a sequence of %d", S);
        if (!status)
            status = motley__ngram_create(trainer->data.train, trainer->data.train_bytes, &ngram, error);
        for (int64_t i = 0; i < trainer->windows && !status; i++) {
            motley__data_window(&trainer->data, S, trainer->windows, i, sequence);
            motley__ngram_bits(ngram, sequence, S, &bits[0], &bits[1]);
        }
        motley__ngram_destroy(ngram);
        free(sequence);
    }
    status = motley__context_agree(trainer->context, status, error);
    if (!status)
        status = motley__broadcast(trainer->context->comm, trainer->context->time_limit, 0, bits, 2, MPI_DOUBLE, error);
    trainer->bigram_bits = bits[0] / ((double)trainer->windows * S);
    trainer->trigram_bits = bits[1] / ((double)trainer->windows * S);
    return status;
}

static int read_data(struct motley_trainer *trainer, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    const struct motley__journal *journal = &trainer->journal;
    int status = motley__data_create(trainer->context->comm, trainer->context->time_limit, o->text, o->texts,
                                     o->text_limit, o->sequence, &trainer->data, error);
    if (status)
        return status;
    uint64_t bytes = trainer->data.train_bytes + trainer->data.held_out_bytes;
    if (journal->step > 0 && (journal->text_bytes != bytes || journal->text_hash != trainer->data.hash))
        status = motley__fail(error, MOTLEY_E_MISMATCH,
                              "the text is not the one of the checkpoint: it had %" PRIu64 " bytes, this has %" PRIu64
                              "%s; give the same --text, or start anew in another directory",
                              journal->text_bytes, bytes, journal->text_bytes == bytes ? " others" : "");
    status = motley__context_agree(trainer->context, status, error);
    trainer->journal.text_bytes = bytes;
    trainer->journal.text_hash = trainer->data.hash;
    return status ? status : judge_by_counts(trainer, error);
}

static int make_model(struct motley_trainer *trainer, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    motley_context *context = trainer->context;
    int status = motley__decoder_create(context, &trainer->config, trainer->plan, 1, o->seed, &trainer->decoder, error);
    if (status)
        return status;
    trainer->parameter = motley__decoder_parameters(trainer->decoder, &trainer->count);
    status = motley__adamw_create(context->device, trainer->parameter, trainer->count, &trainer->adamw, error);
    status = motley__context_agree(context, status, error);
    if (status)
        return status;
    trainer->adamw->beta1 = o->beta1;
    trainer->adamw->beta2 = o->beta2;
    trainer->adamw->epsilon = o->epsilon;
    trainer->adamw->decay = fmax(0, o->weight_decay);
    return motley__gradients_create(context->comm, context->time_limit, context->device, trainer->parameter,
                                    trainer->count, &trainer->gradients, error);
}

/* Of one layer for all, or of as many as the model has. */
static int read_coactivation(struct motley_trainer *trainer, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    if (!o->coactivation)
        return 0;
    int status = motley_coactivation_read(trainer->context, o->coactivation, &trainer->coactivation, error);
    if (status)
        return status;
    const int layers = motley_coactivation_layers(trainer->coactivation);
    if (layers > 1 && layers != o->layers)
        status = motley__fail(error, MOTLEY_E_INVALID, "%s: expected the co-activation of 1 layer or of the model's "
                              "%d, found %d", o->coactivation, o->layers, layers);
    return motley__context_agree(trainer->context, status, error);
}

static int open_history(struct motley_trainer *trainer, struct motley_error *error)
{
    char *path = NULL;
    int status = 0;
    if (trainer->context->rank == 0 && trainer->settings.output) {
        status = motley__format(&path, error, "%s/loss.csv", trainer->settings.output);
        if (!status)
            status = motley__history_open(path, trainer->journal.step, trainer->bigram_bits, trainer->trigram_bits,
                                         &trainer->history, error);
        free(path);
    }
    return motley__context_agree(trainer->context, status, error);
}

/* Everything behind the settings; `found` NULL or without a path: anew. */
static int build(struct motley_trainer *trainer, const struct motley__found_checkpoint *found,
                 struct motley_error *error)
{
    const int resumed = found && found->path;
    trainer->config = motley__settings_config(&trainer->settings);
    int status = read_data(trainer, error);
    if (!status)
        status = read_coactivation(trainer, error);
    if (!status)
        status = motley__trainer_plan(trainer, resumed ? found->plan : NULL, error);
    if (!status)
        status = motley__trainer_share(trainer, error);
    if (!status)
        status = make_model(trainer, error);
    if (!status && trainer->settings.o.collaborators)
        status = motley__decoder_collaborate(trainer->decoder, trainer->coactivation, trainer->settings.o.collaborators,
                                             error);
    if (!status)
        status = motley__context_agree(trainer->context, motley__recorder_open(trainer, error), error);
    if (!status && resumed) {
        const struct motley__checkpoint checkpoint = {.parameter = trainer->parameter, .count = trainer->count,
                                                      .adamw = trainer->adamw};
        status = motley__checkpoint_load(trainer->context->comm, trainer->context->time_limit, found->path,
                                         &checkpoint, error);
    }
    if (!status)
        status = motley__trainer_correct_open(trainer, error);
    if (!status)
        status = motley__watch_open(trainer, error);
    status = motley__context_agree(trainer->context, status, error);
    if (!status)
        status = open_history(trainer, error);
    trainer->first_step = trainer->journal.step;
    trainer->saved_step = resumed ? trainer->journal.step : -1;
    trainer->started = motley__seconds();
    return status;
}

/* A run that starts anew must not mix with another's checkpoints. */
static int refuse_others(motley_context *context, const char *output, struct motley_error *error)
{
    int64_t *steps = NULL;
    int count = 0, status = 0;
    if (context->rank == 0)
        status = motley__shelf_steps(output, &steps, &count, error);
    if (count > 0)
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "%s holds checkpoints already (checkpoint-%" PRId64 " is the newest); "
                              "go on from it with --resume, or give another --output",
                              output, steps[0]);
    free(steps);
    return motley__context_agree(context, status, error);
}

static int create(motley_context *context, const struct motley_trainer_options *options,
                  const struct motley__found_checkpoint *found, motley_trainer **trainer, struct motley_error *error)
{
    struct motley_trainer *made = calloc(1, sizeof *made);
    json_t *saved = NULL;
    int status = made ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a trainer");
    if (!status) {
        made->context = context;
        made->journal.loss = made->journal.held_out_loss = NAN;
    }
    if (!status && found && found->path)
        status = motley__journal_parse(found->trainer, &made->journal, &saved, error);
    if (!status)
        status = motley__settings_make(options, saved, &made->settings, error);
    json_decref(saved);
    status = motley__context_agree(context, status, error);
    if (!status)
        status = compare_settings(context, &made->settings, error);
    if (!status)
        status = build(made, found, error);
    if (status) {
        motley_trainer_destroy(made);
        return status;
    }
    *trainer = made;
    return 0;
}

int motley_trainer_create(motley_context *context, const struct motley_trainer_options *options,
                          motley_trainer **trainer, struct motley_error *error)
{
    int status = 0;
    if (options->output)
        status = motley__checkpoint_prepare(context->comm, context->time_limit, options->output, error);
    if (!status && options->output)
        status = refuse_others(context, options->output, error);
    return status ? status : create(context, options, NULL, trainer, error);
}

int motley_trainer_resume(motley_context *context, const struct motley_trainer_options *options,
                          motley_trainer **trainer, struct motley_error *error)
{
    struct motley__found_checkpoint found = {0};
    int status, damaged = 0;
    if (!options->output)
        return motley__context_agree(context,
                             motley__fail(error, MOTLEY_E_INVALID,
                                          "to resume, give the --output directory "
                                          "of the run to go on with"),
                             error);
    status = motley__checkpoint_prepare(context->comm, context->time_limit, options->output, error);
    if (!status)
        status = motley__checkpoint_newest(context->comm, context->time_limit, options->output, &found, &damaged,
                                           error);
    if (!status && damaged)
        motley__warn(&context->log, "%s: %d damaged checkpoints were passed over", options->output, damaged);
    if (!status && !found.path)
        motley__note(&context->log, "%s holds no checkpoint to resume from: starting anew", options->output);
    if (!status)
        status = create(context, options, &found, trainer, error);
    motley__found_checkpoint_clear(&found);
    return status;
}

void motley_trainer_destroy(motley_trainer *trainer)
{
    if (!trainer)
        return;
    motley__history_close(&trainer->history);
    free(trainer->saved_path);
    free(trainer->tokens);
    free(trainer->first);
    free(trainer->chosen);
    motley__watch_close(trainer->watch);
    motley__recorder_close(trainer->recorder);
    motley__gradients_destroy(trainer->gradients);
    motley__adamw_destroy(trainer->adamw);
    motley__decoder_destroy(trainer->decoder);
    motley_plan_destroy(trainer->plan);
    motley_coactivation_destroy(trainer->coactivation);
    motley__data_destroy(&trainer->data);
    motley__settings_clear(&trainer->settings);
    free(trainer);
}

struct motley_trainer_facts motley_trainer_facts(const motley_trainer *trainer)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    struct motley_trainer_facts facts = {
        .text_bytes = trainer->journal.text_bytes,
        .train_bytes = trainer->data.train_bytes,
        .held_out_bytes = trainer->data.held_out_bytes,
        .files = trainer->data.files,
        .skipped = trainer->data.skipped,
        .evaluated_bytes = trainer->windows * o->sequence,
        .bigram_bits = trainer->bigram_bits,
        .trigram_bits = trainer->trigram_bits,
        .step = trainer->first_step,
        .steps = o->steps,
        .batch = o->batch,
        .sequence = o->sequence,
        .planned_anew = trainer->planned_anew,
        .dtype = (enum motley_dtype)o->dtype,
        .gate = trainer->config.gate,
    };
    facts.weights = motley__config_weights(&trainer->config, &facts.active_weights);
    return facts;
}

const motley_plan *motley_trainer_plan(const motley_trainer *trainer)
{
    return trainer->plan;
}

int motley_trainer_sequences(const motley_trainer *trainer, int rank)
{
    return trainer->first[rank + 1] - trainer->first[rank];
}
