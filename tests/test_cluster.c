/* Described clusters: read as they are meant, refused with the place and the mend, grown in proportion.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "cluster_folder.h"
#include "simulate/cluster.h"

enum { SEED = 77 };

static const char GOOD[] =
    "{\"nodes\": [\n"
    " {\"name\": \"gpu\", \"count\": 3, \"devices\": [{\"profile\": \"fast\", \"device\": \"fast\", \"ranks\": 2},\n"
    "   {\"profile\": \"slow\", \"device\": \"old\", \"memory_GiB\": 2}],\n"
    "  \"inside\": {\"latency_us\": 8, \"message_us\": 0.5, \"MB_per_second\": 20000}},\n"
    " {\"name\": \"old\", \"count\": 5,\n"
    "  \"devices\": [{\"profile\": \"slow\", \"device\": \"old\", \"host\": \"host0\"}]}],\n"
    " \"between\": {\"latency_us\": 12, \"MB_per_second\": 12000},\n"
    " \"links\": [\n"
    "  {\"from\": \"old\", \"to\": \"gpu\", \"latency_us\": 40, \"message_us\": 3, \"MB_per_second\": 1200},\n"
    "  {\"from\": \"old\", \"to\": \"old\", \"latency_us\": 50, \"MB_per_second\": 100}]}\n";

static int make_folder(void **state)
{
    static const struct profiled fast = {"fast", 1e-4, 1e-6}, old = {"old", 1e-4, 1e-5};
    struct motley__profile profile = {0};
    (void)state;
    if (make_empty_folder())
        return 1;
    add_device(&profile, &fast, 1);
    add_device(&profile, &fast, 3);
    write_profile("fast", &profile);
    add_device(&profile, &old, 1);
    write_profile("slow", &profile);
    return 0;
}

static int read_text(const char *text, struct motley__cluster *cluster, struct motley_error *error)
{
    assert_int_equal(motley__file_write(path, text, strlen(text), NULL), 0);
    return motley__cluster_read(path, cluster, error);
}

static void a_file_is_read_as_meant(void **state)
{
    (void)state;
    struct motley__cluster cluster = {0};
    struct motley_error error = {0};
    assert_int_equal(read_text(GOOD, &cluster, &error), 0);
    assert_int_equal(cluster.kinds, 2);
    assert_int_equal(cluster.profiles, 2);
    assert_int_equal(motley__cluster_ranks(&cluster), 3 * 3 + 5);
    assert_int_equal(cluster.kind[0].parts, 2);
    assert_int_equal(cluster.kind[0].ranks, 3);
    assert_true(cluster.kind[0].part[1].memory_bytes == UINT64_C(2) << 30 && cluster.kind[0].part[0].memory_bytes == 0);
    assert_true(cluster.kind[0].inside.latency == 8 * 1e-6 && cluster.kind[0].inside.message == 0.5 * 1e-6);
    assert_true(cluster.kind[0].inside.bandwidth == 2e10 && cluster.kind[1].inside.bandwidth == 0);
    assert_true(cluster.between[0].bandwidth == 1.2e10 && cluster.between[0].message == 0);
    assert_true(cluster.between[1].bandwidth == 1.2e9 && cluster.between[2].message == 3 * 1e-6);
    assert_true(cluster.between[3].bandwidth == 1e8);
    motley__cluster_clear(&cluster);
    motley__cluster_clear(NULL);
}

/* GOOD with one text in place of another. */
static void change(const char *old, const char *new, char *text, size_t size)
{
    const char *at = strstr(GOOD, old);
    assert_non_null(at);
    snprintf(text, size, "%.*s%s%s", (int)(at - GOOD), GOOD, new, at + strlen(old));
}

static void bad_files_are_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *says;
    } cases[] = {
        {"{\"nodes\"", "\"nodes\"", "expected JSON"},
        {"\"nodes\": [", "\"node\": [", "the file has an unknown \"node\""},
        {"\"count\": 3", "\"count\": 0", "nodes[0]: \"count\" is 0; give a number from 1"},
        {"\"count\": 3", "\"count\": 2.5", "nodes[0]: \"count\" is no whole number"},
        {"\"count\": 3", "\"count\": \"3\"", "nodes[0]: \"count\" is no number"},
        {"\"count\": 3", "\"coutn\": 3", "nodes[0] has an unknown \"coutn\""},
        {"\"count\": 3", "\"count\": 1048576", "give at most 1048576"},
        {"\"count\": 3", "\"count\": 12345678901234567", "give a number from 1"},
        {"\"ranks\": 2", "\"ranks\": -2", "nodes[0].devices[0]: \"ranks\" is -2"},
        {"\"name\": \"old\", ", "", "nodes[1]: \"name\" is missing"},
        {"\"name\": \"old\"", "\"name\": \"gpu\"", "nodes[1]: \"gpu\" is the name of other nodes"},
        {"\"memory_GiB\": 2", "\"memory_GiB\": 0", "nodes[0].devices[1]: \"memory_GiB\" is 0"},
        {"\"profile\": \"fast\", ", "", "nodes[0].devices[0]: \"profile\" is missing"},
        {"\"profile\": \"fast\"", "\"profile\": \"nowhere\"", "nowhere"},
        {"\"profile\": \"fast\"", "\"profile\": \"cluster.json\"", "cluster.json is no profile"},
        {"\"device\": \"fast\"", "\"device\": \"quick\"", "no device with \"quick\" in its name; it has \"A fast"},
        {"\"host\": \"host0\"", "\"host\": \"host1\"", "on host host1"},
        {", \"MB_per_second\": 20000", "", "nodes[0].inside: \"MB_per_second\" is missing"},
        {"\"latency_us\": 8", "\"latency_us\": -8", "nodes[0].inside: \"latency_us\" is -8"},
        {"\"MB_per_second\": 12000", "\"MB_per_second\": 0", "between: \"MB_per_second\" is 0"},
        {"\"from\": \"old\", \"to\": \"gpu\"", "\"from\": \"new\", \"to\": \"gpu\"", "links[0]: \"from\" is \"new\""},
        {"\"from\": \"old\", \"to\": \"old\"", "\"to\": \"old\"", "links[1]: \"from\" is missing"},
        {"\"links\": [", "\"links\": {\"a\": [", "expected JSON"},
        {"\"between\": {", "\"between\": 3, \"links\": [], \"nodes\": {", "expected JSON"},
        {" \"between\": {\"latency_us\": 12, \"MB_per_second\": 12000},\n", "", "between is missing, and there are"},
        {"},\n {\"name\": \"old\"", "}, 7, {\"name\": \"old\"", "nodes[1] is no object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct motley__cluster cluster = {0};
        struct motley_error error = {0};
        char text[2048];
        change(cases[i].old, cases[i].new, text, sizeof text);
        assert_int_not_equal(read_text(text, &cluster, &error), 0);
        if (!strstr(error.text, cases[i].says) || !strstr(error.text, "cluster.json"))
            fail_msg("case %zu: '%s' does not say '%s'", i, error.text, cases[i].says);
        motley__cluster_clear(&cluster);
    }
    struct motley__cluster cluster = {0};
    struct motley_error error = {0};
    assert_int_equal(motley__cluster_read("/nowhere/cluster.json", &cluster, &error), MOTLEY_E_IO);
}

/* With any bytes changed it is read or refused, without harm. */
static void any_damage_is_survived(void **state)
{
    (void)state;
    const size_t length = strlen(GOOD);
    for (uint64_t i = 0; i < 600; i++) {
        struct motley__cluster cluster = {0};
        struct motley_error error = {0};
        char text[sizeof GOOD];
        strcpy(text, GOOD);
        for (uint64_t n = 0; n <= i % 3; n++) {
            const char byte = (char)motley__random_bits(SEED, 1, 4 * i + n);
            text[motley__random_bits(SEED, 2, 4 * i + n) % length] = byte ? byte : ' ';
        }
        if (read_text(text, &cluster, &error))
            assert_true(error.code < 0 && error.text[0]);
        motley__cluster_clear(&cluster);
    }
}

/* Whole, smaller and larger. */
static void clusters_grow_in_proportion(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(4, 2);
    struct motley__cluster cluster = {0};
    assert_int_equal(read_text(GOOD, &cluster, NULL), 0);
    for (int R = 1; R <= 6000; R = R < 60 ? R + 1 : 3 * R) {
        struct motley__cluster_job job = {0};
        int gpu_nodes = 0, old_nodes = 0, alone = 0, *ranks;
        assert_int_equal(motley__cluster_job(&cluster, &shape, 1, R, &job, NULL), 0);
        assert_int_equal(job.R, R);
        assert_int_equal(job.links.R, R);
        ranks = calloc((size_t)job.links.nodes, sizeof *ranks);
        assert_non_null(ranks);
        for (int r = 0; r < R; r++) {
            const int node = job.links.node[r], gpu = job.links.kind[node] == 0;
            assert_true(r == 0 ? node == 0 : node == job.links.node[r - 1] || node == job.links.node[r - 1] + 1);
            assert_string_equal(job.entry[r]->key.host, gpu ? "gpu" : "old");
            assert_non_null(strstr(job.entry[r]->key.name, gpu && ranks[node] < 2 ? "fast" : "old"));
            if (gpu && ranks[node] < 2) /* as recorded with three ranks on the node */
                assert_true(job.entry[r]->key.places == 3 && job.entry[r]->key.place == ranks[node]);
            assert_true((job.entry[r]->key.memory_bytes == UINT64_C(2) << 30) == (gpu && ranks[node] == 2));
            ranks[node]++;
        }
        for (int n = 0; n < job.links.nodes; n++) {
            gpu_nodes += job.links.kind[n] == 0;
            old_nodes += job.links.kind[n] == 1;
            alone += job.links.kind[n] == 0 && ranks[n] < 3;
            assert_in_range(ranks[n], 1, job.links.kind[n] ? 1 : 3);
        }
        assert_in_range(alone, 0, 1);
        assert_in_range(5 * gpu_nodes + 8, 3 * old_nodes, 3 * old_nodes + 16);
        if (R % 14 == 0) {
            assert_int_equal(gpu_nodes, 3 * R / 14);
            assert_int_equal(old_nodes, 5 * R / 14);
        }
        assert_true(job.links.inside[0].bandwidth == 2e10 && job.links.between[1].bandwidth == 1.2e9);
        free(ranks);
        motley__cluster_job_clear(&job);
    }
    motley__cluster_clear(&cluster);
}

static void what_was_never_measured_is_said(void **state)
{
    (void)state;
    struct motley_layer_shape shape = fixture_shape(4, 2);
    struct motley__cluster cluster = {0};
    struct motley__cluster_job job = {0};
    struct motley_error error = {0};
    assert_int_equal(read_text(GOOD, &cluster, NULL), 0);
    shape.D = 96;
    assert_int_equal(motley__cluster_job(&cluster, &shape, 1, 14, &job, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "motley measure --width 96 --hidden 128"));
    motley__cluster_job_clear(&job);
    error = (struct motley_error){0};
    assert_int_equal(motley__cluster_job(&cluster, &shape, 1, 0, &job, &error), MOTLEY_E_INVALID);
    motley__cluster_job_clear(&job);
    motley__cluster_clear(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_as_meant),
        cmocka_unit_test(bad_files_are_refused_with_the_place),
        cmocka_unit_test(any_damage_is_survived),
        cmocka_unit_test(clusters_grow_in_proportion),
        cmocka_unit_test(what_was_never_measured_is_said),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
