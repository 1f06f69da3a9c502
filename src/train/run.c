/* Steps, evaluations and checkpoints until the end.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/wait.h"
#include "train/config_json.h"
#include "train/plot.h"
#include "train/recorder.h"
#include "train/trainer.h"

/* The three texts of a checkpoint; rank 0. */
static int texts(const struct motley_trainer *trainer, char **config, char **journal, char **plan,
                 struct motley_error *error)
{
    struct motley__journal now = trainer->journal;
    now.seconds = motley__trainer_seconds(trainer);
    int status = motley__config_text(&trainer->config, config, error);
    if (!status)
        status = motley__journal_text(&now, &trainer->settings, journal, error);
    return status ? status : motley_plan_text(trainer->plan, plan, error);
}

int motley_trainer_save(motley_trainer *trainer, struct motley_error *error)
{
    MPI_Comm comm = trainer->context->comm;
    char *config = NULL, *journal = NULL, *plan = NULL, *path = NULL;
    int status = 0;
    if (!trainer->settings.output)
        status = motley__fail(error, MOTLEY_E_INVALID, "a checkpoint needs an output directory");
    if (!status && trainer->context->rank == 0)
        status = texts(trainer, &config, &journal, &plan, error);
    status = motley__context_agree(trainer->context, status, error);
    if (!status) {
        const struct motley__checkpoint checkpoint = {.parameter = trainer->parameter, .count = trainer->count,
                                                      .adamw = trainer->adamw, .config = config, .trainer = journal,
                                                      .plan = plan};
        status =
            motley__checkpoint_save(comm, trainer->context->time_limit, trainer->settings.output,
                                    trainer->journal.step, &checkpoint, &path, error);
    }
    if (!status) {
        free(trainer->saved_path);
        trainer->saved_path = path;
        trainer->saved_step = trainer->journal.step;
    }
    free(config);
    free(journal);
    free(plan);
    return status;
}

int motley__trainer_plot(const struct motley_trainer *trainer, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    char caption[256], *path = NULL;
    double active, weights = motley__config_weights(&trainer->config, &active);
    if (!trainer->settings.output)
        return 0;
    snprintf(caption, sizeof caption,
             "%d experts, %d per byte; %.2f M weights, %.2f M used per byte; %d bytes per step; %d rank%s", o->experts,
             o->top_k, weights / 1e6, active / 1e6, o->batch * o->sequence, trainer->context->size,
             trainer->context->size == 1 ? "" : "s");
    int status = motley__format(&path, error, "%s/loss.svg", trainer->settings.output);
    if (!status)
        status = motley__plot_write(path, &trainer->history, o->steps, caption, error);
    free(path);
    return status;
}

/* Rank 0 writes what the step brought. */
static int record(struct motley_trainer *trainer, const struct motley_trainer_report *report,
                  struct motley_error *error)
{
    const struct motley__record line = {report->step, report->tokens, report->loss, report->held_out_loss,
                                        report->learning_rate, report->gradient_norm, report->tokens_per_second,
                                        report->seconds};
    if (!trainer->history.stream)
        return 0;
    int status = motley__history_add(&trainer->history, &line, error);
    if (!status && !isnan(report->held_out_loss))
        status = motley__trainer_plot(trainer, error);
    return status;
}

static int is_due(int64_t step, int64_t every, int64_t steps)
{
    return step == steps || (every > 0 && step % every == 0);
}

/* What one rank wants or suffers, all know: *stop, and the agreed error. */
static int agree(struct motley_trainer *trainer, int status, int *stop, struct motley_error *error)
{
    int flags[2] = {*stop, status != 0};
    MPI_Request request;
    int mpi = motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, flags, 2, MPI_INT, MPI_MAX, trainer->context->comm,
                                                     &request), "MPI_Iallreduce");
    if (!mpi)
        mpi = motley__wait(&request, trainer->context->time_limit, "the end of a step", error);
    *stop = flags[0];
    if (mpi)
        return mpi;
    return flags[1] ? motley__context_agree(trainer->context, status, error) : 0;
}

/* A step and all that is due behind it. */
static int advance(struct motley_trainer *trainer, motley_trainer_watch *watch, void *user, int *stop,
                   struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    struct motley_trainer_report report;
    int status = motley_trainer_step(trainer, &report, error);
    if (!status && is_due(report.step, o->evaluate_every, o->steps))
        status = motley_trainer_evaluate(trainer, &report.held_out_loss, error);
    if (status)
        return status;
    int written = record(trainer, &report, error), nothing = 0;
    if (is_due(report.step, o->save_every, o->steps) && trainer->settings.output) {
        status = agree(trainer, written, &nothing, error);
        if (!status)
            status = motley_trainer_save(trainer, error);
        if (status)
            return status;
        report.saved = trainer->saved_path;
        written = 0;
    }
    if (watch && !written)
        *stop = watch(user, &report) != 0;
    return agree(trainer, written, stop, error);
}

int motley_trainer_run(motley_trainer *trainer, motley_trainer_watch *watch, void *user, struct motley_error *error)
{
    int stop = 0, status = 0;
    while (!status && !stop && trainer->journal.step < trainer->settings.o.steps)
        status = advance(trainer, watch, user, &stop, error);
    if (!status && stop && trainer->settings.output && trainer->saved_step != trainer->journal.step)
        status = motley_trainer_save(trainer, error);
    return status ? status : motley__recorder_write(trainer, error);
}
