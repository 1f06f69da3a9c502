/* Watching a run.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/wait.h"
#include "plan/drift.h"
#include "train/skew.h"
#include "train/trainer.h"
#include "train/watch.h"

static const double MARGIN = 0.25;         /* of what is normal */
static const double MEASURE_SECONDS = 3;   /* to look closer */

/* What a rank tells of a step: seconds of its experts, 0 where there is nothing to say, and of the step. */
enum { OBSERVED, PREDICTED, STEP, NUMBERS };

struct motley__watch {
    struct motley__drift *drift;
    double *change, *seconds;              /* [R] each, one array */
    struct motley__skew skew;
    /* Of the last step, one array that is summed over the ranks: */
    double *failed;                        /* [1] ranks that could not tell; owned, with the next two behind it */
    double (*sight)[NUMBERS];              /* [R] each rank's own */
    double *rows;                          /* [E] of each expert, all layers */
    int told;                              /* numbers in all */
};

int motley__watch_open(struct motley_trainer *trainer, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    const size_t R = (size_t)trainer->context->size;
    if (R == 1 || o->keep_plan || o->shares == MOTLEY_SHARES_EVEN)
        return 0;
    struct motley__watch *watch = trainer->watch = calloc(1, sizeof *watch);
    if (watch) {
        watch->told = 1 + NUMBERS * (int)R + trainer->plan->shape.E;
        watch->failed = calloc((size_t)watch->told, sizeof *watch->failed);
        watch->change = calloc(2 * R, sizeof *watch->change);
    }
    if (!watch || !watch->failed || !watch->change)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to watch %zu ranks", R);
    watch->seconds = watch->change + R;
    watch->sight = (double (*)[NUMBERS])(watch->failed + 1);
    watch->rows = watch->failed + 1 + NUMBERS * R;
    const int status = motley__skew_open(trainer->plan->shape.E, &watch->skew, error);
    return status ? status : motley__drift_create((int)R, MARGIN, &watch->drift, error);
}

void motley__watch_close(struct motley__watch *watch)
{
    if (!watch)
        return;
    motley__drift_destroy(watch->drift);
    motley__skew_close(&watch->skew);
    free(watch->failed);
    free(watch->change);
    free(watch);
}

static double expert_seconds(const struct motley__plan_entry *rank)
{
    return rank->forward.experts + rank->backward.experts;
}

double motley__watch_phases(const motley_plan *plan, const double *change, double *seconds)
{
    double slowest = 0;
    for (int r = 0; r < plan->R; r++) {
        seconds[r] = change[r] * expert_seconds(&plan->rank[r]);
        slowest = fmax(slowest, seconds[r]);
    }
    return slowest;
}

double motley__watch_ideal(const motley_plan *plan, const double *seconds)
{
    double speed = 0; /* shares a second */
    for (int r = 0; r < plan->R; r++)
        if (seconds[r] > 0)
            speed += motley_plan_rank(plan, r).share / seconds[r];
    return speed > 0 ? 1 / speed : 0;
}

double motley__watch_move(const motley_plan *plan, int layers, int numbers)
{
    const double number = (double)motley__storage_bytes(plan->shape.dtype);
    for (int i = 0; i < plan->alternatives; i++)
        if (plan->alternative[i].mode == MOTLEY_MODE_DATA && plan->alternative[i].fits)
            return layers * plan->alternative[i].predicted.forward.weights * (1 + numbers * sizeof(float) / number);
    return 0;
}

/* This rank's seconds of the last step. */
static void look(const struct motley_trainer *trainer, double step_seconds, double own[NUMBERS])
{
    const motley_context *context = trainer->context;
    const motley_plan *plan = trainer->plan;
    const struct motley__plan_entry *mine = &plan->rank[context->rank];
    const double layers = trainer->config.layers, K = plan->shape.K, T = (double)plan->options.tokens;
    const double planned = layers * K * (plan->mode == MOTLEY_MODE_DATA
                                             ? (double)mine->tokens
                                             : T * motley__plan_part(plan, plan->group_of[context->rank]));
    double pairs = 0;
    motley__decoder_expert_phase(trainer->decoder, &own[OBSERVED], &pairs);
    if (planned > 0)
        own[PREDICTED] = layers * expert_seconds(mine) * pairs / planned;
    own[STEP] = step_seconds;
}

/* Everyone's seconds of the last step, and the rows of all experts in it, in one message. */
static int share(const struct motley_trainer *trainer, double step_seconds, struct motley_error *error)
{
    const motley_context *context = trainer->context;
    struct motley__watch *watch = trainer->watch;
    MPI_Request request;
    memset(watch->failed, 0, (size_t)watch->told * sizeof *watch->failed);
    look(trainer, step_seconds, watch->sight[context->rank]);
    const int lost = motley__decoder_add_rows(trainer->decoder, 0, watch->rows, error);
    *watch->failed = lost != 0;
    int status = motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, watch->failed, watch->told, MPI_DOUBLE, MPI_SUM,
                                                        context->comm, &request), "MPI_Iallreduce");
    if (!status)
        status = motley__wait(&request, context->time_limit, "the seconds and rows of a step", error);
    if (!status && *watch->failed > 0)
        status = motley__context_agree(context, lost, error);
    return status;
}

/* The plan as it would be made now, for these loads, from what is measured in so many seconds (0: what is known); the
 * paths of dense matrices stay, for they cannot be moved. */
static int plan_again(const struct motley_trainer *trainer, const double *load, double seconds, motley_plan **plan,
                      struct motley_error *error)
{
    const motley_plan *now = trainer->plan;
    struct motley_plan_options options = now->options;
    options.load = load;
    int status = motley__plan_create(trainer->context, &now->shape, &options, seconds, 0, plan, error);
    for (int r = 0; r < now->R && !status; r++) {
        (*plan)->rank[r].dense = now->rank[r].dense;
        for (int l = 0; l < (*plan)->layers; l++)
            (*plan)->layer[l]->rank[r].dense = now->rank[r].dense;
    }
    return status;
}

static int same_division(const motley_plan *a, const motley_plan *b)
{
    int same = a->mode == b->mode && a->layers == b->layers && motley__placement_equal(&a->stored, &b->stored) &&
               motley__placement_equal(&a->computed, &b->computed);
    for (int r = 0; r < a->R && same; r++)
        same = a->rank[r].tokens == b->rank[r].tokens;
    for (int l = 0; l < a->layers && same; l++)
        same = motley__placement_equal(&motley__plan_of_layer(a, l)->stored, &motley__plan_of_layer(b, l)->stored);
    return same;
}

/* One doubt. */
struct doubt {
    struct motley_trainer *trainer;
    double *change, *seconds;        /* [R] the watch's */
    double step, slowest, ideal;     /* seconds of the step, of its slowest experts, of those at best */
    double move;                     /* seconds that experts take to move */
    int64_t left;                    /* steps to come */
    int rank;                        /* that changed most */
};

static void weigh(struct doubt *d)
{
    const struct motley_trainer *trainer = d->trainer;
    const motley_plan *plan = trainer->plan;
    const int masters = plan->shape.dtype != MOTLEY_F32;
    for (int r = 0; r < plan->R; r++) {
        d->change[r] = motley__drift_change(trainer->watch->drift, r);
        if (fabs(log(d->change[r])) > fabs(log(d->change[d->rank])))
            d->rank = r;
    }
    d->slowest = motley__watch_phases(plan, d->change, d->seconds);
    d->ideal = motley__watch_ideal(plan, d->seconds);
    d->move = motley__watch_move(plan, trainer->config.layers, 2 + masters);
    d->left = trainer->settings.o.steps - trainer->journal.step;
}

/* What the step would take when its slowest experts took so long: dense matrices and experts change alike. */
static double step_with(const struct doubt *d, double experts)
{
    return d->slowest > 0 ? d->step * experts / d->slowest : d->step;
}

static void tell(const struct doubt *d, const char *what, double before, double after)
{
    const struct motley_trainer *trainer = d->trainer;
    motley__note(&trainer->context->log,
                 "step %" PRId64 ": the experts of rank %d take %.2f times as long as they did: %s (a step %.0f ms, "
                 "%.0f ms by the new plan)", trainer->journal.step, d->rank, d->change[d->rank], what, 1e3 * before,
                 1e3 * after);
}

/* What was measured again for another plan says better how each device has changed than the few steps that raised the
 * doubt, some of them before the change: both plans are then judged by the same numbers. */
static void look_again(struct doubt *d, const motley_plan *plan)
{
    const motley_plan *now = d->trainer->plan;
    for (int r = 0; r < plan->R; r++)
        if (now->rank[r].gflops > 0 && plan->rank[r].gflops > 0)
            d->change[r] = now->rank[r].gflops / plan->rank[r].gflops;
    d->slowest = motley__watch_phases(now, d->change, d->seconds);
}

static int decide(struct doubt *d, struct motley_error *error)
{
    struct motley_trainer *trainer = d->trainer;
    motley_plan *plan = NULL;
    double slowest = 0;
    if (!motley__drift_pays(d->step, step_with(d, d->ideal), d->move + MEASURE_SECONDS, d->left))
        return 0;
    int status = plan_again(trainer, trainer->plan->load, MEASURE_SECONDS, &plan, error);
    if (status)
        return status;
    look_again(d, plan);
    for (int r = 0; r < plan->R; r++)
        slowest = fmax(slowest, expert_seconds(&plan->rank[r]));
    const double step = step_with(d, slowest);
    if (same_division(trainer->plan, plan) || !motley__drift_pays(d->step, step, d->move, d->left)) {
        tell(d, "measured again, another plan does not pay", d->step, step);
        motley_plan_destroy(plan);
        return 0;
    }
    tell(d, "measured again, experts move", d->step, step);
    status = motley__trainer_move(trainer, plan, error);
    if (status && trainer->plan != plan)
        motley_plan_destroy(plan);
    return status;
}

/* Seconds of a layer's experts, and of what replicas make travel, in a step by this plan: of the slowest rank, as long
 * as ranks now take. */
static double loaded_seconds(const motley_plan *plan, const double *change, double *seconds)
{
    double weights = 0;
    for (int r = 0; r < plan->R; r++)
        weights = fmax(weights, plan->rank[r].forward.weights + plan->rank[r].backward.weights);
    return motley__watch_phases(plan, change, seconds) + (plan->mode == MOTLEY_MODE_DATA ? 0 : weights);
}

/* Tokens spread otherwise: would the plan for that pay?  *moved: it did. */
static int follow_loads(struct doubt *d, int *moved, struct motley_error *error)
{
    struct motley_trainer *trainer = d->trainer;
    struct motley__watch *watch = trainer->watch;
    const int layers = trainer->config.layers;
    double ideal, now, observed = 0;
    motley_plan *plan = NULL;
    *moved = 0;
    now = motley__skew_phases(trainer->plan, watch->skew.load, d->change, d->seconds, &ideal);
    for (int r = 0; r < trainer->plan->R; r++)
        observed = fmax(observed, watch->sight[r][OBSERVED] / layers);
    now = fmin(now, observed);
    if (!motley__drift_pays(d->step, d->step - layers * (now - ideal), d->move, d->left))
        return 0;
    int status = plan_again(trainer, watch->skew.load, 0, &plan, error);
    if (status)
        return status;
    const double after = d->step - layers * (now - loaded_seconds(plan, d->change, d->seconds));
    *moved = !same_division(trainer->plan, plan) && motley__drift_pays(d->step, after, d->move, d->left);
    if (*moved)
        motley__note(&trainer->context->log, "step %" PRId64 ": tokens spread over the experts otherwise than planned: "
                     "experts move, %d replicas (a step %.0f ms, %.0f ms by the new plan)", trainer->journal.step,
                     plan->replicas, 1e3 * d->step, 1e3 * after);
    if (*moved)
        status = motley__trainer_move(trainer, plan, error);
    if (trainer->plan != plan)
        motley_plan_destroy(plan);
    return status;
}

int motley__trainer_watch(struct motley_trainer *trainer, double step_seconds, struct motley_error *error)
{
    struct motley__watch *watch = trainer->watch;
    if (!watch)
        return 0;
    int moved = 0, status = share(trainer, step_seconds, error);
    if (status)
        return status;
    struct doubt doubt = {.trainer = trainer, .change = watch->change, .seconds = watch->seconds};
    double *observed = watch->change, *predicted = watch->seconds;
    for (int r = 0; r < trainer->context->size; r++) {
        observed[r] = watch->sight[r][OBSERVED];
        predicted[r] = watch->sight[r][PREDICTED];
        doubt.step = fmax(doubt.step, watch->sight[r][STEP]);
    }
    const int drifts = motley__drift_observe(watch->drift, observed, predicted);
    weigh(&doubt);
    const int skews = motley__skew_observe(&watch->skew, trainer->plan, watch->rows, doubt.change, MARGIN,
                                           doubt.seconds);
    if (drifts) {
        status = decide(&doubt, error);
    } else if (skews && !trainer->plan->coactivation) {
        status = follow_loads(&doubt, &moved, error);
        motley__skew_settle(&watch->skew, moved);
    }
    if (drifts)
        motley__drift_settle(watch->drift);
    else if (moved)
        motley__drift_forget(watch->drift);
    return status;
}
