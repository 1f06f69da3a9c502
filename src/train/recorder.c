/* Which experts the bytes of a run choose together, for the next one.
 *
 * What the gates of all layers chose in a step is read behind it and counted on the host.  A byte has the number of its
 * place in the run: step by step, sequence by sequence.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "base/file.h"
#include "coactivation/tally.h"
#include "train/recorder.h"
#include "train/trainer.h"

struct motley__recorder {
    struct motley__tally *tally;     /* owned, and so is the next */
    int32_t *chosen;                 /* [room] of one layer */
    size_t room;
    int64_t steps;                   /* counted */
};

int motley__recorder_open(struct motley_trainer *trainer, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    struct motley__new_file file;
    int status = 0;
    if (!o->record_coactivation)
        return 0;
    if (trainer->context->rank == 0) /* that it can be written is better known now than after the run */
        status = motley__new_file_open(o->record_coactivation, &file, error);
    if (status)
        return status;
    if (trainer->context->rank == 0)
        motley__new_file_discard(&file);
    trainer->recorder = calloc(1, sizeof *trainer->recorder);
    if (!trainer->recorder)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to record the co-activation");
    return motley__tally_create(o->layers, o->experts, o->top_k, &trainer->recorder->tally, error);
}

void motley__recorder_close(struct motley__recorder *recorder)
{
    if (!recorder)
        return;
    motley__tally_destroy(recorder->tally);
    free(recorder->chosen);
    free(recorder);
}

static int reserve(struct motley__recorder *recorder, size_t numbers, struct motley_error *error)
{
    if (numbers <= recorder->room)
        return 0;
    free(recorder->chosen);
    recorder->chosen = malloc(numbers * sizeof *recorder->chosen);
    recorder->room = recorder->chosen ? numbers : 0;
    return recorder->chosen ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to record %zu choices",
                                               numbers);
}

int motley__recorder_step(struct motley_trainer *trainer, struct motley_error *error)
{
    struct motley__recorder *recorder = trainer->recorder;
    const struct motley_trainer_options *o = &trainer->settings.o;
    const int rank = trainer->context->rank, T = motley_trainer_sequences(trainer, rank) * o->sequence;
    const int64_t first = ((trainer->journal.step - 1) * o->batch + trainer->first[rank]) * o->sequence;
    if (!recorder)
        return 0;
    int status = reserve(recorder, (size_t)T * (size_t)o->top_k, error);
    for (int l = 0; l < o->layers && !status; l++) {
        status = motley__decoder_choices(trainer->decoder, l, recorder->chosen, error);
        if (!status)
            motley__tally_add(recorder->tally, l, (uint64_t)first, T, recorder->chosen);
    }
    recorder->steps++;
    return status;
}

int motley__recorder_write(const struct motley_trainer *trainer, struct motley_error *error)
{
    const struct motley__recorder *recorder = trainer->recorder;
    const motley_context *context = trainer->context;
    motley_coactivation *sum = NULL;
    if (!recorder || !recorder->steps)
        return 0;
    int status = motley__tally_sum(recorder->tally, context->comm, context->time_limit, &sum, error);
    if (status)
        return status;
    if (sum)
        status = motley__coactivation_write(sum, trainer->settings.o.record_coactivation, error);
    motley_coactivation_destroy(sum);
    return motley__context_agree(context, status, error);
}
