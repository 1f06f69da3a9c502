/* The correction of a sigmoid gate, learnt without a gradient from how often experts were chosen.
 *
 *   c[e] += rate sign(mean of all n - n[e])        n[e]: choices of the step that expert e served, of all ranks
 *
 * With a capacity n are the choices that were kept: an expert that dropped some still has more than the mean.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/wait.h"
#include "train/trainer.h"

/* What is summed over the ranks: those that could not tell, then the choices [layers,E]; behind it [E] for a layer's
 * correction. */
static int told(const struct motley_trainer *trainer)
{
    return 1 + trainer->config.layers * trainer->config.E;
}

static int corrects(const struct motley_trainer *trainer)
{
    return trainer->config.gate == MOTLEY_GATE_SIGMOID && trainer->settings.o.correction_rate > 0;
}

int motley__trainer_correct_open(struct motley_trainer *trainer, struct motley_error *error)
{
    const size_t numbers = (size_t)told(trainer) + (size_t)trainer->config.E;
    if (!corrects(trainer))
        return 0;
    trainer->chosen = calloc(numbers, sizeof *trainer->chosen);
    return trainer->chosen ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu counts of choices",
                                              numbers);
}

/* Everyone's choices. */
static int share(struct motley_trainer *trainer, struct motley_error *error)
{
    const motley_context *context = trainer->context;
    MPI_Request request;
    memset(trainer->chosen, 0, (size_t)told(trainer) * sizeof *trainer->chosen);
    const int lost = motley__decoder_add_rows(trainer->decoder, 1, trainer->chosen + 1, error);
    trainer->chosen[0] = lost != 0;
    int status = motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, trainer->chosen, told(trainer), MPI_DOUBLE,
                                                        MPI_SUM, context->comm, &request), "MPI_Iallreduce");
    if (!status)
        status = motley__wait(&request, context->time_limit, "how often experts were chosen", error);
    if (!status && trainer->chosen[0] > 0)
        status = motley__context_agree(context, lost, error);
    return status;
}

static int correct_layer(struct motley_trainer *trainer, int layer, struct motley_error *error)
{
    struct motley__matrix *correction = motley__decoder_correction(trainer->decoder, layer);
    const int E = trainer->config.E;
    const double *chosen = trainer->chosen + 1 + (size_t)layer * (size_t)E;
    const float rate = (float)trainer->settings.o.correction_rate;
    float *c = (float *)(trainer->chosen + told(trainer));
    double all = 0;
    int status = motley__matrix_get(correction, 0, c, error);
    for (int e = 0; e < E; e++)
        all += chosen[e];
    for (int e = 0; e < E; e++)
        c[e] += E * chosen[e] < all ? rate : E * chosen[e] > all ? -rate : 0;
    return status ? status : motley__matrix_set(correction, 0, c, error);
}

int motley__trainer_correct(struct motley_trainer *trainer, struct motley_error *error)
{
    int status = trainer->chosen ? share(trainer, error) : 0;
    for (int i = 0; trainer->chosen && i < trainer->config.layers && !status; i++)
        status = correct_layer(trainer, i, error);
    return status;
}
