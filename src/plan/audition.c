/* Modes that are predicted nearly alike are tried.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <motley/layer.h>
#include "base/clock.h"
#include "base/random.h"
#include "base/wait.h"
#include "measure/timing.h"
#include "plan/audition.h"
#include "plan/room.h"
#include "product/esmm.h"

static const double NEAR = 0.10;            /* predicted within so much of the fastest */
static const double SECONDS = 3;            /* for all rounds together, where steps are quick */
enum { MOST_ROUNDS = 9, LEAST_ROUNDS = 3, SEED = 31 };

static double predicted(const struct motley__alternative *alternative)
{
    return alternative->predicted.forward_seconds + alternative->predicted.backward_seconds;
}

static int same_prediction(const struct motley__alternative *a, const struct motley__alternative *b)
{
    return predicted(a) == predicted(b) && a->predicted.moved == b->predicted.moved &&
           a->predicted.bytes == b->predicted.bytes;
}

/* The next in order of prediction that is near and not in the list; -1: none. */
static int next_rival(const motley_plan *plan, const int *rival, int count)
{
    const double limit = (1 + NEAR) * predicted(&plan->alternative[plan->chosen]);
    int found = -1;
    for (int i = 0; i < plan->alternatives; i++) {
        const struct motley__alternative *a = &plan->alternative[i];
        int taken = !a->fits || !a->predicted.known || predicted(a) > limit;
        for (int j = 0; j < count && !taken; j++)
            taken = rival[j] == i || same_prediction(a, &plan->alternative[rival[j]]);
        if (!taken && (found < 0 || predicted(a) < predicted(&plan->alternative[found])))
            found = i;
    }
    return found;
}

int motley__audition_rivals(const motley_plan *plan, int rival[MOTLEY__RIVALS])
{
    int count = 0, next = plan->chosen;
    if (plan->options.mode != MOTLEY_MODE_AUTO || !plan->alternative[plan->chosen].predicted.known)
        next = -1;
    while (next >= 0 && count < MOTLEY__RIVALS) {
        rival[count++] = next;
        next = next_rival(plan, rival, count);
    }
    return count > 1 ? count : 0;
}

/* One rival on trial. */
struct rival {
    struct motley__outcome outcome;  /* seconds 0: not known */
    motley_plan *plan;               /* owned, as are the next three */
    motley_layer *layer;
    motley_tensor *x, *y;
    double seconds[MOST_ROUNDS];     /* of the slowest rank */
};

struct work {
    const struct motley__audition *a;
    const motley_plan *plan;         /* auto's */
    struct rival rival[MOTLEY__RIVALS];
    int count;
    struct motley_error *error;
};

/* Who the ranks are, and about how much each of them brings where that is given. */
static uint64_t hash_ranks(const struct motley__audition *a, int R, const struct motley_plan_options *options)
{
    uint64_t hash = MOTLEY__HASH_START;
    for (int r = 0; r < R && options->tokens_of; r++) {
        const int sixteenths = (int)lround(16.0 * (double)options->tokens_of[r] / fmax(1, (double)options->tokens));
        hash = motley__hash_bytes(hash, &sixteenths, sizeof sixteenths);
    }
    for (int r = 0; r < R; r++) {
        const struct motley__profile_key *key = &a->entry[r]->key;
        const char *const texts[] = {key->host, key->name, key->driver, key->family, key->variant};
        const int numbers[] = {key->cores, key->place, key->places};
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            hash = motley__hash_bytes(hash, texts[i], strlen(texts[i]) + 1);
        hash = motley__hash_bytes(hash, numbers, sizeof numbers);
        hash = motley__hash_bytes(hash, &key->kernels, sizeof key->kernels);
    }
    return hash;
}

/* What rank 0's profile knows, to everyone. */
static int recall(struct work *w)
{
    const motley_context *context = w->a->context;
    double seconds[MOTLEY__RIVALS] = {0};
    for (int i = 0; i < w->count && !w->a->again && context->rank == 0; i++) {
        const struct motley__outcome *known = motley__outcome_find(w->a->profile, &w->rival[i].outcome);
        seconds[i] = known ? known->seconds : 0;
    }
    MPI_Request request;
    int status = motley__fail_mpi(w->error, MPI_Ibcast(seconds, MOTLEY__RIVALS, MPI_DOUBLE, 0, context->comm, &request),
                                  "MPI_Ibcast");
    if (!status)
        status = motley__wait(&request, context->time_limit, "what modes took", w->error);
    for (int i = 0; i < w->count; i++)
        w->rival[i].outcome.seconds = seconds[i];
    return status;
}

/* The plan of one alternative, as if it had been auto's choice. */
static int plan_of(const struct work *w, const struct motley__outcome *outcome, motley_plan **plan)
{
    struct motley_plan_options options = w->plan->options;
    options.mode = (enum motley_mode)outcome->mode;
    options.group = outcome->group;
    int status = motley__plan_make(&w->plan->shape, &options, w->plan->R, w->a->entry, w->a->links, plan, w->error);
    if (!status) {
        (*plan)->options.mode = w->plan->options.mode;
        (*plan)->options.group = w->plan->options.group;
    }
    return status;
}

/* Random tokens, and a gate that spreads them; the experts' weights stay zero. */
static int fill(struct rival *rival, int rank, struct motley_error *error)
{
    const struct motley_layer_shape *shape = &rival->plan->shape;
    const size_t T = (size_t)rival->plan->rank[rank].tokens, D = (size_t)shape->D, E = (size_t)shape->E;
    float *values = malloc((T > E ? T : E) * D * sizeof *values);
    int status = 0;
    if (!values)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu tokens on trial", T);
    for (size_t i = 0; i < E * D; i++)
        values[i] = (float)(0.1 * motley__random_normal(SEED, 0, i));
    status = motley_layer_set(rival->layer, MOTLEY_GATE, 0, values, error);
    for (size_t i = 0; i < T * D; i++)
        values[i] = (float)motley__random_normal(SEED, 1 + (uint64_t)rank, i);
    if (!status)
        status = motley_tensor_write(rival->x, values, error);
    free(values);
    return status;
}

static int make_plans(struct work *w)
{
    int status = 0;
    for (int i = 0; i < w->count && !status; i++) {
        struct rival *rival = &w->rival[i];
        status = plan_of(w, &rival->outcome, &rival->plan);
        if (!status)
            rival->plan->shape.gate = MOTLEY_GATE_SOFTMAX; /* nobody is here to force the choice of experts */
    }
    return motley__agree(w->a->context->comm, status, w->error);
}

/* No rank may run out of memory in the middle of a step on trial, for the others would wait for it: there is room on
 * every rank for any layer, or none is tried.  *held: how many can be in memory together, all or one. */
static int find_room(const struct work *w, int *held)
{
    const motley_context *context = w->a->context;
    const struct motley__device *device = context->device;
    const int panel = motley__esmm_panel(device, w->plan->shape.dtype);
    uint64_t all = device->used_bytes, most = 0, largest = 0;
    for (int i = 0; i < w->count; i++) {
        const struct motley__room room = motley__room_of_layer(w->rival[i].plan, context->rank, panel);
        all += room.bytes;
        most = room.bytes > most ? room.bytes : most;
        largest = room.largest > largest ? room.largest : largest;
    }
    int fits[2] = {device->used_bytes + most <= device->memory_bytes && largest <= device->max_buffer_bytes,
                   all <= device->memory_bytes};
    MPI_Request request;
    int status = motley__fail_mpi(w->error, MPI_Iallreduce(MPI_IN_PLACE, fits, 2, MPI_INT, MPI_MIN, context->comm,
                                                           &request), "MPI_Iallreduce");
    if (!status)
        status = motley__wait(&request, context->time_limit, "room for a trial", w->error);
    if (!status && !fits[0]) /* the same on all ranks */
        status = motley__fail(w->error, MOTLEY_E_DEVICE_MEMORY, "a device has no memory to try modes in");
    *held = fits[1] ? w->count : 1;
    return status;
}

static int open_rival(struct work *w, struct rival *rival)
{
    motley_context *context = w->a->context;
    int status = motley_layer_create(context, rival->plan, &rival->layer, w->error);
    if (status)
        return status;
    const int64_t T = rival->plan->rank[context->rank].tokens;
    const struct motley_layer_shape *shape = &rival->plan->shape;
    status = motley_tensor_create(context, shape->dtype, T, shape->D, &rival->x, w->error);
    if (!status)
        status = motley_tensor_create(context, shape->dtype, T, shape->D, &rival->y, w->error);
    if (!status)
        status = fill(rival, context->rank, w->error);
    return motley__agree(context->comm, status, w->error);
}

static void close_rival(struct rival *rival)
{
    motley_tensor_destroy(rival->x);
    motley_tensor_destroy(rival->y);
    motley_layer_destroy(rival->layer);
    rival->x = rival->y = NULL;
    rival->layer = NULL;
}

/* One step, begun by all ranks together; *seconds of the slowest. */
static int step(struct work *w, struct rival *rival, double *seconds)
{
    const motley_context *context = w->a->context;
    MPI_Request request;
    int status = motley__fail_mpi(w->error, MPI_Ibarrier(context->comm, &request), "MPI_Ibarrier");
    if (!status)
        status = motley__wait(&request, context->time_limit, "a step on trial", w->error);
    const double begin = motley__seconds();
    if (!status)
        status = motley_layer_forward(rival->layer, rival->x, NULL, rival->y, w->error);
    if (!status && rival->outcome.backward)
        status = motley_layer_backward(rival->layer, rival->x, rival->y, w->error);
    *seconds = motley__seconds() - begin;
    status = motley__agree_within(context->comm, context->time_limit, status, w->error);
    if (!status)
        status = motley__fail_mpi(w->error, MPI_Iallreduce(MPI_IN_PLACE, seconds, 1, MPI_DOUBLE, MPI_MAX, context->comm,
                                                           &request), "MPI_Iallreduce");
    return status ? status : motley__wait(&request, context->time_limit, "a step on trial", w->error);
}

/* `count` rivals in turns, as often as `limit` seconds allow. */
static int time_turns(struct work *w, struct rival *rival, int count, double limit)
{
    double all = 0, seconds;
    int status = 0, rounds = MOST_ROUNDS;
    for (int i = 0; i < count && !status; i++)
        status = open_rival(w, &rival[i]);
    for (int i = 0; i < 2 * count && !status; i++) { /* the first builds kernels and makes room */
        status = step(w, &rival[i % count], &seconds);
        all += i < count ? 0 : seconds;
    }
    if (!status && rounds * all > limit)
        rounds = (int)fmax(LEAST_ROUNDS, limit / all);
    for (int round = 0; round < rounds && !status; round++)
        for (int i = 0; i < count && !status; i++) {
            struct rival *turn = &rival[(round + i) % count];
            status = step(w, turn, &turn->seconds[round]);
        }
    for (int i = 0; i < count && !status; i++) {
        rival[i].outcome.seconds = motley__timing_round(motley__median(rival[i].seconds, rounds));
        rival[i].outcome.samples = rounds;
        status = motley__outcome_put(w->a->profile, &rival[i].outcome, w->error);
    }
    for (int i = 0; i < count; i++)
        close_rival(&rival[i]);
    return motley__agree_within(w->a->context->comm, w->a->context->time_limit, status, w->error);
}

/* All rivals in turns, or one after the other where memory holds no more than one layer. */
static int time_rivals(struct work *w)
{
    int held = w->count, status = make_plans(w);
    if (!status)
        status = find_room(w, &held);
    for (int i = 0; i < w->count && !status; i += held)
        status = time_turns(w, &w->rival[i], held, SECONDS * held / w->count);
    for (int i = 0; i < w->count; i++) {
        motley_plan_destroy(w->rival[i].plan);
        w->rival[i].plan = NULL;
    }
    return status;
}

/* The fastest takes the place of *plan, unless it is that already. */
static int crown(struct work *w, motley_plan **plan)
{
    motley_plan *winner = NULL;
    int best = 0;
    for (int i = 1; i < w->count; i++)
        if (w->rival[i].outcome.seconds < w->rival[best].outcome.seconds)
            best = i;
    if (best == 0)
        return 0;
    int status = plan_of(w, &w->rival[best].outcome, &winner);
    if (status)
        return status;
    motley_plan_destroy(*plan);
    *plan = winner;
    return 0;
}

int motley__audition(const struct motley__audition *audition, motley_plan **plan, int *changed,
                     struct motley_error *error)
{
    const motley_plan *now = *plan;
    struct motley_error why = {0};
    struct work w = {.a = audition, .plan = now, .error = &why};
    int rival[MOTLEY__RIVALS], unknown = 0;
    w.count = motley__audition_rivals(now, rival);
    if (!w.count)
        return 0;
    const uint64_t ranks = hash_ranks(audition, now->R, &now->options);
    for (int i = 0; i < w.count; i++) {
        w.rival[i].outcome = motley__outcome_key(ranks, now->R, &now->shape, &now->options);
        w.rival[i].outcome.mode = (int)now->alternative[rival[i]].mode;
        w.rival[i].outcome.group = now->alternative[rival[i]].group;
    }
    int status = recall(&w);
    for (int i = 0; i < w.count; i++)
        unknown |= w.rival[i].outcome.seconds == 0;
    if (!status && unknown) {
        motley__detail(&audition->context->log, "modes predicted within %.0f%% of each other are tried", 100 * NEAR);
        status = time_rivals(&w);
        *changed = !status;
    }
    if (!status)
        status = motley__agree(audition->context->comm, crown(&w, plan), &why);
    if (status == MOTLEY_E_DEVICE_MEMORY) {
        motley__detail(&audition->context->log, "%s: the prediction stands", why.text);
        return 0;
    }
    return status ? motley__fail(error, status, "%s", why.text) : 0;
}
