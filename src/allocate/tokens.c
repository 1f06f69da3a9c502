/* Who brings how many tokens.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "allocate/allocate.h"
#include "allocate/tokens.h"

enum { TOKEN_UNITS = 512 }; /* single tokens are dealt in so many parts for each rank, or one by one */

/* Items of `unit` tokens, as they are dealt. */
struct work {
    const struct motley__task *task;
    int64_t unit;
    int dense, experts;              /* 1: their seconds count */
};

/* A token's way through attention's matrices and, when trained, back: four products of 2 D D, and twice that. */
static double dense_seconds(const struct work *w, int r)
{
    const struct motley__dense_time *dense = &w->task->entry[r]->dense;
    const double D = w->task->shape.D, flops = (w->task->options.backward ? 24 : 8) * D * D;
    return dense->seconds > 0 ? flops * dense->seconds / (6.0 * dense->T * dense->O * dense->I) : 0;
}

static double experts_seconds(const struct work *w, int r, double tokens)
{
    return tokens > 0 ? motley__cost_all(&w->task->whole[r], &w->task->shape, tokens, w->task->kept,
                                         w->task->options.backward) : 0;
}

static double item_seconds(const void *data, int r, int items)
{
    const struct work *w = data;
    const double tokens = (double)items * (double)w->unit;
    return (w->dense ? tokens * dense_seconds(w, r) : 0) + (w->experts ? experts_seconds(w, r, tokens) : 0);
}

static int known(const struct work *w, int r)
{
    return (!w->dense || dense_seconds(w, r) > 0) && (!w->experts || experts_seconds(w, r, 1) > 0);
}

static void share_evenly(int64_t items, int64_t unit, int R, int64_t *tokens)
{
    for (int r = 0; r < R; r++)
        tokens[r] = (items / R + (r < items % R)) * unit;
}

/* By speed, where any is known; what is less than an item goes to the rank that has most. */
static int share_by_speed(const struct work *w, int64_t *tokens, struct motley_error *error)
{
    const int R = w->task->R, items = (int)(w->task->options.tokens / w->unit);
    int64_t left = w->task->options.tokens;
    int *most = calloc(2 * (size_t)R, sizeof *most), *share = most + R, measured = 0, largest = 0, status = 0;
    if (!most)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", R);
    for (int r = 0; r < R; r++) {
        most[r] = known(w, r) ? items : 0;
        measured += known(w, r);
    }
    if (measured)
        status = motley__allocate(items, R, item_seconds, w, most, "parts of the tokens", share, error);
    for (int r = 0; r < R && measured && !status; r++) {
        tokens[r] = share[r] * w->unit;
        left -= tokens[r];
        largest = share[r] > share[largest] ? r : largest;
    }
    if (measured && !status)
        tokens[largest] += left;
    free(most);
    return status;
}

int motley__tokens(const struct motley__task *task, enum motley_mode mode, int64_t *tokens,
                   struct motley_error *error)
{
    const struct motley_plan_options *o = &task->options;
    const int64_t parts = (int64_t)TOKEN_UNITS * task->R, least = o->sequence > 0 ? o->sequence : 1;
    const struct work w = {.task = task, .dense = o->sequence > 0, .experts = mode == MOTLEY_MODE_DATA,
                           .unit = o->sequence > 0 || o->tokens <= parts ? least : o->tokens / parts};
    if (o->tokens_of) {
        memcpy(tokens, o->tokens_of, (size_t)task->R * sizeof *tokens);
        return 0;
    }
    share_evenly(o->tokens / least, least, task->R, tokens);
    if (o->shares == MOTLEY_SHARES_EVEN || !(w.dense || w.experts))
        return 0;
    return share_by_speed(&w, tokens, error);
}
