/* What is to be planned: what each rank takes for an expert with its share of the tokens, by the profile.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "plan/task.h"

enum { LEAST_GRAIN = 16 };

/* Of an expert that may have no rows: of those that have some, as many as there are of them. */
static void expected_widths(const struct motley__task *task, int r, int backward, struct motley__widths *widths)
{
    const double busy = motley__cost_busy(&task->shape, (double)task->options.tokens);
    const double rows = fmax(1, motley__cost_rows(&task->shape, task->options.tokens) / busy);
    motley__cost_widths(task->entry[r], &task->shape, rows, backward, widths);
    for (int i = 0; i < widths->points; i++)
        widths->seconds[i] *= busy;
}

struct rank_speed {
    double speed;
    int rank;
};

static int fastest_first(const void *first, const void *second)
{
    const struct rank_speed *a = first, *b = second;
    return a->speed != b->speed ? (a->speed < b->speed) - (a->speed > b->speed) : a->rank - b->rank;
}

static int sort_ranks(struct motley__task *task, struct motley_error *error)
{
    struct rank_speed *sorted = malloc((size_t)task->R * sizeof *sorted);
    if (!sorted)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan of %d ranks", task->R);
    for (int r = 0; r < task->R; r++) {
        const struct motley__widths *widths = &task->widths[r];
        task->speed[r] = widths->points ? 1 / motley__cost_width(widths, task->shape.F) : 0;
        sorted[r] = (struct rank_speed){task->speed[r], r};
    }
    qsort(sorted, (size_t)task->R, sizeof *sorted, fastest_first);
    for (int r = 0; r < task->R; r++)
        task->fastest[r] = sorted[r].rank;
    free(sorted);
    return 0;
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
    task->widths = task->forward = NULL;
    task->whole = NULL;
    task->speed = NULL;
    task->fastest = NULL;
}
