/* One step of training, and the loss on held-out text.
 *
 *   draw -> decoder forward and backward -> sum gradients over ranks -> norm, clip -> AdamW -> correction
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <math.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/wait.h"
#include "device/queue.h"
#include "train/recorder.h"
#include "train/schedule.h"
#include "train/trainer.h"
#include "train/watch.h"

/* This rank's part [begin, end) of `n` sequences, n at most a batch. */
static void own_part(const struct motley_trainer *trainer, int64_t n, int64_t *begin, int64_t *end)
{
    const int *first = trainer->first, rank = trainer->context->rank;
    *begin = first[rank] < n ? first[rank] : n;
    *end = first[rank + 1] < n ? first[rank + 1] : n;
}

static int sum_over_ranks(const struct motley_trainer *trainer, double *value, struct motley_error *error)
{
    const struct motley_context *context = trainer->context;
    MPI_Request request;
    int status = motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, value, 1, MPI_DOUBLE, MPI_SUM, context->comm,
                                                        &request), "MPI_Iallreduce");
    return status ? status : motley__wait(&request, context->time_limit, "the loss", error);
}

/* Every rank has the same number, so all refuse it together. */
static int refuse_nonfinite(const struct motley_trainer *trainer, const char *what, double value,
                            struct motley_error *error)
{
    if (isfinite(value))
        return 0;
    int status =
        motley__fail(error, MOTLEY_E_NONFINITE, "step %" PRId64 ": the %s is %g; a lower --learning-rate may help%s%s",
                     trainer->journal.step + 1, what, value,
                     trainer->saved_step >= 0 ? "; the last good checkpoint is kept in " : "",
                     trainer->saved_step >= 0 ? trainer->settings.output : "");
    return motley__context_agree(trainer->context, status, error);
}

/* How this step's bytes are routed. */
static int route(struct motley_trainer *trainer, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    const uint64_t noise[2] = {o->seed, (uint64_t)trainer->journal.step + 1};
    const struct motley_routing routing = {.capacity = fmax(0, o->capacity), .prioritised = o->prioritised > 0,
                                           .noise = fmax(0, o->noise),
                                           .seed = motley__hash_bytes(MOTLEY__HASH_START, noise, sizeof noise)};
    return motley__decoder_route(trainer->decoder, &routing, fmax(0, o->importance), error);
}

static int gradients(struct motley_trainer *trainer, struct motley_trainer_report *report, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    const int S = o->sequence;
    const double total = (double)o->batch * S;
    struct motley__pass pass = {0};
    int64_t begin, end;
    own_part(trainer, o->batch, &begin, &end);
    for (int64_t i = begin; i < end; i++)
        motley__data_draw(&trainer->data, o->seed, (uint64_t)trainer->journal.step + 1, (uint64_t)i, S,
                          trainer->tokens + (i - begin) * (S + 1));
    int status = route(trainer, error);
    if (!status)
        status = motley__decoder_pass(trainer->decoder, trainer->tokens, (int)(end - begin), S, total, 1, &pass, error);
    if (!status)
        status = sum_over_ranks(trainer, &pass.loss_sum, error);
    report->loss = pass.loss_sum / total;
    report->balance = pass.balance;
    report->z = pass.z;
    report->importance = pass.importance;
    if (!status)
        status = refuse_nonfinite(trainer, "loss", report->loss, error);
    if (!status)
        status = motley__gradients_sum(trainer->gradients, error);
    if (!status)
        status = motley__gradients_norm(trainer->gradients, &report->gradient_norm, error);
    return status ? status : refuse_nonfinite(trainer, "gradient's norm", report->gradient_norm, error);
}

int motley_trainer_step(motley_trainer *trainer, struct motley_trainer_report *report, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    const int64_t step = trainer->journal.step + 1, tokens = (int64_t)o->batch * o->sequence;
    struct motley_trainer_report made = {.step = step, .steps = o->steps, .held_out_loss = NAN};
    double started = motley__seconds();
    int status = gradients(trainer, &made, error);
    if (status)
        return status;
    double scale = o->clip > 0 && made.gradient_norm > o->clip ? o->clip / made.gradient_norm : 1;
    made.learning_rate = motley__learning_rate(o->learning_rate, o->warmup, o->steps, step);
    status = motley__adamw_step(trainer->adamw, step, made.learning_rate, scale, error);
    if (!status)
        status = motley__queue_wait(trainer->context->device, error);
    if (!status)
        status = motley__trainer_correct(trainer, error);
    if (status)
        return status;
    trainer->journal.step = step;
    trainer->journal.tokens += tokens;
    trainer->journal.loss = made.loss;
    made.tokens = trainer->journal.tokens;
    made.tokens_per_second = (double)tokens / (motley__seconds() - started);
    made.seconds = motley__trainer_seconds(trainer);
    *report = made;
    status = motley__recorder_step(trainer, error);
    return status ? status : motley__trainer_watch(trainer, motley__seconds() - started, error);
}

int motley_trainer_evaluate(motley_trainer *trainer, double *loss, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    const int S = o->sequence;
    const double total = (double)trainer->windows * S;
    double sum = 0;
    int status = motley__decoder_route(trainer->decoder, &(struct motley_routing){0}, 0, error);
    for (int64_t at = 0; at < trainer->windows && !status; at += o->batch) {
        int64_t left = trainer->windows - at, begin, end;
        struct motley__pass pass = {0};
        own_part(trainer, left < o->batch ? left : o->batch, &begin, &end);
        for (int64_t i = begin; i < end; i++)
            motley__data_window(&trainer->data, S, trainer->windows, at + i, trainer->tokens + (i - begin) * (S + 1));
        status = motley__decoder_pass(trainer->decoder, trainer->tokens, (int)(end - begin), S, total, 0, &pass, error);
        sum += pass.loss_sum;
    }
    if (!status)
        status = sum_over_ranks(trainer, &sum, error);
    if (!status)
        status = refuse_nonfinite(trainer, "loss on held-out text", sum / total, error);
    if (!status)
        *loss = trainer->journal.held_out_loss = sum / total;
    return status;
}
