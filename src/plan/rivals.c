/* Whom to try.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "plan/rivals.h"

const double motley__rivals_near = 0.10;

static const struct motley__way *way_of(const motley_plan *plan, struct motley__candidate candidate)
{
    return &plan->alternative[candidate.alternative].predicted.way[candidate.way];
}

static int same_division(const struct motley__alternative *a, const struct motley__alternative *b)
{
    return a->predicted.way[0].seconds == b->predicted.way[0].seconds && a->predicted.moved == b->predicted.moved &&
           a->predicted.bytes == b->predicted.bytes;
}

/* May this mode be tried?  others: it may be one that none of the list has. */
static int open_to(const motley_plan *plan, const struct motley__candidate *rival, int count, int i, int others)
{
    const struct motley__alternative *alternative = &plan->alternative[i];
    int listed = 0, same = 0;
    for (int j = 0; j < count; j++) {
        listed |= rival[j].alternative == i;
        same |= same_division(alternative, &plan->alternative[rival[j].alternative]);
    }
    return listed || (others && !same && alternative->fits && alternative->predicted.known);
}

static int is_listed(const struct motley__candidate *rival, int count, struct motley__candidate candidate)
{
    int listed = 0;
    for (int j = 0; j < count; j++)
        listed |= rival[j].alternative == candidate.alternative && rival[j].way == candidate.way;
    return listed;
}

/* The next in order of prediction that is near and not in the list; modes: the best way of another mode, else any way
 * of those that are in it.  0: there is none. */
static int next_rival(const motley_plan *plan, const struct motley__candidate *rival, int count, int modes,
                      struct motley__candidate *next)
{
    double least = (1 + motley__rivals_near) * way_of(plan, rival[0])->seconds;
    int found = 0;
    for (int i = 0; i < plan->alternatives; i++)
        for (int way = 0; way < (modes ? 1 : plan->alternative[i].predicted.ways); way++) {
            const struct motley__candidate candidate = {i, way};
            const double seconds = way_of(plan, candidate)->seconds;
            if (!open_to(plan, rival, count, i, modes) || is_listed(rival, count, candidate) ||
                !(found ? seconds < least : seconds <= least))
                continue;
            *next = candidate;
            least = seconds;
            found = 1;
        }
    return found;
}

int motley__rivals(const motley_plan *plan, struct motley__candidate rival[MOTLEY__RIVALS])
{
    int count = 1;
    rival[0] = (struct motley__candidate){plan->chosen, 0};
    if (!plan->alternative[plan->chosen].predicted.known)
        return 0;
    while (plan->options.mode == MOTLEY_MODE_AUTO && count < MOTLEY__RIVAL_MODES &&
           next_rival(plan, rival, count, 1, &rival[count]))
        count++;
    while (count < MOTLEY__RIVALS && next_rival(plan, rival, count, 0, &rival[count]))
        count++;
    return count > 1 ? count : 0;
}
