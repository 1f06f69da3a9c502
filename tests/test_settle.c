/* Homes and replicas together: costs against a twin that counts tokens, ends against trying everything, and planted
 * cases whose answer is known.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "allocate/settle.h"
#include "base/random.h"

enum { SEED = 777, MOST_E = 64, MOST_G = 16, MOST_SETS = 2048, MOST_K = 4 };

static double uniform(uint64_t stream, uint64_t index)
{
    return motley__random_uniform(SEED, stream, index);
}

/* A problem with all it borrows. */
struct drawn {
    struct motley__settle_problem problem;
    double slow[MOST_G], heat[MOST_E];
    int room[MOST_G], set[MOST_SETS * MOST_K];
    double own[MOST_G], price[MOST_G], moving[MOST_G * MOST_G], weight[MOST_SETS];
};

/* A little more for each piece: halves together take longer than the whole. */
static double seconds_of(const void *data, int g, int e, int units)
{
    const struct drawn *d = data;
    return d->slow[g] * (0.02 + d->heat[e] * units / d->problem.units);
}

static void draw(uint64_t trial, int E, int G, int units, int sets, int K, struct drawn *d)
{
    const uint64_t at = trial * 4096;
    double own = 0, all = 0;
    d->problem = (struct motley__settle_problem){
        .E = E, .G = G, .units = units, .seconds = seconds_of, .data = d, .room = d->room, .own = d->own,
        .price = d->price, .moving = trial % 2 ? d->moving : NULL, .worth = 0.01, .sets = sets, .K = K, .set = d->set,
        .weight = d->weight};
    for (int g = 0; g < G; g++) {
        d->slow[g] = 0.5 + uniform(1, at + (uint64_t)g);
        d->room[g] = (E + G - 1) / G + (int)(uniform(2, at + (uint64_t)g) * 3);
        own += d->own[g] = uniform(3, at + (uint64_t)g);
        d->price[g] = 2.0 * uniform(4, at);
    }
    for (int g = 0; g < G; g++) {
        d->own[g] /= own;
        for (int h = 0; h < G; h++)
            d->moving[g * G + h] = 0.05 * uniform(5, at + (uint64_t)(g * G + h));
    }
    for (int e = 0; e < E; e++)
        d->heat[e] = (e ? 0.1 : 1) * (0.5 + uniform(6, at + (uint64_t)e)); /* the first is hot */
    for (int s = 0; s < sets; s++) {
        const int first = (int)(uniform(7, at + (uint64_t)s) * E);
        const int step = E > 2 * K ? 1 + (int)(uniform(8, at + (uint64_t)s) * 2) : 1;
        for (int k = 0; k < K; k++)
            d->set[s * K + k] = (first + k * step) % E;
        all += d->weight[s] = uniform(9, at + (uint64_t)s);
    }
    for (int s = 0; s < sets; s++)
        d->weight[s] /= all;
}

/* The definition, straight from the header. */
static double twin(const struct drawn *d, const int *home, const int *part)
{
    const struct motley__settle_problem *p = &d->problem;
    double slowest = 0, rows = 0;
    int replicas = 0;
    for (int g = 0; g < p->G; g++) {
        double load = 0;
        for (int e = 0; e < p->E; e++) {
            load += part[e * p->G + g] ? seconds_of(d, g, e, part[e * p->G + g]) : 0;
            replicas += home[e] != g && part[e * p->G + g] > 0;
            for (int h = 0; h < p->G && p->moving; h++)
                if (h != home[e] && part[e * p->G + h] && (g == h || g == home[e]))
                    load += p->moving[home[e] * p->G + h];
        }
        slowest = fmax(slowest, load);
        for (int s = 0; s < p->sets; s++) {
            double missed = 1;
            for (int k = 0; k < p->K; k++) {
                const double x = (double)part[p->set[s * p->K + k] * p->G + g] / p->units;
                missed *= 1 - fmax(0, x - p->own[g]) / (1 - p->own[g]);
            }
            rows += p->price[g] * p->weight[s] * (1 - missed);
        }
    }
    return slowest + rows + p->worth * replicas;
}

/* Every way to deal out expert e and those behind it, when `held` experts are on each group. */
struct all {
    const struct drawn *d;
    int home[MOST_E], part[MOST_E * MOST_G], count[MOST_G], held[MOST_G];
    const int *stored;               /* [G] homes of each group */
    double best;
};

static void try_expert(struct all *all, int e);

/* The parts of expert e on groups g.. */
static void try_parts(struct all *all, int e, int g, int left)
{
    const int G = all->d->problem.G;
    if (g == G) {
        if (!left)
            try_expert(all, e + 1);
        return;
    }
    for (int units = 0; units <= left; units++) {
        const int replica = units > 0 && g != all->home[e];
        all->part[e * G + g] = units;
        all->held[g] += replica;
        if (all->held[g] <= all->d->problem.room[g])
            try_parts(all, e, g + 1, left - units);
        all->held[g] -= replica;
    }
}

static void try_expert(struct all *all, int e)
{
    const struct motley__settle_problem *p = &all->d->problem;
    if (e == p->E) {
        all->best = fmin(all->best, twin(all->d, all->home, all->part));
        return;
    }
    for (int g = 0; g < p->G; g++) {
        if (all->count[g] == all->stored[g] || all->held[g] == p->room[g])
            continue;
        all->home[e] = g;
        all->count[g]++;
        all->held[g]++;
        try_parts(all, e, 0, p->units);
        all->count[g]--;
        all->held[g]--;
    }
}

/* Blocks as even as can be, every expert whole. */
static void start(const struct motley__settle_problem *p, int *home, int *part, int *stored)
{
    memset(part, 0, (size_t)(p->E * p->G) * sizeof *part);
    memset(stored, 0, (size_t)p->G * sizeof *stored);
    for (int e = 0; e < p->E; e++) {
        home[e] = e * p->G / p->E;
        stored[home[e]]++;
        part[e * p->G + home[e]] = p->units;
    }
}

static void small_cases_are_nearly_as_good_as_trying_all(void **state)
{
    (void)state;
    static const int sizes[][3] = {{4, 2, 4}, {5, 2, 3}, {3, 3, 3}}; /* E, G, units */
    double worst = 1, mean = 0;
    int trials = 0, exact = 0;
    for (uint64_t trial = 0; trial < 120; trial++, trials++) {
        const int *size = sizes[trial % 3];
        struct drawn d;
        int home[MOST_E], part[MOST_E * MOST_G], stored[MOST_G];
        struct motley__settle_cost cost;
        draw(trial, size[0], size[1], size[2], 12, 2 + (int)(trial % 2), &d);
        start(&d.problem, home, part, stored);
        assert_int_equal(motley__settle_cost(&d.problem, home, part, &cost, NULL), 0);
        assert_true(fabs(cost.seconds - twin(&d, home, part)) < 1e-9);
        assert_int_equal(motley__settle(&d.problem, home, part, &cost, NULL), 0);
        assert_true(fabs(cost.seconds - twin(&d, home, part)) < 1e-9);
        struct all all = {.d = &d, .stored = stored, .best = INFINITY};
        try_expert(&all, 0);
        assert_true(cost.seconds > all.best - 1e-9);
        worst = fmax(worst, cost.seconds / all.best);
        mean += cost.seconds / all.best;
        exact += cost.seconds < all.best * (1 + 1e-9);
    }
    print_message("%d of %d exact, mean %.4f, worst %.4f of the best\n", exact, trials, mean / trials, worst);
    assert_true(exact >= 110 && worst < 1.12 && mean / trials < 1.005);
}

/* Expert 0 is most of the work and is chosen with 1, 2 or 3, which are on groups 1 and 2; group 3, as fast, has none of
 * them and brings no tokens; rows are dear. */
static void a_replica_goes_where_collaborators_are(void **state)
{
    (void)state;
    static const double own[4] = {0.2, 0.4, 0.4, 0};
    struct drawn d;
    int home[4] = {0, 1, 1, 2}, part[4 * 4] = {0};
    struct motley__settle_cost cost;
    draw(0, 4, 4, 16, 3, 2, &d);
    for (int g = 0; g < 4; g++) {
        d.slow[g] = 1;
        d.own[g] = own[g];
        d.price[g] = 2;
        d.room[g] = 3;
    }
    for (int e = 0; e < 4; e++) {
        d.heat[e] = e ? 0.05 : 1;
        part[e * 4 + home[e]] = 16;
    }
    d.problem.worth = 0.05;
    for (int s = 0; s < 3; s++) {
        d.set[2 * s] = 0;
        d.set[2 * s + 1] = s + 1;
        d.weight[s] = 1.0 / 3;
    }
    assert_int_equal(motley__settle(&d.problem, home, part, &cost, NULL), 0);
    print_message("parts of the hot expert: %d %d %d %d\n", part[0], part[1], part[2], part[3]);
    assert_true(cost.replicas >= 2 && part[3] == 0 && part[1] + part[2] > part[0]);
}

static void large_ones_are_quick_and_repeat(void **state)
{
    (void)state;
    static struct drawn d;
    static int home[2][MOST_E], part[2][MOST_E * MOST_G];
    int stored[MOST_G];
    struct motley__settle_cost before, cost;
    draw(5, MOST_E, MOST_G, 16, MOST_SETS, MOST_K, &d);
    for (int i = 0; i < 2; i++) {
        start(&d.problem, home[i], part[i], stored);
        assert_int_equal(motley__settle_cost(&d.problem, home[i], part[i], &before, NULL), 0);
        const clock_t begin = clock();
        assert_int_equal(motley__settle(&d.problem, home[i], part[i], &cost, NULL), 0);
        print_message("%d experts on %d groups: %.3f to %.3f with %d replicas, in %.2f s\n", MOST_E, MOST_G,
                      before.seconds, cost.seconds, cost.replicas, (double)(clock() - begin) / CLOCKS_PER_SEC);
    }
    assert_true(cost.seconds < 0.9 * before.seconds && cost.replicas > 0);
    assert_memory_equal(home[0], home[1], sizeof home[0]);
    assert_memory_equal(part[0], part[1], sizeof part[0]);
}

static void without_room_there_are_no_replicas(void **state)
{
    (void)state;
    struct drawn d;
    int home[MOST_E], part[MOST_E * MOST_G], stored[MOST_G];
    struct motley__settle_cost cost;
    draw(7, 9, 3, 16, 40, 3, &d);
    for (int g = 0; g < 3; g++)
        d.room[g] = 3;
    start(&d.problem, home, part, stored);
    assert_int_equal(motley__settle(&d.problem, home, part, &cost, NULL), 0);
    assert_int_equal(cost.replicas, 0);
    for (int e = 0; e < 9; e++)
        assert_int_equal(part[e * 3 + home[e]], 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_cases_are_nearly_as_good_as_trying_all),
        cmocka_unit_test(a_replica_goes_where_collaborators_are),
        cmocka_unit_test(large_ones_are_quick_and_repeat),
        cmocka_unit_test(without_room_there_are_no_replicas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
