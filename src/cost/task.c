/* What is to be planned: what each rank takes for an expert with its share of the tokens, by the profile.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "base/order.h"
#include "cost/task.h"

enum { LEAST_GRAIN = 16 };

/* Of an expert that may have no rows: of those that have some, as many as there are of them. */
static void expected_widths(const struct motley__task *task, int r, int backward, struct motley__widths *widths)
{
    const double busy = motley__cost_busy(&task->shape, (double)task->options.tokens);
    const double rows = fmax(1, task->kept * motley__cost_rows(&task->shape, task->options.tokens) / busy);
    motley__cost_widths(task->entry[r], &task->shape, rows, backward, widths);
    for (int i = 0; i < widths->points; i++)
        widths->seconds[i] *= busy;
}

static int sort_ranks(struct motley__task *task, struct motley_error *error)
{
    for (int r = 0; r < task->R; r++) {
        const struct motley__widths *widths = &task->widths[r];
        task->speed[r] = widths->points ? 1 / motley__cost_width(widths, task->shape.F) : 0;
    }
    return motley__order(task->speed, task->R, task->fastest, error);
}

/* Shares of the pairs, unless all are alike, and what is kept of them. */
static int scale_load(struct motley__task *task, struct motley_error *error)
{
    const double *load = task->options.load;
    const int E = task->shape.E;
    double sum = 0;
    int alike = 1;
    task->kept = task->options.capacity != 0
                     ? fmin(1, E * motley__cost_kept(&task->shape, &task->options, 1.0 / E)) : 1;
    for (int e = 0; load && e < E; e++) {
        sum += load[e];
        alike = alike && load[e] == load[0];
    }
    if (alike)
        return 0;
    task->share = malloc((size_t)E * sizeof *task->share);
    if (!task->share)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the loads of %d experts", E);
    if (task->options.capacity != 0)
        task->kept = 0;
    for (int e = 0; e < E; e++) {
        task->share[e] = motley__cost_kept(&task->shape, &task->options, load[e] / sum);
        task->kept += task->options.capacity != 0 ? task->share[e] : 0;
    }
    task->kept = fmin(1, task->kept);
    return 0;
}

/* The part of steps in which an expert with such a share of the pairs has rows. */
static double busy_part(const struct motley__task *task, double share, double tokens)
{
    return 1 - pow(fmax(0, 1 - task->shape.K * share), fmax(1, tokens));
}

double motley__task_expert(const struct motley__task *task, int r, double share, int width, int backward)
{
    const double tokens = (double)task->options.tokens, rows = tokens * task->shape.K * share;
    struct motley__widths widths;
    if (!(share > 0) || width <= 0)
        return 0;
    const double busy = busy_part(task, share, tokens);
    motley__cost_widths(task->entry[r], &task->shape, fmax(1, rows / busy), backward, &widths);
    return widths.points ? busy * motley__cost_width(&widths, width) : 0;
}

/* A token's choices that are kept: so many, or, in a `rest` of the tokens, one more. */
static struct motley_layer_shape kept_choices(const struct motley__task *task, double *rest)
{
    struct motley_layer_shape shape = task->shape;
    shape.K = (int)floor(task->kept * task->shape.K);
    *rest = task->kept * task->shape.K - shape.K;
    return shape;
}

double motley__task_reach(const struct motley__task *task, double experts)
{
    double rest;
    struct motley_layer_shape shape = kept_choices(task, &rest);
    const double reach = motley__cost_reach(&shape, experts);
    shape.K++;
    return rest > 0 ? reach + rest * (motley__cost_reach(&shape, experts) - reach) : reach;
}

double motley__task_reach_of(const struct motley__task *task, const double *share, int count)
{
    double rest;
    struct motley_layer_shape shape = kept_choices(task, &rest);
    const double reach = motley__cost_reach_of(&shape, share, count, task->kept);
    shape.K++;
    return rest > 0 ? reach + rest * (motley__cost_reach_of(&shape, share, count, task->kept) - reach) : reach;
}

double motley__task_all(const struct motley__task *task, int r, double tokens, int backward)
{
    const struct motley__whole *whole = &task->whole[r];
    double seconds = 0;
    if (!task->share)
        return motley__cost_all(whole, &task->shape, tokens, task->kept, backward);
    if (!whole->forward || (backward && !whole->backward))
        return 0;
    for (int e = 0; e < task->shape.E; e++) {
        const double busy = busy_part(task, task->share[e], tokens);
        const double rows = busy > 0 ? tokens * task->shape.K * task->share[e] / busy : 0;
        seconds += busy * (motley__cost_curve(whole->forward, rows) +
                           (backward ? motley__cost_curve(whole->backward, rows) : 0));
    }
    return seconds;
}

int motley__task_open(struct motley__task *task, struct motley_error *error)
{
    task->grain = LEAST_GRAIN;
    task->widths = malloc((size_t)task->R * 2 * sizeof *task->widths);
    task->whole = malloc((size_t)task->R * sizeof *task->whole);
    task->speed = malloc((size_t)task->R * sizeof *task->speed);
    task->fastest = malloc((size_t)task->R * sizeof *task->fastest);
    if (!task->widths || !task->whole || !task->speed || !task->fastest)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", task->R);
    task->forward = task->widths + task->R;
    int status = scale_load(task, error);
    if (status)
        return status;
    for (int r = 0; r < task->R; r++) {
        expected_widths(task, r, task->options.backward, &task->widths[r]);
        expected_widths(task, r, 0, &task->forward[r]);
        task->whole[r] = motley__cost_whole(task->entry[r], &task->shape);
        while (task->grain % task->entry[r]->panel)
            task->grain += LEAST_GRAIN;
    }
    return sort_ranks(task, error);
}

void motley__task_close(struct motley__task *task)
{
    free(task->widths);
    free(task->whole);
    free(task->speed);
    free(task->fastest);
    free(task->share);
    task->share = NULL;
    task->widths = task->forward = NULL;
    task->whole = NULL;
    task->speed = NULL;
    task->fastest = NULL;
}
