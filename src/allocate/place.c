/* Which group of ranks gets which expert.
 *
 * Both searches walk from assignment to assignment by single experts, so the state keeps what an expert's coming and
 * going changes: members of every set in every group, and the load of the groups.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/place.h"
#include "base/random.h"

enum {
    EXACT_EXPERTS = 10,              /* up to here every assignment is looked at, unless it cannot be the best */
    RESTARTS = 24,                   /* disturbances of the best assignment known */
    WORK = 60000000                  /* visits of sets, after which no new restart begins */
};

/* An assignment under way; group -1: the expert is nowhere yet. */
struct state {
    const struct motley__place_problem *place;
    int *group;                      /* [E] owned, as are all below */
    int *first, *member;             /* [E+1], [sets*K]: the sets of each expert */
    uint16_t *present;               /* [sets,G] members of a set in a group */
    int *count;                      /* [G] experts */
    double *load;                    /* [G] seconds */
    double copies;
    int64_t work;                    /* sets visited */
};

void motley__place_list_sets(int E, int sets, int K, const int *set, int *first, int *member)
{
    const size_t pairs = (size_t)sets * (size_t)K;
    memset(first, 0, ((size_t)E + 2) * sizeof *first);
    for (size_t i = 0; i < pairs; i++)
        if (set[i] >= 0)
            first[set[i] + 2]++;
    for (size_t e = 0; e < (size_t)E; e++)
        first[e + 2] += first[e + 1];
    for (size_t i = 0; i < pairs; i++) /* first[e + 1] is where the next set of e goes, and in the end where they end */
        if (set[i] >= 0)
            member[first[set[i] + 1]++] = (int)(i / (size_t)K);
}

static void state_clear(struct state *s)
{
    free(s->group);
    free(s->first);
    free(s->member);
    free(s->present);
    free(s->count);
    free(s->load);
}

static int state_make(const struct motley__place_problem *place, struct state *s, struct motley_error *error)
{
    const size_t E = (size_t)place->E, G = (size_t)place->G, pairs = (size_t)place->sets * (size_t)place->K;
    *s = (struct state){.place = place, .group = malloc(E * sizeof(int)), .first = calloc(E + 2, sizeof(int)),
                        .member = malloc((pairs + 1) * sizeof(int)), .count = calloc(G, sizeof(int)),
                        .present = calloc((size_t)place->sets * G + 1, sizeof(uint16_t)),
                        .load = calloc(G, sizeof(double))};
    if (!s->group || !s->first || !s->member || !s->present || !s->count || !s->load) {
        state_clear(s);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to place %d experts", place->E);
    }
    for (size_t e = 0; e < E; e++)
        s->group[e] = -1;
    motley__place_list_sets(place->E, place->sets, place->K, place->set, s->first, s->member);
    return 0;
}

static double seconds_of(const struct motley__place_problem *place, int g, int e)
{
    return place->seconds ? place->seconds[(size_t)g * (size_t)place->E + (size_t)e] : 0;
}

/* Copies of a token that goes to group g. */
static int ranks_of(const struct motley__place_problem *place, int g)
{
    return place->ranks ? place->ranks[g] : 1;
}

/* Expert e leaves its group, if it has one, and joins g, if that is not -1. */
static void put(struct state *s, int e, int g)
{
    const struct motley__place_problem *place = s->place;
    const int from = s->group[e];
    for (int i = s->first[e]; i < s->first[e + 1]; i++) {
        uint16_t *present = s->present + (size_t)s->member[i] * (size_t)place->G;
        const double weight = place->weight[s->member[i]];
        if (from >= 0 && --present[from] == 0)
            s->copies -= weight * ranks_of(place, from);
        if (g >= 0 && present[g]++ == 0)
            s->copies += weight * ranks_of(place, g);
    }
    s->work += s->first[e + 1] - s->first[e];
    if (from >= 0) {
        s->count[from]--;
        s->load[from] -= seconds_of(place, from, e);
    }
    if (g >= 0) {
        s->count[g]++;
        s->load[g] += seconds_of(place, g, e);
    }
    s->group[e] = g;
}

static double slowest(const struct state *s)
{
    double most = 0;
    for (int g = 0; g < s->place->G; g++)
        most = fmax(most, s->load[g]);
    return most;
}

static double value(const struct state *s)
{
    return slowest(s) + s->place->copy_seconds * s->copies;
}

/* Among assignments as good as each other the one with the more even load leads on. */
static double guide(const struct state *s)
{
    double squares = 0, sum = 0;
    for (int g = 0; g < s->place->G; g++) {
        squares += s->load[g] * s->load[g];
        sum += s->load[g];
    }
    return value(s) + (sum > 0 ? 1e-6 * squares / sum : 0);
}

static int better(double a, double b)
{
    return isinf(b) || a < b - 1e-12 * fabs(b);
}

int motley__place_cost(const struct motley__place_problem *place, const int *group, struct motley__place_cost *cost,
                       struct motley_error *error)
{
    struct state s;
    int status = state_make(place, &s, error);
    if (status)
        return status;
    for (int e = 0; e < place->E; e++)
        put(&s, e, group[e]);
    *cost = (struct motley__place_cost){.slowest = slowest(&s), .copies = s.copies, .seconds = value(&s)};
    state_clear(&s);
    return 0;
}

/* Is an empty group g just like an empty group before it?  Then trying the first of them is enough. */
static int like_an_earlier(const struct state *s, int g)
{
    const struct motley__place_problem *place = s->place;
    for (int before = 0; before < g && s->count[g] == 0; before++) {
        int same = s->count[before] == 0 && place->most[before] == place->most[g] &&
                   ranks_of(place, before) == ranks_of(place, g);
        for (int e = 0; e < place->E && same; e++)
            same = seconds_of(place, before, e) == seconds_of(place, g, e);
        if (same)
            return 1;
    }
    return 0;
}

/* Experts e.. in every way that could still be better than *best: load and copies only grow. */
static void try_all(struct state *s, int e, double *best, int *group)
{
    const struct motley__place_problem *place = s->place;
    if (!better(value(s), *best))
        return;
    if (e == place->E) {
        *best = value(s);
        memcpy(group, s->group, (size_t)place->E * sizeof *group);
        return;
    }
    for (int g = 0; g < place->G; g++)
        if (s->count[g] < place->most[g] && !like_an_earlier(s, g)) {
            put(s, e, g);
            try_all(s, e + 1, best, group);
            put(s, e, -1);
        }
}

int motley__place_exact(const struct motley__place_problem *place, int *group, struct motley_error *error)
{
    double best = INFINITY;
    struct state s;
    int status = state_make(place, &s, error);
    if (status)
        return status;
    try_all(&s, 0, &best, group);
    state_clear(&s);
    return 0;
}

/* Each expert to where it costs least at that moment. */
static void start_cheapest(struct state *s)
{
    const struct motley__place_problem *place = s->place;
    for (int e = 0; e < place->E; e++) {
        double least = INFINITY;
        int chosen = -1;
        for (int g = 0; g < place->G; g++) {
            if (s->count[g] >= place->most[g])
                continue;
            put(s, e, g);
            if (chosen < 0 || better(guide(s), least)) {
                least = guide(s);
                chosen = g;
            }
            put(s, e, -1);
        }
        put(s, e, chosen);
    }
}

/* Tokens that chose both, for every pair of experts: [E,E]. */
static void add_affinity(const struct motley__place_problem *place, double *affinity)
{
    for (int i = 0; i < place->sets; i++) {
        const int *set = place->set + (size_t)i * (size_t)place->K;
        for (int a = 0; a < place->K; a++)
            for (int b = 0; b < place->K; b++)
                if (set[a] >= 0 && set[b] >= 0)
                    affinity[(size_t)set[a] * (size_t)place->E + (size_t)set[b]] += place->weight[i];
    }
}

/* The expert that is nowhere yet and belongs most to group g; with none there yet, the most chosen. */
static int closest(const struct state *s, const double *affinity, int g)
{
    const int E = s->place->E;
    double most = -1;
    int chosen = -1;
    for (int e = 0; e < E; e++) {
        const double *row = affinity + (size_t)e * (size_t)E;
        double sum = s->count[g] == 0 ? row[e] : 0;
        if (s->group[e] >= 0)
            continue;
        for (int other = 0; other < E; other++)
            sum += s->group[other] == g ? row[other] : 0;
        if (sum > most) {
            most = sum;
            chosen = e;
        }
    }
    return chosen;
}

/* Group by group, experts that belong together; a group is full when the others need what is left.  Affinity [E,E]. */
static void start_families(struct state *s, const double *affinity)
{
    const struct motley__place_problem *place = s->place;
    int left = place->E;
    for (int g = 0; g < place->G; g++) {
        const int even = (left + place->G - g - 1) / (place->G - g);
        int room = 0;
        for (int other = g + 1; other < place->G; other++)
            room += place->most[other];
        int size = even < place->most[g] ? even : place->most[g];
        for (size = size < left - room ? left - room : size; size > 0; size--, left--)
            put(s, closest(s, affinity, g), g);
    }
}

/* Move e to g, or change it with an expert of g, where that is better; returns whether it was. */
static int improve_expert(struct state *s, int e, int g)
{
    const struct motley__place_problem *place = s->place;
    const int from = s->group[e];
    const double now = guide(s);
    put(s, e, g);
    if (s->count[g] <= place->most[g] && better(guide(s), now))
        return 1;
    for (int other = 0; other < place->E; other++) {
        if (s->group[other] != g || other == e)
            continue;
        put(s, other, from);
        if (better(guide(s), now))
            return 1;
        put(s, other, g);
    }
    put(s, e, from);
    return 0;
}

/* Until no move and no change of two is better. */
static void descend(struct state *s)
{
    for (int improved = 1; improved && s->work < WORK;) {
        improved = 0;
        for (int e = 0; e < s->place->E; e++)
            for (int g = 0; g < s->place->G && s->work < WORK; g++)
                if (g != s->group[e])
                    improved |= improve_expert(s, e, g);
    }
}

/* Change some pairs of experts, whatever it costs. */
static void disturb(struct state *s, int restart)
{
    const int E = s->place->E, changes = 2 + E / 16;
    for (int i = 0; i < changes; i++) {
        const uint64_t at = (uint64_t)(2 * i);
        const int a = (int)(motley__random_bits(1, (uint64_t)restart, at) % (uint64_t)E),
                  b = (int)(motley__random_bits(1, (uint64_t)restart, at + 1) % (uint64_t)E);
        const int of_a = s->group[a], of_b = s->group[b];
        put(s, a, of_b);
        put(s, b, of_a);
    }
}

/* An assignment that was found, and what leads the search on. */
struct found {
    int *group;
    double guide;
};

static void keep_if_better(const struct state *s, struct found *best)
{
    if (!better(guide(s), best->guide))
        return;
    best->guide = guide(s);
    memcpy(best->group, s->group, (size_t)s->place->E * sizeof *best->group);
}

static void search_all(struct state *s, const double *affinity, struct found *best)
{
    const int E = s->place->E;
    start_cheapest(s);
    descend(s);
    keep_if_better(s, best);
    for (int e = 0; e < E; e++)
        put(s, e, -1);
    start_families(s, affinity);
    descend(s);
    keep_if_better(s, best);
    for (int restart = 0; restart < RESTARTS && s->work < WORK; restart++) {
        for (int e = 0; e < E; e++)
            put(s, e, best->group[e]);
        disturb(s, restart);
        descend(s);
        keep_if_better(s, best);
    }
}

int motley__place_search(const struct motley__place_problem *place, int *group, struct motley_error *error)
{
    struct found best = {group, INFINITY};
    struct state s;
    double *affinity = calloc((size_t)place->E * (size_t)place->E, sizeof *affinity);
    if (!affinity)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to place %d experts", place->E);
    int status = state_make(place, &s, error);
    if (!status) {
        add_affinity(place, affinity);
        search_all(&s, affinity, &best);
        state_clear(&s);
    }
    free(affinity);
    return status;
}

int motley__place_best(const struct motley__place_problem *place, int *group, struct motley__place_cost *cost,
                  struct motley_error *error)
{
    int64_t room = 0;
    for (int g = 0; g < place->G; g++)
        room += place->most[g];
    if (room < place->E)
        return motley__fail(error, MOTLEY_E_DEVICE_MEMORY,
                            "%d experts are to be placed but the devices have memory for %lld", place->E,
                            (long long)room);
    int status = place->E <= EXACT_EXPERTS ? motley__place_exact(place, group, error)
                                           : motley__place_search(place, group, error);
    return status ? status : motley__place_cost(place, group, cost, error);
}
