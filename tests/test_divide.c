/* Dividing: as good as trying every division, within every device's memory, and what it says is a partition.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "allocate/group.h"
#include "allocate/mode.h"
#include "base/random.h"
#include "plan_fixture.h"

enum { SEED = 77, MOST_RANKS = 5, D = 64 };

/* Made-up ranks: a device's time for a slice is a part that no width saves, and one in proportion to it. */
struct cluster {
    struct motley__profile_entry storage[MOST_RANKS];
    struct motley__curve curve[MOST_RANKS][4];
    const struct motley__profile_entry *entry[MOST_RANKS];
};

static int draw(uint64_t stream, uint64_t index, int range)
{
    return (int)(motley__random_bits(SEED, stream, index) % (uint64_t)range);
}

static void make_cluster(struct cluster *cluster, const struct motley_layer_shape *shape, int R, uint64_t trial)
{
    for (int r = 0; r < R; r++) {
        const uint64_t at = trial * MOST_RANKS + (uint64_t)r;
        const double speed = 1 + draw(1, at, 8), fixed = draw(2, at, 3) * 1e-4;
        int curves = 0;
        for (int half = 0; half < 2; half++) {
            struct motley_layer_shape slice = *shape;
            slice.F = half ? shape->F / 2 : shape->F;
            for (int backward = 0; backward < 2; backward++)
                cluster->curve[r][curves++] = fixture_curve(&slice, backward, fixed, 1e-6 * slice.F / speed);
        }
        cluster->storage[r] = (struct motley__profile_entry){.key = fixture_key(r), .panel = 1, .curves = curves,
                                                             .curve = cluster->curve[r]};
        if (draw(3, at, 12) == 0)
            cluster->storage[r].curves = 0; /* holds no expert */
        cluster->entry[r] = &cluster->storage[r];
    }
}

/* The best time of one expert by ranks of a group, over all slices. */
static double search_slices(const struct motley__task *task, const int *member, int members, int units)
{
    double best = INFINITY;
    if (members == 0)
        return units == 0 ? 0 : INFINITY;
    for (int u = 0; u <= units; u++) {
        const struct motley__widths *widths = &task->widths[member[0]];
        if (u > 0 && !widths->points)
            break;
        const double own = u ? motley__cost_width(widths, u * task->grain) : 0;
        best = fmin(best, fmax(own, search_slices(task, member + 1, members - 1, units - u)));
    }
    return best;
}

/* The best time of all experts by groups with these times of one, over all shares. */
static double search_experts(const double *seconds, int groups, int experts)
{
    double best = INFINITY;
    if (groups == 0)
        return experts == 0 ? 0 : INFINITY;
    for (int n = 0; n <= experts; n++)
        best = fmin(best, fmax(n ? n * seconds[0] : 0, search_experts(seconds + 1, groups - 1, experts - n)));
    return best;
}

/* Over all ways to put rank r and those behind it into groups of these sizes. */
static double search_groups(const struct motley__task *task, int G, int *room, int *group_of, int r)
{
    double best = INFINITY, seconds[MOST_RANKS];
    for (int g = 0; g < G && r < task->R; g++) {
        if (!room[g])
            continue;
        room[g]--;
        group_of[r] = g;
        best = fmin(best, search_groups(task, G, room, group_of, r + 1));
        room[g]++;
    }
    if (r < task->R)
        return best;
    for (int g = 0; g < G; g++) {
        int member[MOST_RANKS], members = 0;
        for (int i = 0; i < task->R; i++)
            if (group_of[i] == g)
                member[members++] = i;
        seconds[g] = search_slices(task, member, members, task->shape.F / task->grain);
    }
    return search_experts(seconds, G, task->shape.E);
}

static void assert_partition(const struct motley__task *task, const struct motley__division *division)
{
    struct motley__placement stored;
    struct motley_error error = {0};
    int64_t tokens = 0;
    assert_int_equal(motley__placement_alloc(task->R, task->shape.E, task->shape.F, &stored, NULL), 0);
    assert_int_equal(motley__division_placement(division, &stored, NULL), 0);
    if (motley__placement_partition(&stored, &error))
        fail_msg("%s", error.text);
    motley__placement_clear(&stored);
    for (int r = 0; r < task->R; r++) {
        tokens += division->tokens[r];
        assert_true(division->width[r] % task->grain == 0 || division->width[r] == task->shape.F);
    }
    assert_int_equal(tokens, task->options.tokens);
}

static double slowest(const struct motley__task *task, const struct motley__division *division)
{
    double seconds = 0;
    for (int r = 0; r < task->R; r++)
        seconds = fmax(seconds, motley__division_seconds(task, division, r, 0));
    return seconds;
}

static int anyone(const struct cluster *cluster, int R)
{
    int known = 0;
    for (int r = 0; r < R; r++)
        known += cluster->storage[r].curves > 0;
    return known;
}

/* Experts, slices and groups of up to five ranks, two to seven experts, up to six grains. */
static void as_good_as_trying_everything(void **state)
{
    (void)state;
    int tried[5] = {0};
    print_message("seed %d\n", SEED);
    for (uint64_t trial = 0; trial < 400; trial++) {
        const int R = 1 + draw(4, trial, MOST_RANKS);
        struct motley_layer_shape shape = fixture_shape(2 + draw(5, trial, 6), 1);
        shape.F = 32 * (1 + draw(6, trial, 3));
        struct cluster cluster;
        make_cluster(&cluster, &shape, R, trial);
        struct motley__task task = {.shape = shape, .options = {.tokens = 100, .backward = draw(7, trial, 2)}, .R = R,
                                    .entry = cluster.entry};
        assert_int_equal(motley__task_open(&task, NULL), 0);
        for (int G = 1; G <= R && anyone(&cluster, R); G++) {
            const enum motley_mode mode = G == R ? MOTLEY_MODE_EXPERT : G == 1 ? MOTLEY_MODE_MODEL : MOTLEY_MODE_HYBRID;
            struct motley__division division;
            int room[MOST_RANKS], group_of[MOST_RANKS];
            if (mode == MOTLEY_MODE_HYBRID && (R + (R + G - 1) / G - 1) / ((R + G - 1) / G) != G)
                continue;
            for (int g = 0; g < G; g++)
                room[g] = R / G + (g < R % G);
            const double best = search_groups(&task, G, room, group_of, 0);
            assert_int_equal(motley__mode_divide(&task, mode, (R + G - 1) / G, &division, NULL), 0);
            assert_partition(&task, &division);
            const double found = slowest(&task, &division);
            if (fabs(found - best) > 1e-9 * best)
                fail_msg("trial %d, %d ranks in %d groups: found %g, the best is %g", (int)trial, R, G, found, best);
            tried[mode]++;
            motley__division_clear(&division);
        }
        motley__task_close(&task);
    }
    print_message("expert %d, model %d, hybrid %d\n", tried[MOTLEY_MODE_EXPERT], tried[MOTLEY_MODE_MODEL],
                  tried[MOTLEY_MODE_HYBRID]);
    assert_true(tried[MOTLEY_MODE_HYBRID] > 200);
}

static double search_tokens(const struct motley__task *task, int r, int tokens)
{
    double best = INFINITY;
    if (r == task->R)
        return tokens == 0 ? 0 : INFINITY;
    for (int n = 0; n <= tokens; n++) {
        const double own = n ? motley__cost_all(&task->whole[r], &task->shape, n, 1, task->options.backward) : 0;
        if (n > 0 && own == 0)
            break;
        best = fmin(best, fmax(own, search_tokens(task, r + 1, tokens - n)));
    }
    return best;
}

static void tokens_as_good_as_trying_everything(void **state)
{
    (void)state;
    for (uint64_t trial = 1000; trial < 1300; trial++) {
        const int R = 1 + draw(4, trial, 4), T = draw(8, trial, 30);
        struct motley_layer_shape shape = fixture_shape(2 + draw(5, trial, 6), 2);
        struct cluster cluster;
        struct motley__division division;
        make_cluster(&cluster, &shape, R, trial);
        struct motley__task task = {.shape = shape, .options = {.tokens = T}, .R = R, .entry = cluster.entry};
        if (!anyone(&cluster, R))
            continue;
        assert_int_equal(motley__task_open(&task, NULL), 0);
        assert_int_equal(motley__mode_divide(&task, MOTLEY_MODE_DATA, 0, &division, NULL), 0);
        assert_partition(&task, &division);
        assert_true(fabs(slowest(&task, &division) - search_tokens(&task, 0, T)) <= 1e-12);
        motley__division_clear(&division);
        motley__task_close(&task);
    }
}

/* Many tokens go in parts; nobody is more than a part of a fiftieth off. */
static void many_tokens_go_in_parts(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    struct cluster cluster;
    struct motley__division division;
    make_cluster(&cluster, &shape, 3, 1);
    struct motley__task task = {.shape = shape, .options = {.tokens = 1000003}, .R = 3, .entry = cluster.entry};
    assert_int_equal(motley__task_open(&task, NULL), 0);
    assert_int_equal(motley__mode_divide(&task, MOTLEY_MODE_DATA, 0, &division, NULL), 0);
    assert_partition(&task, &division);
    double least = INFINITY;
    for (int r = 0; r < 3; r++)
        least = fmin(least, motley__division_seconds(&task, &division, r, 0));
    assert_true(least > 0.98 * slowest(&task, &division));
    motley__division_clear(&division);
    motley__task_close(&task);
}

/* Random memories: what is found fits, and where nothing is found the message says why. */
static void memory_is_kept(void **state)
{
    (void)state;
    int fitted = 0, refused = 0;
    for (uint64_t trial = 2000; trial < 2600; trial++) {
        const int R = 2 + draw(4, trial, 4);
        struct motley_layer_shape shape = fixture_shape(8, 2);
        struct cluster cluster;
        make_cluster(&cluster, &shape, R, trial);
        for (int r = 0; r < R; r++)
            cluster.storage[r].key.memory_bytes =
                (uint64_t)(200 + draw(9, trial * MOST_RANKS + (uint64_t)r, 1500)) << 10;
        struct motley__task task = {.shape = shape, .R = R, .entry = cluster.entry,
                                    .options = {.tokens = 200, .backward = 1, .shares = draw(10, trial, 4) == 0}};
        assert_int_equal(motley__task_open(&task, NULL), 0);
        struct motley__alternative list[MOTLEY__ALTERNATIVES];
        const int count = motley__mode_list(R, list);
        for (int i = 0; i < count; i++) {
            struct motley__division division;
            struct motley__duty duty[MOST_RANKS];
            struct motley_error error = {0};
            int status = motley__mode_divide(&task, list[i].mode, list[i].group, &division, &error);
            if (status) {
                assert_int_equal(status, MOTLEY_E_DEVICE_MEMORY);
                assert_non_null(strstr(error.text, "memory"));
                refused++;
                continue;
            }
            assert_int_equal(motley__division_duties(&task, &division, duty, NULL), 0);
            for (int r = 0; r < R; r++)
                assert_true(motley__cost_bytes(&shape, &task.options, R, &duty[r], 1) <=
                            cluster.storage[r].key.memory_bytes);
            assert_partition(&task, &division);
            fitted++;
            motley__division_clear(&division);
        }
        motley__task_close(&task);
    }
    print_message("%d fit, %d do not\n", fitted, refused);
    assert_true(fitted > 300 && refused > 300);
}

/* Every mode, few and many ranks, fewer experts than ranks, and what does not divide. */
static void even_shares_are_even(void **state)
{
    (void)state;
    for (int R = 2; R <= MOST_RANKS; R++)
        for (int E = 1; E <= 7; E += 3) {
            struct motley_layer_shape shape = fixture_shape(E, 1);
            struct cluster cluster;
            struct motley__alternative list[MOTLEY__ALTERNATIVES];
            const int count = motley__mode_list(R, list);
            make_cluster(&cluster, &shape, R, 5);
            struct motley__task task = {.shape = shape, .R = R, .entry = cluster.entry,
                                        .options = {.tokens = 50, .shares = MOTLEY_SHARES_EVEN}};
            assert_int_equal(motley__task_open(&task, NULL), 0);
            for (int i = 0; i < count; i++) {
                struct motley__division division;
                assert_int_equal(motley__mode_divide(&task, list[i].mode, list[i].group, &division, NULL), 0);
                assert_partition(&task, &division);
                for (int r = 0; r < R; r++) {
                    const int g = division.group_of[r];
                    assert_true(llabs(division.tokens[r] - 50 / R) <= 1);
                    assert_true(abs(division.experts[g] - E / division.G) <= 1);
                    for (int q = 0; q < R; q++)
                        if (division.group_of[q] == g && division.experts[g])
                            assert_true(abs(division.width[q] - division.width[r]) <= task.grain);
                }
                motley__division_clear(&division);
            }
            motley__task_close(&task);
        }
}

/* The rows a rank is expected to get, against routing that really chooses at random. */
static void duties_are_what_random_routing_brings(void **state)
{
    (void)state;
    enum { R = 5, E = 8, K = 3, TOKENS = 40000 };
    const struct motley_layer_shape shape = fixture_shape(E, K);
    struct cluster cluster;
    struct motley__division division;
    struct motley__duty duty[R];
    double pairs[R] = {0}, sent[R] = {0}, received[R] = {0}, gathered[R] = {0};
    make_cluster(&cluster, &shape, R, 3);
    struct motley__task task = {.shape = shape, .options = {.tokens = TOKENS}, .R = R, .entry = cluster.entry};
    assert_int_equal(motley__task_open(&task, NULL), 0);
    assert_int_equal(motley__mode_divide(&task, MOTLEY_MODE_HYBRID, 2, &division, NULL), 0);
    assert_int_equal(motley__division_duties(&task, &division, duty, NULL), 0);
    int server[E], next = 0;
    for (int g = 0; g < division.G; g++)
        for (int i = 0; i < division.experts[g]; i++)
            server[next++] = g;
    for (int t = 0, home = 0, left = (int)division.tokens[0]; t < TOKENS; t++) {
        int chosen[E], hit[R] = {0};
        for (; left == 0; left = (int)division.tokens[home])
            home++;
        left--;
        for (int e = 0; e < E; e++)
            chosen[e] = e;
        for (int k = 0; k < K; k++) {
            const int at = k + draw(40, (uint64_t)t * K + (uint64_t)k, E - k), expert = chosen[at];
            chosen[at] = chosen[k];
            hit[server[expert]]++;
        }
        for (int g = 0; g < division.G; g++) {
            int others = 0;
            for (int r = 0; r < R; r++) {
                const int member = division.group_of[r] == g && division.width[r] > 0;
                pairs[r] += member * hit[g];
                others += member && r != home && hit[g];
                received[r] += member && r != home && hit[g];
            }
            sent[home] += others;
            gathered[home] += others > 0;
        }
    }
    for (int r = 0; r < R; r++) {
        const double slack = 5 * sqrt(TOKENS);
        assert_true(fabs(duty[r].pairs - pairs[r]) < slack && fabs(duty[r].sent - sent[r]) < slack);
        assert_true(fabs(duty[r].received - received[r]) < slack && fabs(duty[r].gathered - gathered[r]) < slack);
    }
    motley__division_clear(&division);
    motley__task_close(&task);
}

/* Beyond exact search: no division can be faster than ranks that each do, alone, as much as they can in that time: n
 * experts, at least so many, in the widest slices for which n of them are done. */
static double lower_bound(const struct motley__task *task, int least_experts)
{
    const int units = task->shape.F / task->grain, E = task->shape.E;
    double low = 0, high = 1e3;
    for (int step = 0; step < 60; step++) {
        const double middle = (low + high) / 2;
        double done = 0;
        for (int r = 0; r < task->R; r++) {
            int best = 0;
            for (int n = least_experts; n <= E; n++) {
                int u = 0;
                while (u < units && n * motley__cost_width(&task->widths[r], (u + 1) * task->grain) <= middle)
                    u++;
                best = n * u > best ? n * u : best;
            }
            done += best;
        }
        if (done < (double)units * E)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void many_ranks_are_near_the_bound(void **state)
{
    (void)state;
    enum { R = 64 };
    struct motley_layer_shape shape = {.D = D, .F = 4096, .E = 128, .K = 2, .activation = MOTLEY_SWIGLU};
    struct motley__profile_entry storage[R];
    struct motley__curve curve[R][2];
    const struct motley__profile_entry *entry[R];
    struct motley_layer_shape quarter = shape;
    quarter.F = 2048 / 4;
    for (int r = 0; r < R; r++) {
        const double speed = 1 + 3 * motley__random_uniform(SEED, 50, (uint64_t)r);
        curve[r][0] = fixture_curve(&shape, 0, 0, 1e-6 * shape.F / speed);
        curve[r][1] = fixture_curve(&quarter, 0, 0, 1e-6 * quarter.F / speed);
        storage[r] = (struct motley__profile_entry){.key = fixture_key(r), .panel = 16, .curves = 2,
                                                    .curve = curve[r]};
        entry[r] = &storage[r];
    }
    struct motley__task task = {.shape = shape, .options = {.tokens = 8192}, .R = R, .entry = entry};
    assert_int_equal(motley__task_open(&task, NULL), 0);
    for (int group = 4; group <= R; group *= 2) {
        struct motley__division division;
        const enum motley_mode mode = group == R ? MOTLEY_MODE_MODEL : MOTLEY_MODE_HYBRID;
        assert_int_equal(motley__mode_divide(&task, mode, group, &division, NULL), 0);
        assert_partition(&task, &division);
        const double bound = lower_bound(&task, mode == MOTLEY_MODE_MODEL ? shape.E : 1);
        print_message("groups of %d: %.4f of the bound\n", group, slowest(&task, &division) / bound);
        if (group != 32) /* two groups have about 64 experts each, which the bound does not know of */
            assert_true(slowest(&task, &division) <= 1.05 * bound);
        motley__division_clear(&division);
    }
    motley__task_close(&task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_good_as_trying_everything),
        cmocka_unit_test(tokens_as_good_as_trying_everything),
        cmocka_unit_test(many_tokens_go_in_parts),
        cmocka_unit_test(memory_is_kept),
        cmocka_unit_test(even_shares_are_even),
        cmocka_unit_test(duties_are_what_random_routing_brings),
        cmocka_unit_test(many_ranks_are_near_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
