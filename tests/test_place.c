/* Placement: as good as trying everything, on published counts and on drawn ones; large ones find planted groups.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "allocate/place.h"
#include "base/random.h"

enum { LAYERS = 32, E8 = 8, PAIRS = E8 * (E8 - 1) / 2, SEED = 4242 };

/* Pairs of every layer, as read from the published counts. */
static int pair[PAIRS][2];
static double times[LAYERS][PAIRS], tokens[LAYERS];

static int read_counts(void **state)
{
    (void)state;
    char path[1024], line[1024];
    snprintf(path, sizeof path, "%s/tests/coactivation/llama-moe-base.csv", getenv("SOURCE_DIR"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    for (int l = 0; l < LAYERS; l++)
        for (int i = 0, at = 0; i < E8; i++) {
            int layer, expert, with[E8];
            assert_int_equal(fscanf(file, "%d,%d,%d,%d,%d,%d,%d,%d,%d,%d", &layer, &expert, &with[0], &with[1],
                                    &with[2], &with[3], &with[4], &with[5], &with[6], &with[7]), 2 + E8);
            assert_true(layer == l && expert == i);
            for (int j = i + 1; j < E8; j++, at++) {
                pair[at][0] = i;
                pair[at][1] = j;
                times[l][at] = with[j];
                tokens[l] += with[j];
            }
        }
    fclose(file);
    return 0;
}

/* Copies per token, mean over layers, on G equal groups: exactly, by search, and in ascending blocks. */
static void mean_copies(int G, double *exact, double *search, double *blocks)
{
    *exact = *search = *blocks = 0;
    for (int l = 0; l < LAYERS; l++) {
        const int most[E8] = {E8 / G, E8 / G, E8 / G, E8 / G};
        const struct motley__place_problem place = {.E = E8, .G = G, .most = most, .sets = PAIRS, .K = 2,
                                                    .set = pair[0], .weight = times[l], .copy_seconds = 1};
        struct motley__place_cost cost;
        int group[E8];
        assert_int_equal(motley__place_best(&place, group, &cost, NULL), 0);
        *exact += cost.copies / tokens[l] / LAYERS;
        assert_int_equal(motley__place_search(&place, group, NULL), 0);
        assert_int_equal(motley__place_cost(&place, group, &cost, NULL), 0);
        *search += cost.copies / tokens[l] / LAYERS;
        for (int e = 0; e < E8; e++)
            group[e] = e / (E8 / G);
        assert_int_equal(motley__place_cost(&place, group, &cost, NULL), 0);
        *blocks += cost.copies / tokens[l] / LAYERS;
    }
    print_message("%d groups: %.5f copies per token, by search %.5f, in blocks %.4f\n", G, *exact, *search, *blocks);
}

static void published_counts_reach_their_optimum(void **state)
{
    (void)state;
    double exact, search, blocks;
    mean_copies(4, &exact, &search, &blocks);
    assert_true(fabs(exact - 1.5222) < 1e-4 && search < exact * 1.002 && fabs(blocks - 1.870) < 5e-4);
    mean_copies(2, &exact, &search, &blocks);
    assert_true(fabs(exact - 1.268) < 5e-4 && search < exact * 1.002 && fabs(blocks - 1.585) < 5e-4);
}

static double uniform(uint64_t stream, uint64_t index)
{
    return motley__random_uniform(SEED, stream, index);
}

enum { MOST_E = 6, MOST_G = 3, MOST_SETS = 20 };

/* Unlike groups, unlike experts, bounds on memory. */
struct drawn {
    struct motley__place_problem place;
    double seconds[MOST_G * MOST_E], weight[MOST_SETS];
    int most[MOST_G], set[MOST_SETS * 3];
};

static void draw(uint64_t trial, struct drawn *d)
{
    const int E = 3 + (int)(uniform(1, trial) * (MOST_E - 2)), G = 1 + (int)(uniform(2, trial) * MOST_G);
    d->place = (struct motley__place_problem){.E = E, .G = G, .seconds = d->seconds, .most = d->most, .K = 3,
                                      .sets = (int)(uniform(3, trial) * MOST_SETS), .set = d->set,
                                      .weight = d->weight, .copy_seconds = trial % 3 ? uniform(4, trial) : 0};
    for (int g = 0; g < G; g++) {
        const double slow = 0.2 + uniform(5, trial * MOST_G + (uint64_t)g);
        d->most[g] = (E + G - 1) / G + (int)(uniform(6, trial * MOST_G + (uint64_t)g) * 2);
        for (int e = 0; e < E; e++)
            d->seconds[g * E + e] = slow * (1 + 9 * uniform(7, trial * MOST_E + (uint64_t)e));
    }
    for (int s = 0; s < d->place.sets; s++) {
        const int first = (int)(uniform(8, trial * MOST_SETS + (uint64_t)s) * E);
        for (int k = 0; k < 3; k++)
            d->set[3 * s + k] = (first + k) % E;
        d->weight[s] = uniform(9, trial * MOST_SETS + (uint64_t)s);
    }
}

static double best_of_all(const struct motley__place_problem *place)
{
    double best = INFINITY;
    int group[MOST_E], all = 1;
    for (int e = 0; e < place->E; e++)
        all *= place->G;
    for (int n = 0; n < all; n++) {
        struct motley__place_cost cost;
        int count[MOST_G] = {0}, fits = 1;
        for (int e = 0, rest = n; e < place->E; e++, rest /= place->G) {
            group[e] = rest % place->G;
            fits &= ++count[group[e]] <= place->most[group[e]];
        }
        assert_int_equal(motley__place_cost(place, group, &cost, NULL), 0);
        best = fits ? fmin(best, cost.seconds) : best;
    }
    return best;
}

static void drawn_problems_are_as_good_as_trying_all(void **state)
{
    (void)state;
    double excess = 0;
    for (uint64_t trial = 0; trial < 200; trial++) {
        struct drawn d;
        struct motley__place_cost cost;
        int group[MOST_E];
        draw(trial, &d);
        const double best = best_of_all(&d.place);
        assert_int_equal(motley__place_best(&d.place, group, &cost, NULL), 0);
        assert_true(fabs(cost.seconds - best) <= 1e-9 * best);
        assert_int_equal(motley__place_search(&d.place, group, NULL), 0);
        assert_int_equal(motley__place_cost(&d.place, group, &cost, NULL), 0);
        excess = fmax(excess, cost.seconds / best - 1);
    }
    print_message("local search: at most %.2f%% above the best\n", 100 * excess);
    assert_true(excess < 0.02);
}

/* 128 experts in 8 families that lie scattered; tokens choose 6 of one family, one in ten of any. */
static void planted_families_are_found(void **state)
{
    (void)state;
    enum { E = 128, G = 8, K = 6, SETS = 4000 };
    static int set[SETS * K];
    static double weight[SETS];
    int most[G], group[E], together = 0;
    struct motley__place_cost cost, blocks;
    for (int s = 0; s < SETS; s++) {
        const int family = (int)(uniform(20, (uint64_t)s) * G), stray = uniform(21, (uint64_t)s) < 0.1;
        const int first = (int)(uniform(22, (uint64_t)s) * (E / G));
        for (int k = 0; k < K; k++)
            set[s * K + k] = stray ? (first * 7 + 19 * k) % E : ((first + k) % (E / G) * G + family) % E;
        weight[s] = 1;
    }
    for (int g = 0; g < G; g++)
        most[g] = E / G;
    const struct motley__place_problem place = {.E = E, .G = G, .most = most, .sets = SETS, .K = K, .set = set,
                                        .weight = weight, .copy_seconds = 1};
    for (int e = 0; e < E; e++)
        group[e] = e / (E / G);
    assert_int_equal(motley__place_cost(&place, group, &blocks, NULL), 0);
    assert_int_equal(motley__place_best(&place, group, &cost, NULL), 0);
    for (int e = 0; e < E; e++)
        together += group[e] == group[e % G];
    print_message("copies per token %.3f, in blocks %.3f\n", cost.copies / SETS, blocks.copies / SETS);
    assert_true(together > E * 9 / 10 && cost.copies < 1.6 * SETS && blocks.copies > 3.5 * SETS);
}

static void too_little_room_is_said(void **state)
{
    (void)state;
    const int most[2] = {1, 1};
    const struct motley__place_problem place = {.E = 3, .G = 2, .most = most, .K = 1};
    struct motley_error error = {0};
    struct motley__place_cost cost;
    int group[3];
    assert_int_equal(motley__place_best(&place, group, &cost, &error), MOTLEY_E_DEVICE_MEMORY);
    assert_non_null(strstr(error.text, "memory for 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_counts_reach_their_optimum),
        cmocka_unit_test(drawn_problems_are_as_good_as_trying_all),
        cmocka_unit_test(planted_families_are_found),
        cmocka_unit_test(too_little_room_is_said),
    };
    return cmocka_run_group_tests(tests, read_counts, NULL);
}
