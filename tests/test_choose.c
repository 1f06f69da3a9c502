/* Who drives what, on made-up nodes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/node.h"

enum { CORES = 64, DEVICES = 8, RANKS = 20 };

/* A node, its ranks and the answer. */
struct scene {
    struct motley__node node;
    struct motley__core core[CORES];
    int domain[DEVICES];
    struct motley__found found[DEVICES];
    struct motley__claim claims[RANKS];
    unsigned char accepts[RANKS][DEVICES], given[RANKS][CORES];
    struct motley__binding bindings[RANKS];
    unsigned char masks[RANKS * CORES];
    struct motley_error error;
};

/* `gpus` of them, then (cpu) the CPU; cores in `domains` equal domains; every rank was given all. */
static void make(struct scene *s, int gpus, int cpu, int cores, int domains)
{
    memset(s, 0, sizeof *s);
    s->node = (struct motley__node){.cores = cores, .core = s->core, .devices = gpus + cpu, .domain = s->domain,
                                    .memory_bytes = 1000};
    for (int i = 0; i < cores; i++)
        s->core[i] = (struct motley__core){.domain = i * domains / cores, .count = 1, .cpus = {i}};
    for (int d = 0; d < gpus + cpu; d++) {
        s->domain[d] = -1;
        s->found[d].is_gpu = d < gpus;
        s->found[d].is_cpu = d >= gpus;
    }
    memset(s->accepts, 1, sizeof s->accepts);
    memset(s->given, 1, sizeof s->given);
    for (int r = 0; r < RANKS; r++)
        s->claims[r] = (struct motley__claim){.accepts = s->accepts[r], .mask = s->given[r]};
}

static int choose(struct scene *s, int ranks)
{
    memset(&s->error, 0, sizeof s->error);
    return motley__bind_choose(&s->node, s->found, s->claims, ranks, s->bindings, s->masks, &s->error);
}

/* The cores of a rank as text, "##.." */
static const char *mask(const struct scene *s, int rank)
{
    static char text[CORES + 1];
    for (int i = 0; i < s->node.cores; i++)
        text[i] = s->masks[rank * s->node.cores + i] ? '#' : '.';
    text[s->node.cores] = 0;
    return text;
}

static void gpus_first_then_the_cpu(void **state)
{
    (void)state;
    struct scene s;
    make(&s, 2, 1, 8, 1);
    assert_int_equal(choose(&s, 5), 0);
    const int devices[] = {0, 1, 2, 2, 2}, sharers[] = {1, 1, 3, 3, 3}, threads[] = {0, 0, 2, 2, 2};
    for (int r = 0; r < 5; r++) {
        assert_int_equal(s.bindings[r].device, devices[r]);
        assert_int_equal(s.bindings[r].sharers, sharers[r]);
        assert_int_equal(s.bindings[r].threads, threads[r]);
    }
    const char *const masks[] = {"#.......", ".#......", "..##....", "....##..", "......##"};
    for (int r = 0; r < 5; r++)
        assert_string_equal(mask(&s, r), masks[r]);
    assert_int_equal(s.bindings[0].memory_bytes, 0);
    assert_int_equal(s.bindings[2].memory_bytes, 800 / 3);
}

static void gpus_alone_keep_all_their_cores(void **state)
{
    (void)state;
    struct scene s;
    make(&s, 2, 1, 4, 1);
    assert_int_equal(choose(&s, 2), 0);
    for (int r = 0; r < 2; r++)
        assert_string_equal(mask(&s, r), "####");
}

static void a_kept_core_is_near_its_gpu(void **state)
{
    (void)state;
    struct scene s;
    make(&s, 2, 1, 8, 2);
    s.domain[0] = 1;
    s.domain[1] = 1;
    assert_int_equal(choose(&s, 3), 0);
    assert_string_equal(mask(&s, 0), "....#...");
    assert_string_equal(mask(&s, 1), ".....#..");
    assert_string_equal(mask(&s, 2), "####..##");
}

static void too_few_cores_to_keep(void **state)
{
    (void)state;
    struct scene s;
    make(&s, 2, 1, 2, 1);
    assert_int_equal(choose(&s, 3), 0);
    assert_string_equal(mask(&s, 0), "#.");
    assert_string_equal(mask(&s, 1), "##"); /* a second one would leave the CPU none */
    assert_string_equal(mask(&s, 2), ".#");
    make(&s, 1, 1, 1, 1);
    assert_int_equal(choose(&s, 2), 0);
    assert_string_equal(mask(&s, 0), "#");
    assert_string_equal(mask(&s, 1), "#");
    assert_int_equal(s.bindings[1].threads, 1);
}

static void sharing_is_refused_unless_asked_for(void **state)
{
    (void)state;
    struct scene s;
    make(&s, 2, 1, 8, 1);
    for (int r = 0; r < RANKS; r++)
        s.accepts[r][2] = 0; /* --devices gpu */
    assert_int_equal(choose(&s, 2), 0);
    assert_int_equal(choose(&s, 3), MOTLEY_E_INVALID);
    assert_non_null(strstr(s.error.text, "3 ranks on this node, but only 2 "));
    assert_non_null(strstr(s.error.text, "--share-gpus"));
    for (int r = 0; r < RANKS; r++)
        s.claims[r].share_gpus = 1;
    assert_int_equal(choose(&s, 5), 0);
    const int devices[] = {0, 1, 0, 1, 0}, sharers[] = {3, 2, 3, 2, 3};
    for (int r = 0; r < 5; r++) {
        assert_int_equal(s.bindings[r].device, devices[r]);
        assert_int_equal(s.bindings[r].sharers, sharers[r]);
    }
}

/* A launcher that shows each rank its own GPU, and ranks with different options. */
static void ranks_may_accept_different_devices(void **state)
{
    (void)state;
    struct scene s;
    make(&s, 2, 1, 4, 1);
    s.accepts[0][0] = 0;
    s.accepts[1][0] = s.accepts[1][1] = 0;
    assert_int_equal(choose(&s, 3), 0);
    assert_int_equal(s.bindings[0].device, 1);
    assert_int_equal(s.bindings[1].device, 2);
    assert_int_equal(s.bindings[2].device, 0);
}

static void domains_are_split_first(void **state)
{
    (void)state;
    struct scene s;
    const char *const three[] = {"##......", "..##....", "....####"};
    const char *const two_of_four[] = {"####....", "....####"};
    make(&s, 0, 1, 8, 2);
    assert_int_equal(choose(&s, 3), 0);
    for (int r = 0; r < 3; r++)
        assert_string_equal(mask(&s, r), three[r]);
    make(&s, 0, 1, 8, 4);
    assert_int_equal(choose(&s, 2), 0);
    for (int r = 0; r < 2; r++)
        assert_string_equal(mask(&s, r), two_of_four[r]);
}

static void beyond_the_cores_one_thread_each(void **state)
{
    (void)state;
    struct scene s;
    const char *const masks[] = {"#.", "#.", "#.", ".#", ".#"};
    make(&s, 0, 1, 2, 1);
    assert_int_equal(choose(&s, 5), 0);
    for (int r = 0; r < 5; r++) {
        assert_string_equal(mask(&s, r), masks[r]);
        assert_int_equal(s.bindings[r].threads, 1);
        assert_int_equal(s.bindings[r].cores, 1);
    }
}

static void the_launchers_masks_are_respected(void **state)
{
    (void)state;
    struct scene s;
    const char *const masks[] = {"#...", ".##.", "...#"};
    make(&s, 0, 1, 4, 1);
    for (int r = 0; r < 3; r++)
        for (int i = 0; i < 4; i++)
            s.given[r][i] = masks[r][i] == '#';
    assert_int_equal(choose(&s, 3), 0);
    for (int r = 0; r < 3; r++)
        assert_string_equal(mask(&s, r), masks[r]);
    assert_int_equal(s.bindings[1].threads, 2);

    /* Two groups of two ranks, as with one mask per NUMA domain. */
    const char *const halves[] = {"#...", "..#.", ".#..", "...#"};
    for (int r = 0; r < 4; r++)
        for (int i = 0; i < 4; i++)
            s.given[r][i] = r % 2 == i / 2;
    assert_int_equal(choose(&s, 4), 0);
    for (int r = 0; r < 4; r++)
        assert_string_equal(mask(&s, r), halves[r]);
}

static void options_and_quotas_set_the_threads(void **state)
{
    (void)state;
    struct scene s;
    make(&s, 0, 1, 8, 1);
    s.node.quota = 2.5;
    assert_int_equal(choose(&s, 1), 0);
    assert_int_equal(s.bindings[0].threads, 3);
    assert_int_equal(s.bindings[0].cores, 8);
    s.node.quota = 0.3;
    assert_int_equal(choose(&s, 2), 0);
    assert_int_equal(s.bindings[1].threads, 1);
    s.node.quota = 100;
    assert_int_equal(choose(&s, 1), 0);
    assert_int_equal(s.bindings[0].threads, 8);
    s.claims[0].threads = 5;
    assert_int_equal(choose(&s, 1), 0);
    assert_int_equal(s.bindings[0].threads, 5);
}

/* No core the system knows: ranks still get a device and a thread. */
static void no_cores_at_all(void **state)
{
    (void)state;
    struct scene s;
    make(&s, 0, 1, 4, 1);
    memset(s.given, 0, sizeof s.given);
    assert_int_equal(choose(&s, 2), 0);
    assert_string_equal(mask(&s, 1), "....");
    assert_int_equal(s.bindings[1].threads, 1);
}

/* What must hold for one answer where every rank was given every core. */
static void check_rules(const struct scene *s, int ranks, int gpus, int cores)
{
    int used[CORES] = {0}, cpu_ranks = ranks > gpus ? ranks - gpus : 0, kept = 0, least = CORES, most = 0;
    for (int r = 0; r < ranks; r++) {
        int count = 0, domains[CORES] = {0}, spread = 0;
        assert_int_equal(s->bindings[r].device, r < gpus ? r : gpus);
        for (int i = 0; i < cores; i++)
            if (s->masks[r * cores + i]) {
                count++;
                used[i] += r >= gpus;
                domains[s->core[i].domain] = 1;
            }
        for (int i = 0; i < CORES; i++)
            spread += domains[i];
        assert_true(count > 0);
        assert_int_equal(s->bindings[r].cores, count);
        if (r < gpus) {
            kept += count == 1;
            continue;
        }
        assert_int_equal(s->bindings[r].threads, count);
        least = count < least ? count : least;
        most = count > most ? count : most;
        if (cpu_ranks >= s->core[cores - 1].domain + 1)
            assert_int_equal(spread, 1);
    }
    if (cpu_ranks == 0)
        return;
    for (int i = 0; i < cores && cpu_ranks <= cores - kept; i++)
        assert_true(used[i] <= 1); /* enough cores: none is shared between CPU ranks */
    assert_true(kept == (ranks < gpus ? ranks : gpus) || kept >= cores - 1);
    if (s->core[cores - 1].domain == 0)
        assert_true(most - least <= 1);
}

/* Every small node: the rules, and each CPU core in use. */
static void rules_hold_on_every_small_node(void **state)
{
    (void)state;
    struct scene s;
    for (int gpus = 0; gpus <= 4; gpus++)
        for (int cores = 1; cores <= 12; cores++)
            for (int domains = 1; domains <= cores && domains <= 4; domains++)
                for (int ranks = 1; ranks <= 16; ranks++) {
                    make(&s, gpus, 1, cores, domains);
                    for (int d = 0; d < gpus; d++)
                        s.domain[d] = d % domains;
                    assert_int_equal(choose(&s, ranks), 0);
                    check_rules(&s, ranks, gpus, cores);
                }
}

/* hwloc's made-up machines: two domains of two cores of two hardware threads. */
static void topologies_become_nodes(void **state)
{
    (void)state;
    hwloc_topology_t topology;
    struct motley__node node;
    struct motley__found found = {.is_gpu = 1, .locality = "0000:65:00.0"};
    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, "[numa(memory=1GB)] pack:2 [numa] core:2 pu:2"), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    assert_int_equal(motley__node_from_topology(topology, &found, 1, &node, NULL), 0);
    assert_int_equal(node.cores, 4);
    assert_int_equal(node.domain[0], -1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(node.core[i].count, 2);
        assert_int_equal(node.core[i].cpus[0], 2 * i);
        assert_int_equal(node.core[i].cpus[1], 2 * i + 1);
    }
    assert_int_equal(node.core[0].domain, node.core[1].domain);
    assert_int_equal(node.core[2].domain, node.core[3].domain);
    assert_int_not_equal(node.core[1].domain, node.core[2].domain);
    motley__node_destroy(&node);
    hwloc_topology_destroy(topology);
}

static void lists_of_devices(void **state)
{
    (void)state;
    struct motley__found gpu = {.is_gpu = 1, .name = "NVIDIA H200"}, cpu = {.is_cpu = 1, .name = "pthread-EPYC"};
    assert_true(motley__bind_accepts(NULL, &gpu) && motley__bind_accepts("", &cpu));
    assert_true(motley__bind_accepts("gpu", &gpu) && !motley__bind_accepts("gpu", &cpu));
    assert_true(motley__bind_accepts("CPU", &cpu) && !motley__bind_accepts("cpu", &gpu));
    assert_true(motley__bind_accepts("gpu,cpu", &gpu) && motley__bind_accepts("gpu,cpu", &cpu));
    assert_true(motley__bind_accepts("h200", &gpu) && !motley__bind_accepts("h200", &cpu));
    assert_true(motley__bind_accepts("mi300,epyc", &cpu) && !motley__bind_accepts("mi300", &cpu));
    assert_false(motley__bind_accepts(",", &cpu));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpus_first_then_the_cpu),
        cmocka_unit_test(gpus_alone_keep_all_their_cores),
        cmocka_unit_test(a_kept_core_is_near_its_gpu),
        cmocka_unit_test(too_few_cores_to_keep),
        cmocka_unit_test(sharing_is_refused_unless_asked_for),
        cmocka_unit_test(ranks_may_accept_different_devices),
        cmocka_unit_test(domains_are_split_first),
        cmocka_unit_test(beyond_the_cores_one_thread_each),
        cmocka_unit_test(the_launchers_masks_are_respected),
        cmocka_unit_test(options_and_quotas_set_the_threads),
        cmocka_unit_test(no_cores_at_all),
        cmocka_unit_test(rules_hold_on_every_small_node),
        cmocka_unit_test(topologies_become_nodes),
        cmocka_unit_test(lists_of_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
