/* The plan: measured, gathered, made on every rank alike.
 *
 *   measure -> profile -> cost -> allocate -> plan
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/collective.h"
#include "base/random.h"
#include "coactivation/coactivation.h"
#include "context.h"
#include "cost/cost.h"
#include "measure/link_measure.h"
#include "measure/measure.h"
#include "plan/audition.h"
#include "plan/known.h"
#include "plan/plan.h"
#include "profile/record.h"

enum { NUMBERS = 26 };


/* *unlike: the first of `count` numbers that is not the same on all ranks, -1: none; between[2] its lowest and highest
 * value.  Agreed. */
static int compare(motley_context *context, const int64_t *own, int count, int *unlike, int64_t *between,
                   struct motley_error *error)
{
    int64_t *bounds = malloc(2 * (size_t)count * sizeof *bounds);
    int status = bounds ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to plan");
    status = motley__context_agree(context, status, error);
    for (int i = 0; i < count && !status; i++) {
        bounds[i] = own[i];
        bounds[count + i] = -own[i];
    }
    if (!status)
        status = motley__reduce(context->comm, context->time_limit, bounds, 2 * count, MPI_INT64_T, MPI_MIN, error);
    *unlike = -1;
    for (int i = count - 1; i >= 0 && !status; i--)
        if (bounds[i] != -bounds[count + i]) {
            *unlike = i;
            between[0] = bounds[i];
            between[1] = -bounds[count + i];
        }
    free(bounds);
    return motley__context_agree(context, status, error);
}

static int fail_unlike(const char *name, const int64_t *between, struct motley_error *error)
{
    return motley__fail(error, MOTLEY_E_MISMATCH,
                        "ranks plan different layers: %s is %lld on one rank and %lld on another; give all ranks the "
                        "same", name, (long long)between[0], (long long)between[1]);
}

/* Both halves of a hash of the experts' loads, 0 where none are given. */
static int compare_loads(motley_context *context, const struct motley_layer_shape *shape,
                         const struct motley_plan_options *options, struct motley_error *error)
{
    const uint64_t hash = options->load && shape->E > 0
                              ? motley__hash_bytes(MOTLEY__HASH_START, options->load,
                                                   (size_t)shape->E * sizeof *options->load) : 0;
    const int64_t half[2] = {(int64_t)(hash >> 32), (int64_t)(hash & 0xffffffff)};
    int64_t between[2];
    int unlike, status = compare(context, half, 2, &unlike, between, error);
    if (!status && unlike >= 0)
        status = motley__fail(error, MOTLEY_E_MISMATCH, "ranks plan for different loads of the experts; give all ranks "
                              "the same");
    return status;
}

/* Shape and options must be the same everywhere. */
static int check_alike(motley_context *context, const struct motley_layer_shape *shape,
                       const struct motley_plan_options *options, struct motley_error *error)
{
    static const char *const names[NUMBERS] = {"D", "F", "E", "K", "activation", "bias", "gate", "normalize",
                                               "tokens per step", "backward", "shares", "layers", "moments", "dtype",
                                               "mode", "group", "exchange", "duplicate", "pipeline", "sequence",
                                               "whether each rank's tokens are given",
                                               "the co-activation's hash", "coactivation_layer", "gate width",
                                               "a millionth of the capacity", "wire"};
    const int64_t recorded =
        options->coactivation ? (int64_t)(motley__coactivation_hash(options->coactivation) >> 1) : 0;
    const int64_t capacity = (int64_t)fmin(1e15, 1e6 * fabs(options->capacity));
    const int64_t own[NUMBERS] = {shape->D, shape->F, shape->E, shape->K, shape->activation, shape->bias != 0,
                                  shape->gate, shape->normalize != 0, options->tokens, options->backward != 0,
                                  options->shares, options->layers, options->moments, shape->dtype, options->mode,
                                  options->group, options->exchange, options->duplicate != 0, options->pipeline,
                                  options->sequence, options->tokens_of != NULL, recorded,
                                  options->coactivation_layer, shape->gate_width, capacity, options->wire};
    int64_t between[2];
    char name[48];
    int unlike, status = compare(context, own, NUMBERS, &unlike, between, error);
    if (!status && unlike >= 0)
        status = fail_unlike(names[unlike], between, error);
    if (!status)
        status = compare_loads(context, shape, options, error);
    if (status || !options->tokens_of)
        return motley__context_agree(context, status, error);
    status = compare(context, options->tokens_of, context->size, &unlike, between, error);
    if (!status && unlike >= 0) {
        snprintf(name, sizeof name, "tokens of rank %d", unlike);
        status = fail_unlike(name, between, error);
    }
    return motley__context_agree(context, status, error);
}

enum { SLICE_SECONDS = 3 }; /* for the curves of slices, of which fewer points matter */

/* Seconds of whole experts and, where ranks could share an expert, of slices.  *changed: any rank learned something. */
static int learn_experts(motley_context *context, const struct motley_layer_shape *shape,
                         const struct motley_plan_options *options, double seconds,
                         struct motley__profile_entry *entry, int *changed, struct motley_error *error)
{
    const double rows = motley__cost_rows(shape, options->tokens);
    const struct motley__measure whole = {
        .rows = rows, .backward = options->backward, .seconds = seconds,
        .unchecked = seconds == 0 && motley__known_has(context->known, shape, options->backward)};
    const struct motley__measure part = {.rows = rows, .backward = options->backward,
                                         .seconds = seconds > 0 ? seconds / 3 : SLICE_SECONDS, .unchecked = 1};
    struct motley_layer_shape slice = *shape;
    int more = 0, status = motley__measure(context, shape, &whole, entry, changed, error);
    slice.F = motley__curve_slice(shape->F);
    if (!status && slice.F < shape->F && context->size > 1)
        status = motley__measure(context, &slice, &part, entry, &more, error);
    *changed |= more;
    if (!status)
        status = motley__known_add(context->known, shape, options->backward, error);
    return motley__context_agree(context, status, error);
}

/* The links, timed at the first plan of the job, and again when asked to look closer. */
static int learn_links(motley_context *context, int again, struct motley__profile *profile, int *changed,
                       struct motley_error *error)
{
    struct motley__links *links = &context->known->links;
    if (context->size == 1 || (links->R && !again))
        return 0;
    motley__links_clear(links);
    return motley__link_measure(context, profile, 0, links, changed, error);
}

static int open_known(motley_context *context, struct motley_error *error)
{
    int status = 0;
    if (!context->known)
        context->known = calloc(1, sizeof *context->known);
    if (!context->known)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to plan");
    return motley__context_agree(context, status, error);
}

/* Do links matter?  Even shares look at no device, but the way of rows between nodes is chosen by the links. */
static int asks_links(const motley_context *context, const struct motley_plan_options *options)
{
    int several = 0;
    for (int r = 0; r < context->size; r++)
        several |= context->node_of[r] > 0;
    return options->shares == MOTLEY_SHARES_MEASURED ||
           (several && options->exchange == MOTLEY_EXCHANGE_AUTO && options->mode != MOTLEY_MODE_DATA);
}

/* What the profile says about this rank and the links, completed by measuring where the plan depends on it. */
static int learn(motley_context *context, const struct motley_layer_shape *shape,
                 const struct motley_plan_options *options, double seconds, struct motley__profile *profile,
                 struct motley__profile_entry **entry, int *news, struct motley_error *error)
{
    struct motley_error why = {0};
    int changed = 0, linked = 0, lost = 0, status = motley__record_load(context, shape->dtype, profile, entry, error);
    if (!status)
        status = open_known(context, error);
    if (!status && asks_links(context, options))
        status = learn_links(context, seconds > 0, profile, &linked, error);
    if (!status && options->shares == MOTLEY_SHARES_MEASURED)
        status = learn_experts(context, shape, options, seconds, *entry, &changed, error);
    if (!status && linked)
        lost = motley__record_save_common(context, profile, &why);
    if (!status && changed && !lost)
        lost = motley__record_save(context, *entry, &why);
    if (lost && context->rank == 0)
        motley__warn(&context->log, "%s; the measurements are used but not kept", why.text);
    *news = changed || linked;
    return status;
}

/* Of modes that are predicted nearly alike the one that is faster. */
static int choose_by_trial(const struct motley__audition *audition, motley_plan **plan, struct motley_error *error)
{
    struct motley_error why = {0};
    int changed = 0, status = motley__audition(audition, plan, &changed, error);
    if (!status && changed && motley__record_save_common(audition->context, audition->profile, &why) &&
        audition->context->rank == 0)
        motley__warn(&audition->context->log, "%s; what modes took is used but not kept", why.text);
    return status;
}

/* Everyone's entries, and the same plan from them on every rank.  audition: for modes that are predicted nearly alike;
 * NULL: the prediction decides.  profiles [size]. */
static int make_together(motley_context *context, const struct motley_layer_shape *shape,
                         const struct motley_plan_options *options, const struct motley__profile_entry *own,
                         struct motley__audition *audition, struct motley__profile *profiles, motley_plan **plan,
                         struct motley_error *error)
{
    const struct motley__links *links =
        asks_links(context, options) && context->known->links.R ? &context->known->links : NULL;
    const struct motley__profile_entry **entry = NULL;
    int status = motley__record_gather(context, own, shape, profiles, error);
    if (status)
        return status;
    entry = calloc((size_t)context->size, sizeof *entry);
    if (!entry)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", context->size);
    for (int r = 0; r < context->size && !status; r++)
        entry[r] = profiles[r].entry;
    if (!status)
        status = motley__plan_make(shape, options, context->size, entry, links, plan, error);
    status = motley__context_agree(context, status, error);
    if (!status && links && audition) {
        audition->entry = entry;
        audition->links = links;
        status = choose_by_trial(audition, plan, error);
    }
    free(entry);
    return status;
}

int motley__plan_create(motley_context *context, const struct motley_layer_shape *shape,
                        const struct motley_plan_options *options, double seconds, int tries, motley_plan **plan,
                        struct motley_error *error)
{
    struct motley_error local = {0};
    struct motley__profile profile = {0};
    struct motley__profile_entry *own = NULL;
    struct motley__profile *profiles = NULL;
    struct motley__audition audition = {.context = context, .profile = &profile};
    motley_plan *made = NULL;
    if (!error)
        error = &local;
    int status = check_alike(context, shape, options, error);
    if (!status) /* the same everywhere from here on, so this fails on all ranks or on none */
        status = motley__context_agree(context, motley__plan_possible(shape, options, context->size, error), error);
    if (!status)
        status = motley__context_admit(context, shape->dtype, error);
    if (!status)
        status = learn(context, shape, options, seconds, &profile, &own, &audition.again, error);
    if (!status) {
        profiles = calloc((size_t)context->size, sizeof *profiles);
        if (!profiles)
            status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d profiles", context->size);
        status = motley__context_agree(context, status, error);
    }
    if (!status)
        status = motley__context_agree(context, make_together(context, shape, options, own,
                                                              tries && options->shares == MOTLEY_SHARES_MEASURED
                                                                  ? &audition : NULL,
                                                              profiles, &made,
                                                              error), error);
    for (int r = 0; profiles && r < context->size; r++)
        motley__profile_clear(&profiles[r]);
    free(profiles);
    motley__profile_clear(&profile);
    if (status) {
        motley_plan_destroy(made);
        return status;
    }
    *plan = made;
    return 0;
}

int motley_plan_create(motley_context *context, const struct motley_layer_shape *shape,
                       const struct motley_plan_options *options, motley_plan **plan, struct motley_error *error)
{
    return motley__plan_create(context, shape, options, 0, 1, plan, error);
}

const struct motley_layer_shape *motley_plan_shape(const motley_plan *plan)
{
    return &plan->shape;
}

enum motley_mode motley_plan_mode(const motley_plan *plan)
{
    return plan->mode;
}

int motley_plan_ranks(const motley_plan *plan)
{
    return plan->R;
}

struct motley_plan_rank motley_plan_rank(const motley_plan *plan, int rank)
{
    assert(rank >= 0 && rank < plan->R);
    const struct motley__plan_entry *entry = &plan->rank[rank];
    const struct motley__holding *stored = &plan->stored.rank[rank];
    const double E = plan->shape.E, F = plan->shape.F, T = (double)plan->options.tokens;
    double share = (double)stored->experts * (stored->end - stored->begin) / (E * F);
    if (plan->load && plan->mode != MOTLEY_MODE_DATA)
        share = motley__plan_part(plan, plan->group_of[rank]) * (stored->end - stored->begin) / F;
    if (plan->mode == MOTLEY_MODE_DATA)
        share = T > 0 ? (double)entry->tokens / T : 0;
    return (struct motley_plan_rank){
        .experts = stored->experts, .expert = stored->expert, .hidden_begin = stored->begin,
        .hidden_end = stored->end, .tokens = entry->tokens, .gflops = entry->gflops, .seconds = entry->seconds,
        .share = share, .bytes = entry->bytes,
    };
}
