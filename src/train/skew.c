/* How a run's tokens spread over the experts.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "train/skew.h"

/* Of the newest step in the smoothed rows. */
static const double NEWEST = 0.2;

int motley__skew_open(int E, struct motley__skew *skew, struct motley_error *error)
{
    *skew = (struct motley__skew){.E = E, .wait = MOTLEY__SKEW_QUIET, .load = calloc((size_t)E, sizeof *skew->load)};
    return skew->load ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to watch %d experts", E);
}

void motley__skew_close(struct motley__skew *skew)
{
    free(skew->load);
    skew->load = NULL;
}

/* The part of the pairs that the plan has group g serve when they spread like this. */
static double part_of(const motley_plan *plan, const double *load, int g)
{
    double part = 0, all = 0;
    for (int e = 0; e < plan->shape.E; e++) {
        all += load[e];
        part += plan->server[e] == g ? load[e] : 0;
    }
    for (int i = 0; i < plan->replicas; i++) {
        const struct motley__replica *replica = &plan->replica[i];
        const double moved = load[replica->expert] * replica->part;
        part += plan->group_of[replica->rank] == g ? moved : 0;
        part -= plan->server[replica->expert] == g ? moved : 0;
    }
    return all > 0 ? part / all : 0;
}

double motley__skew_phases(const motley_plan *plan, const double *load, const double *change, double *seconds,
                           double *ideal)
{
    double slowest = 0, speed = 0; /* shares a second */
    for (int r = 0; r < plan->R; r++) {
        const struct motley__plan_entry *rank = &plan->rank[r];
        const double planned = change[r] * (rank->forward.experts + rank->backward.experts);
        const double share = motley_plan_rank(plan, r).share, before = motley__plan_part(plan, plan->group_of[r]);
        seconds[r] = planned;
        if (plan->mode != MOTLEY_MODE_DATA && before > 0)
            seconds[r] = planned * part_of(plan, load, plan->group_of[r]) / before;
        speed += planned > 0 ? share / planned : 0;
        slowest = fmax(slowest, seconds[r]);
    }
    *ideal = speed > 0 ? 1 / speed : 0;
    return slowest;
}

int motley__skew_observe(struct motley__skew *skew, const motley_plan *plan, const double *rows, const double *change,
                         double margin, double *seconds)
{
    const double newest = skew->steps++ ? NEWEST : 1;
    double ideal, slowest, promised = 0;
    for (int e = 0; e < skew->E; e++)
        skew->load[e] += newest * (rows[e] - skew->load[e]);
    slowest = motley__skew_phases(plan, skew->load, change, seconds, &ideal);
    for (int r = 0; r < plan->R; r++)
        promised = fmax(promised, change[r] * (plan->rank[r].forward.experts + plan->rank[r].backward.experts));
    skew->off = slowest > (1 + margin) * fmax(promised, ideal) ? skew->off + 1 : 0;
    if (skew->quiet > 0) {
        skew->quiet--;
        return 0;
    }
    return skew->off >= MOTLEY__SKEW_WINDOW;
}

void motley__skew_settle(struct motley__skew *skew, int helped)
{
    skew->quiet = skew->wait;
    skew->wait = helped ? MOTLEY__SKEW_QUIET : 2 * skew->wait;
    skew->off = 0;
}
