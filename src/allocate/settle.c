/* Homes and replicas of experts together.
 *
 * The slowest group alone gives a search no hold where several are equally slow.  Its place takes a norm of all groups'
 * seconds, in which the slowest counts more from round to round.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/settle_state.h"
#include "base/random.h"

enum {
    ROUNDS = 3, RESTARTS = 200,      /* disturbances of the best known */
    WORK = 30000000                  /* factors multiplied, after which the search ends */
};
static const int SQUARINGS[ROUNDS] = {2, 5, 9}; /* the norm of a round is of the power 2^n */

/* One call of motley__settle. */
struct search {
    struct motley__settle_state state; /* owned, and so are the next two */
    struct motley__settle_snapshot best, shot; /* the best so far; scratch */
    double least;                    /* seconds of the best */
    double scale;                    /* of the seconds of groups in the norm */
    int squarings;
};

/* Seconds by the norm of the round. */
static double value(const struct search *w)
{
    const struct motley__settle_state *s = &w->state;
    double sum = 0;
    for (int g = 0; g < s->p->G; g++) {
        double x = s->load[g] / w->scale;
        for (int i = 0; i < w->squarings; i++)
            x *= x;
        sum += x;
    }
    for (int i = 0; i < w->squarings; i++)
        sum = sqrt(sum);
    return w->scale * sum + s->rows + s->p->worth * s->replicas;
}

static int better(double a, double b)
{
    return a < b - 1e-9 * fabs(b);
}

/* The value after such a shift; nothing changes. */
static double value_after(struct search *w, int e, int from, int to, int units)
{
    struct motley__settle_state *s = &w->state;
    const int home = s->home[e];
    const double rows = s->rows, load[3] = {s->load[from], s->load[to], s->load[home]};
    motley__settle_shift(s, e, from, to, units);
    const double after = value(w);
    motley__settle_shift(s, e, to, from, units);
    s->rows = rows;                  /* without the rounding of there and back */
    s->load[from] = load[0];
    s->load[to] = load[1];
    s->load[home] = load[2];
    return after;
}

/* The best shift of all, half, a quarter, .. of what one group serves of an expert to another, if better than *now. */
static int best_shift(struct search *w, int e, double *now)
{
    struct motley__settle_state *s = &w->state;
    const struct motley__settle_problem *p = s->p;
    int from = -1, to = -1, units = 0;
    for (int a = 0; a < p->G; a++)
        for (int b = 0; b < p->G && s->part[motley__settle_at(s, e, a)]; b++) {
            const int serves = b == s->home[e] || s->part[motley__settle_at(s, e, b)] > 0;
            if (b == a || (!serves && s->held[b] >= p->room[b]))
                continue;
            for (int k = s->part[motley__settle_at(s, e, a)]; k > 0; k /= 2) {
                const double after = value_after(w, e, a, b, k);
                if (!better(after, *now))
                    continue;
                *now = after;
                from = a;
                to = b;
                units = k;
            }
        }
    if (from < 0)
        return 0;
    motley__settle_shift(s, e, from, to, units);
    return 1;
}

/* Until no shift of the expert's parts is better; returns whether any was. */
static int improve_parts(struct search *w, int e)
{
    struct motley__settle_state *s = &w->state;
    int improved = 0;
    double now = value(w);
    motley__settle_look(s, e);
    while (s->work < WORK && best_shift(w, e, &now))
        improved = 1;
    return improved;
}

/* Two experts change homes, if that is better; returns whether it was. */
static int improve_homes(struct search *w, int a, int b)
{
    struct motley__settle_state *s = &w->state;
    const double now = value(w);
    motley__settle_save(s, &w->shot);
    motley__settle_swap(s, a, b);
    if (better(value(w), now))
        return 1;
    motley__settle_restore(s, &w->shot);
    return 0;
}

/* Until neither other parts nor other homes are better. */
static void descend(struct search *w)
{
    struct motley__settle_state *s = &w->state;
    const int E = s->p->E;
    for (int improved = 1; improved && s->work < WORK;) {
        improved = 0;
        for (int e = 0; e < E && s->work < WORK; e++)
            improved |= improve_parts(w, e);
        for (int a = 0; a < E; a++)
            for (int b = a + 1; b < E && s->work < WORK; b++)
                if (s->home[a] != s->home[b])
                    improved |= improve_homes(w, a, b);
    }
}

/* Change some experts, whatever it costs: one changes homes with another, or all of its rows go home, or half of what
 * its home serves goes to another group. */
static void disturb(struct motley__settle_state *s, int restart)
{
    const int E = s->p->E, G = s->p->G, changes = 2 + E / 16;
    for (int i = 0; i < changes; i++) {
        const uint64_t bits = motley__random_bits(1, (uint64_t)restart, (uint64_t)i);
        const int e = (int)(bits % (uint64_t)E), other = (int)(bits / (uint64_t)E % (uint64_t)E);
        const int g = other % G, home = s->home[e], half = (s->part[motley__settle_at(s, e, home)] + 1) / 2;
        motley__settle_look(s, e);
        if (bits >> 62 == 0 && g != home && (s->part[motley__settle_at(s, e, g)] || s->held[g] < s->p->room[g]))
            motley__settle_shift(s, e, home, g, half);
        for (int h = 0; h < G && bits >> 62 == 1; h++)
            if (h != home && s->part[motley__settle_at(s, e, h)])
                motley__settle_shift(s, e, h, home, s->part[motley__settle_at(s, e, h)]);
        if (bits >> 62 > 1 && s->home[other] != home)
            motley__settle_swap(s, e, other);
    }
}

/* Round by round, the norm ever nearer to the slowest. */
static void refine(struct search *w)
{
    struct motley__settle_state *s = &w->state;
    for (int round = 0; round < ROUNDS && motley__settle_slowest(s) > 0; round++) {
        w->squarings = SQUARINGS[round];
        w->scale = motley__settle_slowest(s);
        descend(w);
        const double seconds = motley__settle_cost_of(s).seconds;
        if (!better(seconds, w->least))
            continue;
        w->least = seconds;
        motley__settle_save(s, &w->best);
    }
}

static void search(struct search *w)
{
    struct motley__settle_state *s = &w->state;
    w->least = motley__settle_cost_of(s).seconds;
    motley__settle_save(s, &w->best);
    refine(w);
    for (int restart = 0; restart < RESTARTS && s->work < WORK; restart++) {
        motley__settle_restore(s, &w->best);
        disturb(s, restart);
        refine(w);
    }
    motley__settle_restore(s, &w->best);
}

int motley__settle(const struct motley__settle_problem *problem, int *home, int *part,
                   struct motley__settle_cost *cost, struct motley_error *error)
{
    struct search w = {0};
    int status = motley__settle_snapshot_alloc(problem, &w.shot, error);
    if (!status)
        status = motley__settle_snapshot_alloc(problem, &w.best, error);
    if (!status)
        status = motley__settle_open(problem, home, part, &w.state, error);
    if (!status) {
        search(&w);
        *cost = motley__settle_cost_of(&w.state);
        motley__settle_close(&w.state);
    }
    motley__settle_snapshot_clear(&w.shot);
    motley__settle_snapshot_clear(&w.best);
    return status;
}
