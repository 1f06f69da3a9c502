/* Modes: their names, what each is predicted to take, which one is chosen, and how long choosing takes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <cmocka.h>

#include "allocate/mode.h"
#include "allocate/refine.h"
#include "base/random.h"
#include "plan/plan.h"
#include "plan_fixture.h"
#include "plan_predict.h"

enum { SEED = 31, RANKS = 4 };

#ifdef __SANITIZE_ADDRESS__
static const double PLANNING_SECONDS = 10; /* sanitizers take several times as long */
#else
static const double PLANNING_SECONDS = 2;
#endif

/* Four ranks on two nodes; a row of an expert takes them 10, 10, 20 and 40 us, half of it when the slice is half. */
struct cluster {
    struct motley__profile_entry storage[RANKS];
    struct motley__curve curve[RANKS][2];
    const struct motley__profile_entry *entry[RANKS];
    struct motley__links links;
};

static void make_cluster(struct cluster *cluster, const struct motley_layer_shape *shape, double bandwidth)
{
    static const double slow[RANKS] = {1e-5, 1e-5, 2e-5, 4e-5};
    for (int r = 0; r < RANKS; r++) {
        cluster->curve[r][0] = fixture_curve(shape, 0, 0, slow[r]);
        cluster->curve[r][1] = fixture_curve(shape, 1, 0, 2 * slow[r]);
        cluster->storage[r] = (struct motley__profile_entry){.key = fixture_key(r), .panel = 16, .curves = 2,
                                                             .curve = cluster->curve[r]};
        cluster->storage[r].dense = (struct motley__dense_time){256, 512, 512, MOTLEY__DENSE_ESMM, 0.01, 0.01, 0};
        cluster->storage[r].move = (struct motley__move){.bandwidth = 1e10, .launch = 1e-5};
        cluster->entry[r] = &cluster->storage[r];
    }
    assert_int_equal(motley__links_alloc(RANKS, 2, 1, &cluster->links, NULL), 0);
    cluster->links.node[2] = cluster->links.node[3] = 1;
    cluster->links.inside[0] = (struct motley__link){1e-6, 1e-6, 1e10};
    cluster->links.between[0] = (struct motley__link){5e-5, 1e-5, bandwidth};
}

static void names_come_back(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "experts", "hybrid", "hybrid:", "hybrid:1", "hybrid:2x", "hybrid:-2", "Data"};
    struct motley_error error = {0};
    enum motley_mode mode;
    int group;
    char text[32];
    for (int i = MOTLEY_MODE_AUTO; i <= MOTLEY_MODE_HYBRID; i++) {
        motley__mode_text((enum motley_mode)i, 7, text, sizeof text);
        assert_int_equal(motley__mode_parse("--mode", text, &mode, &group, NULL), 0);
        assert_int_equal(mode, i);
        assert_int_equal(group, i == MOTLEY_MODE_HYBRID ? 7 : 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(motley__mode_parse("--mode", bad[i], &mode, &group, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "--mode: expected auto, expert"));
    assert_int_equal(motley__mode_possible(MOTLEY_MODE_HYBRID, 4, 4, &error), MOTLEY_E_INVALID);
    assert_int_equal(motley__mode_possible(MOTLEY_MODE_HYBRID, 3, 4, NULL), 0);
    assert_int_equal(motley__mode_possible((enum motley_mode)9, 0, 4, &error), MOTLEY_E_INVALID);
}

/* No two entries of the list divide ranks alike; there is one for each number of groups while ranks are few. */
static void the_list_has_every_number_of_groups(void **state)
{
    (void)state;
    struct motley__alternative list[MOTLEY__ALTERNATIVES];
    assert_int_equal(motley__mode_list(1, list), 1);
    assert_int_equal(motley__mode_list(2, list), 3);
    assert_int_equal(motley__mode_list(3, list), 4);
    assert_int_equal(list[3].group, 2);
    for (int R = 4; R <= 100000; R = R < 40 ? R + 1 : R * 3) {
        const int count = motley__mode_list(R, list);
        int before = R;
        for (int i = 3; i < count; i++) {
            assert_int_equal(list[i].mode, MOTLEY_MODE_HYBRID);
            assert_true(list[i].group < before && list[i].group >= 2);
            before = list[i].group;
        }
    }
}

/* Data mode by hand: 8 experts of 3*64*128 f32, 900 tokens at K = 1. */
static void data_mode_by_hand(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 1);
    struct cluster cluster;
    struct motley__rank_cost cost[RANKS];
    make_cluster(&cluster, &shape, 1e8);
    struct motley__task task = {.shape = shape, .options = {.tokens = 5500, .backward = 1}, .R = RANKS,
                                .entry = cluster.entry, .links = &cluster.links};
    assert_int_equal(motley__task_open(&task, NULL), 0);
    const struct motley__prediction p = predict(&task, MOTLEY_MODE_DATA, 0, cost);
    /* Speeds 4:4:2:1, so 2000, 2000, 1000, 500 tokens: 2000 rows of 10 us. */
    assert_near(p.forward.experts, 0.02 + 2e-5);
    assert_near(p.backward.experts, 0.04);
    assert_true(p.forward.dispatch == 0 && p.backward.dispatch == 0);
    /* A node stores half of 8*3*64*128 numbers; the other node's two ranks want it. */
    const double bytes = 8 * 3 * 64 * 128 * 4.0;
    assert_near(p.moved, 2 * 3 * bytes);
    assert_near(p.node_moved, 2 * 2 * bytes);
    assert_true(p.forward.weights >= bytes / 1e8 && p.forward.weights < 1.2 * bytes / 1e8);
    assert_true(p.forward_seconds >= p.forward.weights + p.forward.experts);
    assert_int_equal(p.known, 1);
    motley__task_close(&task);
    motley__links_clear(&cluster.links);
}

/* Model mode by hand: every token travels once to every other rank that has a slice, and comes back once. */
static void model_mode_by_hand(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    struct cluster cluster;
    struct motley__rank_cost cost[RANKS];
    make_cluster(&cluster, &shape, 1e8);
    struct motley__task task = {.shape = shape, .options = {.tokens = 4000}, .R = RANKS, .entry = cluster.entry,
                                .links = &cluster.links};
    assert_int_equal(motley__task_open(&task, NULL), 0);
    const struct motley__prediction p = predict(&task, MOTLEY_MODE_MODEL, 0, cost);
    const double row = 64 * 4;
    /* Speeds 4:4:2:1 and 8 slices of 16: 3, 3, 2 and none; the third rank's quarter of 8000 rows takes longest. */
    assert_near(p.forward.experts, 8000 * 2e-5 / 4 + 2e-5);
    assert_near(p.moved, (3000 * 2 + 1000 * 3) * (row + 8 + 2 * 6 + row));
    assert_near(p.node_moved, (2000 * 1 + 2000 * 2) * (row + 8 + 2 * 6 + row));
    assert_near(p.backward_seconds, 0);
    motley__task_close(&task);
    motley__links_clear(&cluster.links);
}

/* Slow links and few tokens: tokens travel, for they are less.  Many tokens: weights do. */
static void less_moves_when_links_are_slow(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    for (int many = 0; many < 2; many++) {
        struct cluster cluster;
        struct motley__rank_cost cost[RANKS];
        make_cluster(&cluster, &shape, 1e6);
        struct motley__task task = {.shape = shape, .options = {.tokens = many ? 40000 : 400}, .R = RANKS,
                                    .entry = cluster.entry, .links = &cluster.links};
        assert_int_equal(motley__task_open(&task, NULL), 0);
        const struct motley__prediction data = predict(&task, MOTLEY_MODE_DATA, 0, cost),
            expert = predict(&task, MOTLEY_MODE_EXPERT, 0, cost), hybrid = predict(&task, MOTLEY_MODE_HYBRID, 2, cost),
            model = predict(&task, MOTLEY_MODE_MODEL, 0, cost);
        assert_int_equal(data.forward_seconds < expert.forward_seconds, many);
        assert_true(expert.moved < hybrid.moved && hybrid.moved < model.moved); /* copies of tokens */
        motley__task_close(&task);
        motley__links_clear(&cluster.links);
    }
}

/* Two ranks, one four times as fast, behind ever slower links: what refining finds is nearly the best of all shares of
 * the experts, and no worse than where it began.  Over slow links that means other shares than those of the speeds. */
static void slow_links_change_shares(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(16, 1);
    int other = 0, same = 0;
    for (double bandwidth = 1e9; bandwidth >= 1e5; bandwidth /= 4) {
        struct cluster cluster;
        struct motley__division division;
        struct motley__rank_cost cost[2];
        struct motley__prediction begin, found, best = {.forward_seconds = INFINITY}, p;
        make_cluster(&cluster, &shape, bandwidth);
        const struct motley__profile_entry *const entry[] = {cluster.entry[0], cluster.entry[3]};
        struct motley__task task = {.shape = shape, .options = {.tokens = 4000, .pipeline = 1}, .R = 2, .entry = entry};
        struct motley__links links;
        assert_int_equal(motley__links_alloc(2, 2, 1, &links, NULL), 0);
        links.node[1] = 1;
        links.between[0] = cluster.links.between[0];
        task.links = &links;
        assert_int_equal(motley__task_open(&task, NULL), 0);
        assert_int_equal(motley__mode_divide(&task, MOTLEY_MODE_EXPERT, 0, &division, NULL), 0);
        assert_int_equal(motley__predict(&task, &division, cost, &begin, NULL), 0);
        const int first = division.experts[0];
        found = begin;
        assert_int_equal(motley__refine(&task, &division, cost, &found, NULL), 0);
        assert_int_equal(division.experts[0] + division.experts[1], shape.E);
        assert_int_equal(motley__predict(&task, &division, cost, &p, NULL), 0);
        assert_near(found.forward_seconds, p.forward_seconds);
        other += division.experts[0] != first;
        same += division.experts[0] == first;
        for (int n = 1; n < shape.E; n++) {
            division.experts[0] = n;
            division.experts[1] = shape.E - n;
            assert_int_equal(motley__predict(&task, &division, cost, &p, NULL), 0);
            best = p.forward_seconds < best.forward_seconds ? p : best;
        }
        assert_true(found.forward_seconds <= begin.forward_seconds);
        assert_true(found.forward_seconds <= 1.03 * best.forward_seconds);
        motley__division_clear(&division);
        motley__task_close(&task);
        motley__links_clear(&links);
        motley__links_clear(&cluster.links);
    }
    assert_true(other > 0 && same > 0);
}

static double step_seconds(const struct motley__alternative *alternative)
{
    return alternative->predicted.forward_seconds + alternative->predicted.backward_seconds;
}

/* The chosen one is the fastest of those that fit, or nearly so; whatever was asked for is chosen. */
static void the_fastest_is_chosen(void **state)
{
    (void)state;
    int other = 0;
    for (uint64_t trial = 0; trial < 60; trial++) {
        const struct motley_layer_shape shape = fixture_shape(1 + (int)(trial % 9), 1);
        struct cluster cluster;
        struct motley__alternative list[MOTLEY__ALTERNATIVES];
        struct motley__rank_cost cost[RANKS];
        struct motley__division division;
        int count, chosen, best = -1;
        make_cluster(&cluster, &shape, pow(10, 5 + (double)(trial % 5)));
        struct motley__task task = {.shape = shape, .options = {.tokens = 10 << trial % 13, .backward = trial % 2},
                                    .R = RANKS, .entry = cluster.entry, .links = &cluster.links};
        assert_int_equal(motley__task_open(&task, NULL), 0);
        assert_int_equal(motley__mode_choose(&task, list, &count, &chosen, &division, cost, NULL), 0);
        for (int i = 0; i < count; i++)
            if (list[i].fits && (best < 0 || step_seconds(&list[i]) < step_seconds(&list[best])))
                best = i;
        assert_true(0.98 * step_seconds(&list[chosen]) <= step_seconds(&list[best]));
        assert_int_equal(division.mode, list[chosen].mode);
        other += chosen > 0;
        motley__division_clear(&division);
        task.options.mode = MOTLEY_MODE_HYBRID;
        task.options.group = 3; /* not in the list: groups of 2 are as many */
        assert_int_equal(motley__mode_choose(&task, list, &count, &chosen, &division, cost, NULL), 0);
        assert_true(list[chosen].mode == MOTLEY_MODE_HYBRID && list[chosen].group == 3 && division.G == 2);
        motley__division_clear(&division);
        motley__task_close(&task);
        motley__links_clear(&cluster.links);
    }
    assert_in_range(other, 10, 50);
}

static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    struct cluster cluster;
    struct motley__alternative list[MOTLEY__ALTERNATIVES];
    struct motley__rank_cost cost[RANKS];
    struct motley__division division;
    struct motley_error error = {0};
    int count, chosen;
    make_cluster(&cluster, &shape, 1e8);
    for (int r = 0; r < RANKS; r++)
        cluster.storage[r].key.memory_bytes = 800000; /* data mode's cache alone takes 786432 */
    struct motley__task task = {.shape = shape, .options = {.tokens = 64}, .R = RANKS, .entry = cluster.entry};
    assert_int_equal(motley__task_open(&task, NULL), 0);
    assert_int_equal(motley__mode_choose(&task, list, &count, &chosen, &division, cost, NULL), 0);
    assert_true(list[0].fits && !list[1].fits && list[2].fits);
    motley__division_clear(&division);
    task.options.mode = MOTLEY_MODE_DATA;
    assert_int_equal(motley__mode_choose(&task, list, &count, &chosen, &division, cost, &error),
                     MOTLEY_E_DEVICE_MEMORY);
    assert_non_null(strstr(error.text, "memory"));
    motley__task_close(&task);
    motley__links_clear(&cluster.links);
}

/* Plans of 64 unlike layers on 4096 unlike ranks, all of them kept; and eight times the best mode is sought. */
static void large_clusters_are_planned_in_no_time(void **state)
{
    (void)state;
    enum { R = 4096, E = 512, LAYERS = 64, KINDS = 8 };
    struct motley__profile_entry *storage = calloc(R, sizeof *storage);
    struct motley__curve (*curve)[R][2] = calloc(LAYERS, sizeof *curve);
    const struct motley__profile_entry **entry = calloc(R, sizeof *entry);
    motley_plan *plan[LAYERS];
    struct motley__links links;
    struct rusage usage;
    assert_true(storage && curve && entry);
    assert_int_equal(motley__links_alloc(R, R / 8, KINDS, &links, NULL), 0);
    for (int r = 0; r < R; r++) {
        const double speed = 1 + 3 * motley__random_uniform(SEED, 0, (uint64_t)r);
        for (int l = 0; l < LAYERS; l++)
            for (int part = 0; part < 2; part++) {
                const struct motley_layer_shape shape = {.D = 1024 + 16 * l, .F = (2048 + 32 * l) / (part ? 4 : 1),
                                                         .E = E, .K = 2, .activation = MOTLEY_SWIGLU};
                curve[l][r][part] = fixture_curve(&shape, 0, 1e-5, 1e-9 * shape.F / speed);
            }
        storage[r] = (struct motley__profile_entry){.key = fixture_key(r), .panel = 16, .curves = 2,
                                                    .move = {1e11, 1e-5}};
        entry[r] = &storage[r];
        links.node[r] = r / 8;
        links.kind[r / 8] = r / 8 % KINDS;
    }
    const clock_t begin = clock();
    for (int l = 0; l < LAYERS; l++) {
        const struct motley_layer_shape shape = {.D = 1024 + 16 * l, .F = 2048 + 32 * l, .E = E, .K = 2,
                                                 .activation = MOTLEY_SWIGLU};
        const struct motley_plan_options options = {.tokens = 1 << 20, .group = l % 8 ? 16 : 0,
                                                    .mode = l % 8 ? MOTLEY_MODE_HYBRID : MOTLEY_MODE_AUTO};
        struct motley_error error = {0};
        for (int r = 0; r < R; r++)
            storage[r].curve = curve[l][r];
        if (motley__plan_make(&shape, &options, R, entry, &links, &plan[l], &error))
            fail_msg("layer %d: %s", l, error.text);
    }
    const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    print_message("%.2f s of processor time, %.0f MiB\n", seconds, (double)usage.ru_maxrss / 1024);
    for (int l = 0; l < LAYERS; l++)
        motley_plan_destroy(plan[l]);
    motley__links_clear(&links);
    free(entry);
    free(curve);
    free(storage);
    assert_true(seconds < PLANNING_SECONDS);
    assert_true(usage.ru_maxrss < 1024 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_back),
        cmocka_unit_test(the_list_has_every_number_of_groups),
        cmocka_unit_test(data_mode_by_hand),
        cmocka_unit_test(model_mode_by_hand),
        cmocka_unit_test(less_moves_when_links_are_slow),
        cmocka_unit_test(slow_links_change_shares),
        cmocka_unit_test(the_fastest_is_chosen),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(large_clusters_are_planned_in_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
