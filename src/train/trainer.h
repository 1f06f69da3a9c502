/* A trainer as its files see it.
 *
 *   trainer.c   making one, anew or from a checkpoint
 *   planning.c  its plan, and the sequences of each rank
 *   step.c      one step, and the loss on held-out text
 *   run.c       steps, evaluations and checkpoints until the end
 *   correct.c   the correction of a sigmoid gate
 *   watch.c     whether the plan still fits what devices do
 *   move.c      another plan in the middle of a run
 *   recorder.c  which experts are chosen together
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_TRAINER_H
#define MOTLEY_TRAIN_TRAINER_H

#include "context.h"
#include "model/decoder.h"
#include "plan/plan.h"
#include "train/checkpoint.h"
#include "train/gradients.h"
#include "train/journal.h"
#include "train/history.h"

struct motley_trainer {
    motley_context *context;                /* borrowed */
    struct motley__settings settings;       /* owned, as are all below */
    struct motley__config config;
    struct motley__data data;
    motley_coactivation *coactivation;      /* NULL: not known */
    motley_plan *plan;
    struct motley__decoder *decoder;
    struct motley__parameter *parameter;    /* [count] the decoder's */
    int count;
    struct motley__adamw *adamw;
    struct motley__gradients *gradients;

    struct motley__watch *watch;            /* NULL: nobody watches */
    struct motley__recorder *recorder;      /* NULL: nothing is recorded */

    double *chosen;                         /* of the last step, with a correction to learn; see correct.c */

    int *first;                             /* [R+1] sequences first[r] .. first[r+1]-1 of a batch are rank r's */
    uint8_t *tokens;                        /* [first[rank+1]-first[rank], S+1] */
    int64_t windows;                        /* of held-out text in an evaluation */
    double bigram_bits, trigram_bits;       /* per byte, on the same windows */

    struct motley__journal journal;         /* up to now, but for the seconds since `started` */
    double started;                         /* clock when this process began to count */
    int64_t first_step, saved_step;         /* the step it began behind; the step of the newest checkpoint, -1: none */
    int planned_anew;
    char *saved_path;                       /* of the newest checkpoint this trainer wrote; NULL: none */
    struct motley__history history;           /* rank 0, when there is an output; else zeroed */
};

/* Seconds of the run so far. */
double motley__trainer_seconds(const struct motley_trainer *trainer);

/* Of a sigmoid gate, after a step: the correction of every expert that had fewer choices than the mean of its layer
 * rises by the rate, of others with more it falls; nothing else moves it.  Source: DeepSeek-V3 (arXiv 2412.19437).
 * open: memory for it, local.  Collective.  Errors: MOTLEY_E_COMM (a rank stayed silent). */
int motley__trainer_correct_open(struct motley_trainer *trainer, struct motley_error *error);
int motley__trainer_correct(struct motley_trainer *trainer, struct motley_error *error);

/* The plan of the checkpoint (text; NULL: there is none) when it is for these ranks, this storage type, this mode and
 * this co-activation, else a new one.  Collective. */
int motley__trainer_plan(struct motley_trainer *trainer, const char *text, struct motley_error *error);

/* The sequences of each rank, as the plan says.  Collective. */
int motley__trainer_share(struct motley_trainer *trainer, struct motley_error *error);

/* Go on by another plan of the same shape, between two steps: experts' weights, moments and masters move to the ranks
 * that store them from now on, layer by layer, without a file.  plan is the trainer's on success.  Collective.
 * Errors: MOTLEY_E_MISMATCH (another shape, number of ranks or path of dense matrices), and what moving meets; after
 * the latter the trainer can only be destroyed. */
int motley__trainer_move(struct motley_trainer *trainer, motley_plan *plan, struct motley_error *error);

/* loss.svg as things stand.  Rank 0; nothing without an output. */
int motley__trainer_plot(const struct motley_trainer *trainer, struct motley_error *error);

/* 1 when the ranks of a plan are the ranks of this job: as many, with the same hosts, devices and kernel families. */
int motley__plan_fits(const motley_plan *plan, const motley_context *context);

#endif
