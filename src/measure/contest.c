/* Is another value faster than the default?
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>

#include "base/clock.h"
#include "measure/contest.h"

static const double LEAST_GAIN = 0.02;          /* logarithms: 2%, */
static const double NOISE_FACTOR = 2;           /* and this times the default's difference from itself */
static const double HOPELESS = 0.9;             /* never came nearer to the default's speed than that */

enum {
    SCREENING = 4, CONFIRMING = 15, FEWEST = 5, HOPELESS_AFTER = 2,
    LOST_PART = 8,          /* one round in so many may be lost by a value that is taken */
    FEWEST_SAMPLES = 3 * (1 + HOPELESS_AFTER + FEWEST) /* of one value and the default, for it to win */
};

int motley__contest_better(int n, const double *before, const double *value, const double *after, double *gain)
{
    double gains[CONFIRMING], differences[CONFIRMING], best_default = INFINITY, best_value = INFINITY;
    int lost = 0;
    assert(n <= CONFIRMING);
    if (n == 0)
        return 0;
    for (int i = 0; i < n; i++) {
        gains[i] = 0.5 * (log(before[i]) + log(after[i])) - log(value[i]);
        differences[i] = fabs(log(before[i]) - log(after[i]));
        best_default = fmin(best_default, fmin(before[i], after[i]));
        best_value = fmin(best_value, value[i]);
        lost += gains[i] <= 0;
    }
    const double middle = motley__median(gains, n), noise = motley__median(differences, n);
    *gain = exp(middle);
    return n >= FEWEST && lost <= n / LOST_PART && middle >= LEAST_GAIN && middle > NOISE_FACTOR * noise &&
           log(best_default / best_value) >= LEAST_GAIN;
}

/* A contest under way. */
struct race {
    const struct motley__contest *contest;      /* borrowed */
    double end;                                 /* on its clock, once all are built */
    int out[MOTLEY__CONTEST_VALUES];
};

static int time_is_up(const struct race *race)
{
    return race->contest->clock(race->contest->user) > race->end;
}

static int sample(struct race *race, int value, double *seconds)
{
    race->out[value] = race->contest->sample(race->contest->user, value, seconds) != 0 || !(*seconds > 0);
    return !race->out[value];
}

/* Every value once, so that it is built; those that do not build or come too late are out.  0: there is no time for a
 * contest. */
static int warm_up(struct race *race)
{
    const struct motley__contest *contest = race->contest;
    const double last = contest->clock(contest->user) + contest->build_seconds;
    double seconds;
    if (!sample(race, 0, &seconds) || FEWEST_SAMPLES * seconds > contest->seconds)
        return 0;
    for (int v = 1; v < contest->values; v++)
        if (contest->clock(contest->user) > last)
            race->out[v] = 1;
        else
            sample(race, v, &seconds);
    race->end = contest->clock(contest->user) + contest->seconds;
    return 1;
}

/* One round: the default, all values in this order or the reverse, the default. */
static int run_round(struct race *race, int reverse, double *before, double *seconds, double *after)
{
    const int values = race->contest->values;
    if (!sample(race, 0, before))
        return 0;
    for (int i = 1; i < values; i++) {
        const int v = reverse ? values - i : i;
        if (!race->out[v])
            sample(race, v, &seconds[v]);
    }
    return sample(race, 0, after);
}

/* The value with the highest median gain of a few rounds; 0: none is worth confirming. */
static int screen(struct race *race)
{
    const int values = race->contest->values;
    double gains[MOTLEY__CONTEST_VALUES][SCREENING], best_gain = exp(LEAST_GAIN);
    int rounds = 0, best = 0;
    while (rounds < SCREENING && (rounds < HOPELESS_AFTER || !time_is_up(race))) {
        double before, after, seconds[MOTLEY__CONTEST_VALUES];
        if (!run_round(race, rounds % 2, &before, seconds, &after))
            return 0;
        for (int v = 1; v < values; v++)
            if (!race->out[v])
                gains[v][rounds] = sqrt(before * after) / seconds[v];
        rounds++;
        for (int v = 1; v < values && rounds == HOPELESS_AFTER; v++)
            race->out[v] = race->out[v] || fmax(gains[v][0], gains[v][1]) < HOPELESS;
    }
    for (int v = 1; v < values; v++) {
        const double gain = race->out[v] ? 0 : motley__median(gains[v], rounds);
        if (gain >= best_gain) {
            best_gain = gain;
            best = v;
        }
    }
    return best;
}

static int confirm(struct race *race, int value, double *gain)
{
    double before[CONFIRMING], seconds[CONFIRMING], after[CONFIRMING];
    int n = 0;
    while (n < CONFIRMING && !time_is_up(race)) {
        if (!sample(race, 0, &before[n]) || !sample(race, value, &seconds[n]) || !sample(race, 0, &after[n]))
            return 0;
        n++;
    }
    return motley__contest_better(n, before, seconds, after, gain);
}

int motley__contest(const struct motley__contest *contest, double *gain)
{
    struct race race = {.contest = contest};
    double found = 1;
    int value = 0;
    assert(contest->values >= 1 && contest->values <= MOTLEY__CONTEST_VALUES);
    if (contest->values > 1 && warm_up(&race))
        value = screen(&race);
    if (value && !confirm(&race, value, &found))
        value = 0;
    *gain = value ? found : 1;
    return value;
}
