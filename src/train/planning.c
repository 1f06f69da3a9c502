/* Who does what in a run: the plan of its checkpoint or a new one, and the sequences of each rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "coactivation/coactivation.h"
#include "train/trainer.h"

/* Plans hold names in printable ASCII, with '?' for anything else. */
static int same_name(const char *planned, const char *now, size_t size)
{
    size_t i = 0;
    while (i + 1 < size && planned[i] && (planned[i] == now[i] || (planned[i] == '?' && now[i])))
        i++;
    return i + 1 == size || planned[i] == now[i];
}

int motley__plan_fits(const motley_plan *plan, const motley_context *context)
{
    if (plan->R != context->size)
        return 0;
    for (int r = 0; r < plan->R; r++) {
        const struct motley__plan_entry *then = &plan->rank[r];
        const struct motley_device_info *now = &context->info[r];
        if (!same_name(then->host, now->host, sizeof then->host) ||
            !same_name(then->device, now->name, sizeof then->device) ||
            !same_name(then->family, now->family, sizeof then->family))
            return 0;
    }
    return 1;
}

/* The plan is one of such sequences, and every rank brings whole ones: its text may be of another version. */
static int same_sequences(const motley_plan *plan, const struct motley_plan_options *options)
{
    int64_t tokens = 0;
    int whole = plan->options.tokens == options->tokens && plan->options.sequence == options->sequence;
    for (int r = 0; r < plan->R && whole; r++) {
        tokens += plan->rank[r].tokens;
        whole = plan->rank[r].tokens % options->sequence == 0;
    }
    return whole && tokens == options->tokens;
}

static int same_coactivation(const struct motley_trainer *trainer)
{
    return !trainer->coactivation || motley__coactivation_hash(trainer->coactivation) == trainer->plan->coactivation;
}

int motley__trainer_plan(struct motley_trainer *trainer, const char *text, struct motley_error *error)
{
    const struct motley_trainer_options *o = &trainer->settings.o;
    const struct motley_layer_shape shape = motley__config_shape(&trainer->config, (enum motley_dtype)o->dtype);
    const struct motley_plan_options options = {.tokens = (int64_t)o->batch * o->sequence,
                                                .sequence = o->sequence, .backward = 1,
                                                .shares = o->shares, .mode = o->mode, .group = o->group,
                                                .layers = o->layers, .moments = 2, .capacity = fmax(0, o->capacity),
                                                .wire = (enum motley_dtype)o->wire,
                                                .coactivation = trainer->coactivation};
    if (text) {
        int status = motley_plan_parse(text, &trainer->plan, error);
        if (status)
            return motley__context_agree(trainer->context, status, error);
        if (motley__plan_fits(trainer->plan, trainer->context) && trainer->plan->shape.dtype == shape.dtype &&
            trainer->plan->options.wire == options.wire &&
            same_sequences(trainer->plan, &options) &&
            (o->mode == MOTLEY_MODE_AUTO ||
             (o->mode == trainer->plan->mode && o->group == trainer->plan->options.group)) &&
            same_coactivation(trainer)) {
            trainer->plan->options.coactivation = trainer->coactivation;
            return 0;
        }
        motley_plan_destroy(trainer->plan);
        trainer->plan = NULL;
        trainer->planned_anew = 1;
    }
    return motley_plan_create(trainer->context, &shape, &options, &trainer->plan, error);
}

int motley__trainer_share(struct motley_trainer *trainer, struct motley_error *error)
{
    const int R = trainer->context->size, S = trainer->settings.o.sequence;
    int status = 0;
    free(trainer->first);
    free(trainer->tokens);
    trainer->tokens = NULL;
    trainer->first = calloc((size_t)R + 1, sizeof *trainer->first);
    if (!trainer->first)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d ranks", R);
    for (int r = 0; r < R && !status; r++)
        trainer->first[r + 1] = trainer->first[r] + (int)(motley_plan_rank(trainer->plan, r).tokens / S);
    if (!status) {
        int mine = motley_trainer_sequences(trainer, trainer->context->rank);
        trainer->tokens = malloc((size_t)(mine + 1) * ((size_t)S + 1));
        if (!trainer->tokens)
            status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d sequences", mine);
    }
    return motley__context_agree(trainer->context, status, error);
}
