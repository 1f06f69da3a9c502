/* Candidates that are predicted nearly alike are tried.
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
#include "coactivation/coactivation.h"
#include "measure/timing.h"
#include "plan/audition.h"
#include "plan/drawn.h"
#include "plan/rivals.h"
#include "plan/room.h"
#include "product/esmm.h"

static const double NEARLY = 0.98;          /* of the seconds of another way of the same mode: as good as it */
static const double SECONDS = 3;            /* for all rounds together, where steps are quick */
enum { MOST_ROUNDS = 9, LEAST_ROUNDS = 3, SEED = 31 };

/* One rival on trial. */
struct rival {
    struct motley__outcome outcome;  /* seconds 0: not known */
    int predicted_best;              /* of its mode's ways */
    motley_plan *plan;               /* owned, as are the next four */
    motley_layer *layer;
    motley_tensor *x, *y;
    int32_t *forced;                 /* [T,K] what its tokens choose; NULL: what the gate says */
    double seconds[MOST_ROUNDS];     /* of the slowest rank */
};

struct work {
    const struct motley__audition *a;
    const motley_plan *plan;         /* auto's */
    struct rival rival[MOTLEY__RIVALS];
    int count;
    struct motley__choices choices;  /* by which tokens on trial choose; no sets: by loads, else at random; owned */
    struct motley_error *error;
};

/* Loads in sixteenths of their mean; NULL: the hash as it is. */
static uint64_t hash_loads(uint64_t hash, int E, const double *load)
{
    double sum = 0;
    for (int e = 0; load && e < E; e++)
        sum += load[e];
    for (int e = 0; load && e < E; e++) {
        const int64_t sixteenths = llround(16 * E * (load[e] / sum));
        hash = motley__hash_bytes(hash, &sixteenths, sizeof sixteenths);
    }
    return hash;
}

/* Who the ranks are, about how much each of them brings where that is given, whether tokens go once, the capacity, what
 * is known to be chosen together, and about what part of the pairs each expert gets. */
static uint64_t hash_ranks(const struct motley__audition *a, int R, int E, const struct motley_plan_options *options)
{
    uint64_t hash = MOTLEY__HASH_START;
    for (int r = 0; r < R && options->tokens_of; r++) {
        const int sixteenths = (int)lround(16.0 * (double)options->tokens_of[r] / fmax(1, (double)options->tokens));
        hash = motley__hash_bytes(hash, &sixteenths, sizeof sixteenths);
    }
    if (options->duplicate)
        hash = motley__hash_bytes(hash, &options->duplicate, sizeof options->duplicate);
    if (options->capacity != 0) {
        const double capacity = fabs(options->capacity);
        hash = motley__hash_bytes(hash, &capacity, sizeof capacity);
    }
    if (options->wire)
        hash = motley__hash_bytes(hash, &options->wire, sizeof options->wire);
    if (options->coactivation) {
        const uint64_t known[2] = {motley__coactivation_hash(options->coactivation),
                                   (uint64_t)options->coactivation_layer};
        hash = motley__hash_bytes(hash, known, sizeof known);
    }
    hash = hash_loads(hash, E, options->load);
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
        struct motley__outcome wanted = w->rival[i].outcome;
        const struct motley__outcome *known = motley__outcome_find(w->a->profile, &wanted);
        wanted.exchange = wanted.pipeline = 0;
        if (!known && w->rival[i].predicted_best)
            known = motley__outcome_find(w->a->profile, &wanted);
        seconds[i] = known ? known->seconds : 0;
    }
    MPI_Request request;
    int status = motley__fail_mpi(w->error, MPI_Ibcast(seconds, MOTLEY__RIVALS, MPI_DOUBLE, 0, context->comm, &request),
                                  "MPI_Ibcast");
    if (!status)
        status = motley__wait(&request, context->time_limit, "what candidates took", w->error);
    for (int i = 0; i < w->count; i++)
        w->rival[i].outcome.seconds = seconds[i];
    return status;
}

/* A plan that was asked for shows what the one of all modes and ways did, but for its own. */
static void show_as_chosen(const motley_plan *all, motley_plan *plan)
{
    const struct motley__alternative chosen = plan->alternative[plan->chosen];
    plan->options.mode = all->options.mode;
    plan->options.group = all->options.group;
    plan->options.exchange = all->options.exchange;
    plan->options.pipeline = all->options.pipeline;
    if (plan->alternatives == all->alternatives) /* else there are so many ranks that it was considered alone */
        memcpy(plan->alternative, all->alternative, (size_t)all->alternatives * sizeof *all->alternative);
    plan->alternative[plan->chosen] = chosen;
}

/* The plan of one candidate, as if it had been chosen by prediction.  layer: the coactivation_layer to plan by. */
static int plan_of(const struct work *w, const struct motley__outcome *outcome, int layer, motley_plan **plan)
{
    struct motley_plan_options options = w->plan->options;
    options.coactivation_layer = layer;
    options.mode = (enum motley_mode)outcome->mode;
    options.group = outcome->group;
    options.exchange = (enum motley_exchange)outcome->exchange;
    options.pipeline = outcome->pipeline;
    int status = motley__plan_make(&w->plan->shape, &options, w->plan->R, w->a->entry, w->a->links, plan, w->error);
    if (!status)
        show_as_chosen(w->plan, *plan);
    return status;
}

/* Random tokens, and a gate that spreads them, unless they are forced; the experts' weights stay zero. */
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

/* Is anything known of what tokens choose? */
static int is_forced(const struct work *w)
{
    return w->choices.sets || w->plan->options.load;
}

/* What the tokens choose, where that is known: a recorded set, else by the loads. */
static int draw_choices(const struct work *w, struct rival *rival, int rank)
{
    const struct motley_layer_shape *shape = &w->plan->shape;
    const int64_t T = rival->plan->rank[rank].tokens;
    rival->forced = malloc(((size_t)T * (size_t)shape->K + 1) * sizeof *rival->forced);
    if (!rival->forced)
        return motley__fail(w->error, MOTLEY_E_MEMORY, "out of host memory for %lld tokens on trial", (long long)T);
    if (!w->choices.sets)
        return motley__drawn_experts(shape->E, shape->K, w->plan->options.load, SEED, 1 + (uint64_t)rank, T,
                                     rival->forced, w->error);
    return motley__choices_draw(&w->choices, SEED, 1 + (uint64_t)rank, T, rival->forced, w->error);
}

/* Of layers that differ in what is chosen together the first is tried. */
static int make_plans(struct work *w)
{
    const struct motley_plan_options *options = &w->plan->options;
    const int layer = options->coactivation && !options->coactivation_layer ? 1 : options->coactivation_layer;
    int status = 0;
    if (options->coactivation)
        status = motley__choices_make(options->coactivation, layer - 1, w->plan->shape.K, &w->choices, w->error);
    for (int i = 0; i < w->count && !status; i++) {
        struct rival *rival = &w->rival[i];
        status = plan_of(w, &rival->outcome, layer, &rival->plan);
        if (!status) /* nobody else is here to force the choice of experts */
            rival->plan->shape.gate = is_forced(w) ? MOTLEY_GATE_FORCED : MOTLEY_GATE_SOFTMAX;
    }
    return motley__context_agree(w->a->context, status, w->error);
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
        const struct motley__room room = motley__room_of_layer(w->rival[i].plan, context->rank,
                                                               context->node_of, panel);
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
        status = motley__fail(w->error, MOTLEY_E_DEVICE_MEMORY, "a device has no memory to try layers in");
    *held = fits[1] ? w->count : 1;
    return status;
}

static int open_rival(struct work *w, struct rival *rival)
{
    motley_context *context = w->a->context;
    const struct motley_routing routing = {.capacity = rival->plan->options.capacity};
    int status = motley_layer_create(context, rival->plan, &rival->layer, w->error);
    if (status)
        return status;
    const int64_t T = rival->plan->rank[context->rank].tokens;
    const struct motley_layer_shape *shape = &rival->plan->shape;
    status = motley_tensor_create(context, shape->dtype, T, shape->D, &rival->x, w->error);
    if (!status)
        status = motley_tensor_create(context, shape->dtype, T, shape->D, &rival->y, w->error);
    if (!status && routing.capacity != 0)
        status = motley_layer_set_routing(rival->layer, &routing, w->error);
    if (!status)
        status = fill(rival, context->rank, w->error);
    if (!status && is_forced(w))
        status = draw_choices(w, rival, context->rank);
    return motley__context_agree(context, status, w->error);
}

static void close_rival(struct rival *rival)
{
    motley_tensor_destroy(rival->x);
    motley_tensor_destroy(rival->y);
    motley_layer_destroy(rival->layer);
    free(rival->forced);
    rival->forced = NULL;
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
        status = motley_layer_forward(rival->layer, rival->x, rival->forced, rival->y, w->error);
    if (!status && rival->outcome.backward)
        status = motley_layer_backward(rival->layer, rival->x, rival->y, w->error);
    *seconds = motley__seconds() - begin;
    status = motley__context_agree(context, status, w->error);
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
    return motley__context_agree(w->a->context, status, w->error);
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
    motley__choices_clear(&w->choices);
    return status;
}

/* Between ways of a mode the one that was listed before stays when there is little in it, so that what two jobs find
 * differs seldom. */
static int faster(const struct motley__outcome *a, const struct motley__outcome *b)
{
    return a->seconds < (a->mode == b->mode && a->group == b->group ? NEARLY : 1) * b->seconds;
}

/* The fastest takes the place of *plan, unless it is that already. */
static int crown(struct work *w, motley_plan **plan)
{
    motley_plan *winner = NULL;
    int best = 0;
    for (int i = 1; i < w->count; i++)
        if (faster(&w->rival[i].outcome, &w->rival[best].outcome))
            best = i;
    if (best == 0)
        return 0;
    int status = plan_of(w, &w->rival[best].outcome, w->plan->options.coactivation_layer, &winner);
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
    struct motley__candidate rival[MOTLEY__RIVALS];
    int unknown = 0;
    w.count = motley__rivals(now, rival);
    if (!w.count)
        return 0;
    const uint64_t ranks = hash_ranks(audition, now->R, now->shape.E, &now->options);
    for (int i = 0; i < w.count; i++) {
        const struct motley__alternative *alternative = &now->alternative[rival[i].alternative];
        const struct motley__way *way = &alternative->predicted.way[rival[i].way];
        struct motley__outcome *outcome = &w.rival[i].outcome;
        *outcome = motley__outcome_key(ranks, now->R, &now->shape, &now->options);
        outcome->mode = (int)alternative->mode;
        outcome->group = alternative->group;
        outcome->exchange = (int)way->exchange;
        outcome->pipeline = way->chunks;
        w.rival[i].predicted_best = rival[i].way == 0;
    }
    int status = recall(&w);
    for (int i = 0; i < w.count; i++)
        unknown |= w.rival[i].outcome.seconds == 0;
    if (!status && unknown) {
        motley__detail(&audition->context->log, "modes and ways for rows to travel that are predicted within %.0f%% of "
                       "the fastest are tried", 100 * motley__rivals_near);
        status = time_rivals(&w);
        *changed = !status;
    }
    if (!status)
        status = motley__context_agree(audition->context, crown(&w, plan), &why);
    if (status == MOTLEY_E_DEVICE_MEMORY) {
        motley__detail(&audition->context->log, "%s: the prediction stands", why.text);
        return 0;
    }
    return status ? motley__fail(error, status, "%s", why.text) : 0;
}
