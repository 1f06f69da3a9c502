/* Simulation: what the planner itself would say, at any size, quickly, and as table and picture.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "cluster_folder.h"
#include "plan/plan.h"
#include "simulate/simulate.h"

enum { SIZES = 12 };

static const char CLUSTER[] =
    "{\"nodes\": [\n"
    " {\"name\": \"gpu\", \"count\": 2, \"devices\": [{\"profile\": \"fast\", \"device\": \"fast\", \"ranks\": 2}],\n"
    "  \"inside\": {\"latency_us\": 8, \"message_us\": 0.5, \"MB_per_second\": 20000}},\n"
    " {\"name\": \"old\", \"count\": 3, \"devices\": [{\"profile\": \"slow\", \"device\": \"slow\"}]}],\n"
    " \"between\": {\"latency_us\": 12, \"message_us\": 1, \"MB_per_second\": 2000}}\n";

static int make_folder(void **state)
{
    static const struct profiled fast = {"fast", 1e-5, 1e-7}, slow = {"slow", 1e-5, 1e-6};
    struct motley__profile profile = {0};
    (void)state;
    if (make_empty_folder())
        return 1;
    add_device(&profile, &fast, 1);
    write_profile("fast", &profile);
    add_device(&profile, &slow, 1);
    write_profile("slow", &profile);
    return motley__file_write(path, CLUSTER, strlen(CLUSTER), NULL);
}

static struct motley__cluster read_cluster(void)
{
    struct motley__cluster cluster = {0};
    assert_int_equal(motley__cluster_read(path, &cluster, NULL), 0);
    return cluster;
}

/* Every alternative and the choice are those of a plan made from the same devices and links. */
static void simulating_is_planning(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(24, 2);
    const struct motley_plan_options options = {.tokens = 4000, .backward = 1};
    struct motley__cluster cluster = read_cluster();
    for (int R = 1; R <= 9; R++) {
        struct motley__simulation simulation;
        struct motley__cluster_job job = {0};
        motley_plan *plan;
        assert_int_equal(motley__simulate(&cluster, &shape, &options, R, &simulation, NULL), 0);
        assert_int_equal(motley__cluster_job(&cluster, &shape, 1, R, &job, NULL), 0);
        assert_int_equal(motley__plan_make(&shape, &options, R, job.entry, &job.links, &plan, NULL), 0);
        assert_int_equal(simulation.R, R);
        assert_int_equal(simulation.nodes, job.links.nodes);
        assert_int_equal(simulation.alternatives, plan->alternatives);
        assert_int_equal(simulation.chosen, plan->chosen);
        for (int i = 0; i < plan->alternatives; i++) {
            const struct motley__alternative *a = &simulation.alternative[i], *b = &plan->alternative[i];
            assert_true(a->mode == b->mode && a->group == b->group && a->fits && b->fits);
            assert_true(motley__step_seconds(&a->predicted) == motley__step_seconds(&b->predicted));
            assert_true(a->predicted.bytes == b->predicted.bytes && a->predicted.moved == b->predicted.moved);
            assert_true(motley__step_seconds(&a->predicted) > 0);
            assert_true(motley__step_seconds(&motley__simulation_best(&simulation, a->mode)->predicted) <=
                        motley__step_seconds(&a->predicted));
        }
        if (R == 1)
            assert_null(motley__simulation_best(&simulation, MOTLEY_MODE_DATA));
        motley_plan_destroy(plan);
        motley__cluster_job_clear(&job);
    }
    motley__cluster_clear(&cluster);
}

/* 2 to 4096 ranks, training: processor seconds. */
static void thousands_of_ranks_take_seconds(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(512, 2);
    struct motley__cluster cluster = read_cluster();
    static struct motley__simulation simulation[SIZES];
    const clock_t begin = clock();
    for (int s = 0; s < SIZES; s++) {
        const int R = 2 << s;
        const struct motley_plan_options options = {.tokens = INT64_C(1024) * R, .backward = 1, .moments = 2};
        assert_int_equal(motley__simulate(&cluster, &shape, &options, R, &simulation[s], NULL), 0);
        assert_true(simulation[s].chosen >= 0);
    }
    const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    print_message("2 to 4096 ranks: %.2f s\n", seconds);
    assert_true(seconds < 10);

    char svg[128], *text;
    size_t bytes;
    snprintf(svg, sizeof svg, "%s/sweep.svg", folder);
    assert_int_equal(motley__simulation_plot(svg, simulation, SIZES, "a < b", NULL), 0);
    assert_int_equal(motley__file_read(svg, &text, &bytes, NULL), 0);
    assert_memory_equal(text, "<svg ", 5);
    assert_non_null(strstr(text, "</svg>"));
    assert_non_null(strstr(text, ">4096</text>"));
    assert_non_null(strstr(text, "a &lt; b"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf,"));
    int lines = 0, dots = 0;
    for (const char *at = text; (at = strstr(at, "<polyline")); at++)
        lines++;
    for (const char *at = text; (at = strstr(at, "<circle")); at++)
        dots++;
    assert_int_equal(lines, 4);
    assert_int_equal(dots, SIZES);
    free(text);
    motley__cluster_clear(&cluster);
}

/* A picture of one size, and of a size that no device can hold, is still one. */
static void what_does_not_fit_is_an_answer(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(24, 2);
    const struct motley_plan_options options = {.tokens = INT64_C(1) << 40, .backward = 1};
    struct motley__cluster cluster = read_cluster();
    struct motley__simulation simulation;
    char svg[128], *text = NULL;
    size_t bytes;
    assert_int_equal(motley__simulate(&cluster, &shape, &options, 3, &simulation, NULL), 0);
    assert_int_equal(simulation.chosen, -1);
    assert_true(simulation.alternatives > 0);
    for (int i = 0; i < simulation.alternatives; i++)
        assert_false(simulation.alternative[i].fits);
    snprintf(svg, sizeof svg, "%s/none.svg", folder);
    assert_int_equal(motley__simulation_plot(svg, &simulation, 1, "", NULL), 0);
    assert_int_equal(motley__file_read(svg, &text, &bytes, NULL), 0);
    assert_null(strstr(text, "nan"));
    free(text);

    FILE *stream = open_memstream(&text, &bytes);
    motley__simulation_csv(&simulation, 1, stream);
    fclose(stream);
    int commas = 0, lines = 0;
    for (const char *c = text; *c; c++) {
        commas += *c == ',';
        lines += *c == '\n';
    }
    assert_int_equal(lines, simulation.alternatives + 1);
    assert_int_equal(commas, 12 * lines);
    free(text);
    motley__cluster_clear(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simulating_is_planning),
        cmocka_unit_test(thousands_of_ranks_take_seconds),
        cmocka_unit_test(what_does_not_fit_is_an_answer),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
