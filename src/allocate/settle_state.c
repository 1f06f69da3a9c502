/* An assignment of homes and parts under way.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/place.h"
#include "allocate/settle_state.h"

void motley__settle_close(struct motley__settle_state *s)
{
    free(s->known);
    free(s->q);
    free(s->load);
    free(s->held);
    free(s->member);
}

static double seconds_of(const struct motley__settle_state *s, int e, int g, int units)
{
    double *known = &s->known[motley__settle_at(s, e, g) * (size_t)(s->p->units + 1) + (size_t)units];
    if (units == 0)
        return 0;
    if (*known < 0)
        *known = s->p->seconds(s->p->data, g, e, units);
    return *known;
}

static double moving_of(const struct motley__settle_state *s, int owner, int g)
{
    return s->p->moving && owner != g ? s->p->moving[(size_t)owner * (size_t)s->p->G + (size_t)g] : 0;
}

static double q_of(const struct motley__settle_state *s, int g, int units)
{
    const double part = (double)units / s->p->units, own = s->p->own[g];
    return own < 1 ? fmax(0, part - own) / (1 - own) : 0;
}

/* Tokens that come to group g for the sake of expert e alone, if all that want it went there: they bring no pair of
 * another expert to it. */
static double only_for(struct motley__settle_state *s, int e, int g)
{
    const struct motley__settle_problem *p = s->p;
    double sum = 0;
    for (int i = s->first[e]; i < s->first[e + 1]; i++) {
        const int *set = p->set + (size_t)s->member[i] * (size_t)p->K;
        double missed = p->weight[s->member[i]];
        for (int k = 0; k < p->K && missed > 0; k++)
            if (set[k] >= 0 && set[k] != e)
                missed *= 1 - s->q[motley__settle_at(s, set[k], g)];
        sum += missed;
    }
    s->work += (int64_t)(s->first[e + 1] - s->first[e]) * p->K;
    return sum;
}

/* Group g serves so many units of expert e; only[g] is of it. */
static void set_part(struct motley__settle_state *s, int e, int g, int units)
{
    int *part = &s->part[motley__settle_at(s, e, g)];
    const int had = *part > 0, has = units > 0, home = s->home[e];
    s->load[g] += seconds_of(s, e, g, units) - seconds_of(s, e, g, *part);
    s->rows += s->p->price[g] * s->only[g] * (q_of(s, g, units) - s->q[motley__settle_at(s, e, g)]);
    s->q[motley__settle_at(s, e, g)] = q_of(s, g, units);
    *part = units;
    if (g == home || had == has)
        return;
    s->held[g] += has - had;
    s->replicas += has - had;
    s->load[g] += (has - had) * moving_of(s, home, g);
    s->load[home] += (has - had) * moving_of(s, home, g);
}

int motley__settle_open(const struct motley__settle_problem *p, int *home, int *part, struct motley__settle_state *s,
                        struct motley_error *error)
{
    const size_t E = (size_t)p->E, G = (size_t)p->G, known = E * G * (size_t)(p->units + 1);
    *s = (struct motley__settle_state){
        .p = p, .home = home, .part = part, .known = malloc(known * sizeof(double)), .q = calloc(E * G, sizeof(double)),
        .load = calloc(2 * G, sizeof(double)), .held = calloc(G + E + 2, sizeof(int)),
        .member = malloc(((size_t)p->sets * (size_t)p->K + 1) * sizeof(int))};
    if (!s->known || !s->q || !s->load || !s->held || !s->member) {
        motley__settle_close(s);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to place %d experts and their replicas", p->E);
    }
    s->only = s->load + G;
    s->first = s->held + G;
    for (size_t i = 0; i < known; i++)
        s->known[i] = -1;
    motley__place_list_sets(p->E, p->sets, p->K, p->set, s->first, s->member);
    for (int e = 0; e < p->E; e++) {
        s->held[home[e]]++;
        for (int g = 0; g < p->G; g++) {
            const int units = part[motley__settle_at(s, e, g)];
            part[motley__settle_at(s, e, g)] = 0;
            if (!units)
                continue;
            s->only[g] = only_for(s, e, g);
            set_part(s, e, g, units);
        }
    }
    return 0;
}

double motley__settle_slowest(const struct motley__settle_state *s)
{
    double most = 0;
    for (int g = 0; g < s->p->G; g++)
        most = fmax(most, s->load[g]);
    return most;
}

struct motley__settle_cost motley__settle_cost_of(const struct motley__settle_state *s)
{
    const double slowest = motley__settle_slowest(s);
    return (struct motley__settle_cost){.slowest = slowest, .rows = s->rows, .replicas = s->replicas,
                                        .seconds = slowest + s->rows + s->p->worth * s->replicas};
}

void motley__settle_look(struct motley__settle_state *s, int e)
{
    for (int g = 0; g < s->p->G; g++)
        s->only[g] = only_for(s, e, g);
}

void motley__settle_shift(struct motley__settle_state *s, int e, int from, int to, int units)
{
    set_part(s, e, to, s->part[motley__settle_at(s, e, to)] + units);
    set_part(s, e, from, s->part[motley__settle_at(s, e, from)] - units);
}

/* Expert e is stored by another group, and what its home served, too. */
static void change_home(struct motley__settle_state *s, int e, int to)
{
    const int from = s->home[e];
    const int all = s->part[motley__settle_at(s, e, from)] + s->part[motley__settle_at(s, e, to)];
    s->only[from] = only_for(s, e, from);
    s->only[to] = only_for(s, e, to);
    set_part(s, e, to, 0);           /* a replica there goes, with its weights on their way */
    set_part(s, e, from, 0);
    for (int g = 0; g < s->p->G; g++)
        if (g != from && g != to && s->part[motley__settle_at(s, e, g)]) {
            const double less = moving_of(s, from, g), more = moving_of(s, to, g);
            s->load[g] += more - less;
            s->load[from] -= less;
            s->load[to] += more;
        }
    s->held[from]--;
    s->held[to]++;
    s->home[e] = to;
    set_part(s, e, to, all);
}

/* Replicas where the other's home was go, so there is room. */
void motley__settle_swap(struct motley__settle_state *s, int a, int b)
{
    const int of_a = s->home[a], of_b = s->home[b];
    change_home(s, a, of_b);
    change_home(s, b, of_a);
}

int motley__settle_snapshot_alloc(const struct motley__settle_problem *p, struct motley__settle_snapshot *shot,
                                  struct motley_error *error)
{
    const size_t E = (size_t)p->E, G = (size_t)p->G;
    shot->home = malloc((E + E * G + G) * sizeof *shot->home);
    shot->q = malloc((E * G + G) * sizeof *shot->q);
    if (!shot->home || !shot->q)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to place %d experts and their replicas", p->E);
    shot->part = shot->home + E;
    shot->held = shot->part + E * G;
    shot->load = shot->q + E * G;
    return 0;
}

void motley__settle_snapshot_clear(struct motley__settle_snapshot *shot)
{
    free(shot->home);
    free(shot->q);
}

void motley__settle_save(struct motley__settle_state *s, struct motley__settle_snapshot *shot)
{
    const size_t E = (size_t)s->p->E, G = (size_t)s->p->G;
    memcpy(shot->home, s->home, E * sizeof *s->home);
    memcpy(shot->part, s->part, E * G * sizeof *s->part);
    memcpy(shot->held, s->held, G * sizeof *s->held);
    memcpy(shot->q, s->q, E * G * sizeof *s->q);
    memcpy(shot->load, s->load, G * sizeof *s->load);
    shot->rows = s->rows;
    shot->replicas = s->replicas;
    s->work += (int64_t)(E * G);
}

void motley__settle_restore(struct motley__settle_state *s, const struct motley__settle_snapshot *shot)
{
    const size_t E = (size_t)s->p->E, G = (size_t)s->p->G;
    memcpy(s->home, shot->home, E * sizeof *s->home);
    memcpy(s->part, shot->part, E * G * sizeof *s->part);
    memcpy(s->held, shot->held, G * sizeof *s->held);
    memcpy(s->q, shot->q, E * G * sizeof *s->q);
    memcpy(s->load, shot->load, G * sizeof *s->load);
    s->rows = shot->rows;
    s->replicas = shot->replicas;
}

int motley__settle_cost(const struct motley__settle_problem *problem, const int *home, const int *part,
                        struct motley__settle_cost *cost, struct motley_error *error)
{
    struct motley__settle_snapshot as_given = {0}; /* the state's own copy, to be filled in */
    struct motley__settle_state s = {0};
    int status = motley__settle_snapshot_alloc(problem, &as_given, error);
    if (!status) {
        memcpy(as_given.home, home, (size_t)problem->E * sizeof *home);
        memcpy(as_given.part, part, (size_t)problem->E * (size_t)problem->G * sizeof *part);
        status = motley__settle_open(problem, as_given.home, as_given.part, &s, error);
    }
    if (!status) {
        *cost = motley__settle_cost_of(&s);
        motley__settle_close(&s);
    }
    motley__settle_snapshot_clear(&as_given);
    return status;
}
