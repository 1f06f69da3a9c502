/* Has a plan come away from what the devices now do?
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plan/drift.h"

int motley__drift_create(int R, double margin, struct motley__drift **drift, struct motley_error *error)
{
    struct motley__drift *made = calloc(1, sizeof *made);
    if (made) {
        *made = (struct motley__drift){.R = R, .margin = margin, .since = MOTLEY__DRIFT_CALM};
        made->ratio = calloc((size_t)R * MOTLEY__DRIFT_WINDOW, sizeof *made->ratio);
        made->normal = calloc((size_t)R, sizeof *made->normal);
    }
    if (!made || !made->ratio || !made->normal) {
        motley__drift_destroy(made);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to watch %d ranks", R);
    }
    *drift = made;
    return 0;
}

void motley__drift_destroy(struct motley__drift *drift)
{
    if (!drift)
        return;
    free(drift->ratio);
    free(drift->normal);
    free(drift);
}

/* Over the steps of the window in which the rank said something; 0 when it did so in less than half of them. */
static double recent(const struct motley__drift *drift, int rank)
{
    const double *ratio = drift->ratio + (size_t)rank * MOTLEY__DRIFT_WINDOW;
    double known[MOTLEY__DRIFT_WINDOW];
    int count = 0;
    for (int i = 0; i < MOTLEY__DRIFT_WINDOW; i++)
        if (ratio[i] > 0)
            known[count++] = ratio[i];
    return 2 * count > MOTLEY__DRIFT_WINDOW ? motley__median(known, count) : 0;
}

double motley__drift_change(const struct motley__drift *drift, int rank)
{
    const double now = recent(drift, rank);
    return drift->normal[rank] > 0 && now > 0 ? now / drift->normal[rank] : 1;
}

static int in_doubt(const struct motley__drift *drift)
{
    for (int r = 0; r < drift->R; r++) {
        const double change = motley__drift_change(drift, r);
        if (change > 1 + drift->margin || change < 1 / (1 + drift->margin))
            return 1;
    }
    return 0;
}

int motley__drift_observe(struct motley__drift *drift, const double *observed, const double *predicted)
{
    const size_t at = (size_t)(drift->steps % MOTLEY__DRIFT_WINDOW);
    for (int r = 0; r < drift->R; r++)
        drift->ratio[(size_t)r * MOTLEY__DRIFT_WINDOW + at] =
            observed[r] > 0 && predicted[r] > 0 ? observed[r] / predicted[r] : 0;
    drift->steps++;
    if (drift->steps == MOTLEY__DRIFT_WINDOW)
        for (int r = 0; r < drift->R; r++)
            if (!(drift->normal[r] > 0))
                drift->normal[r] = recent(drift, r);
    if (drift->quiet > 0) {
        drift->quiet--;
        return 0;
    }
    if (drift->since < MOTLEY__DRIFT_CALM)
        drift->since++;
    return drift->steps > MOTLEY__DRIFT_WINDOW && in_doubt(drift);
}

void motley__drift_forget(struct motley__drift *drift)
{
    drift->steps = 0;
    memset(drift->ratio, 0, (size_t)drift->R * MOTLEY__DRIFT_WINDOW * sizeof *drift->ratio);
}

void motley__drift_settle(struct motley__drift *drift)
{
    const int soon = drift->since < MOTLEY__DRIFT_CALM;
    drift->wait = !soon ? 0 : drift->wait ? 2 * drift->wait : MOTLEY__DRIFT_QUIET;
    drift->quiet = drift->wait;
    drift->since = 0;
    motley__drift_forget(drift);
    memset(drift->normal, 0, (size_t)drift->R * sizeof *drift->normal);
}

int motley__drift_pays(double old_step, double new_step, double move, int64_t steps_left)
{
    const double gain = old_step - new_step;
    return gain >= 0.05 * old_step && gain * (double)steps_left >= 2 * move;
}
