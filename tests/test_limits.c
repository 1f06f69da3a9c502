/* Limits of control groups, in made-up file trees.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "device/node.h"

static char root[64];

static void put(const char *path, const char *text)
{
    char *whole, *folder;
    assert_int_equal(motley__format(&whole, NULL, "%s/%s", root, path), 0);
    folder = strdup(whole);
    *strrchr(folder, '/') = 0;
    assert_int_equal(motley__directory_make(folder, NULL), 0);
    assert_int_equal(motley__file_write(whole, text, strlen(text), NULL), 0);
    free(folder);
    free(whole);
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *where)
{
    (void)facts, (void)kind, (void)where;
    return remove(path);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(root, "/tmp/motley-test-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void no_groups_no_limits(void **state)
{
    (void)state;
    assert_int_equal(motley__limit_memory(root), 0);
    assert_true(motley__limit_cores(root) == 0);
    put("proc/self/cgroup", "0::/\n");
    assert_int_equal(motley__limit_memory(root), 0);
}

static void version_2(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/job/step\n");
    put("sys/fs/cgroup/job/memory.max", "1000000\n");
    put("sys/fs/cgroup/job/step/memory.max", "max\n");
    put("sys/fs/cgroup/job/step/cpu.max", "150000 100000\n");
    put("sys/fs/cgroup/job/cpu.max", "max 100000\n");
    assert_int_equal(motley__limit_memory(root), 1000000);
    assert_true(motley__limit_cores(root) == 1.5);
    put("sys/fs/cgroup/job/step/memory.max", "999999\n");
    assert_int_equal(motley__limit_memory(root), 999999);
}

static void version_1(void **state)
{
    (void)state;
    put("proc/self/cgroup", "4:memory:/a\n3:cpuacct,cpu:/b\n1:name=systemd:/\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "5000\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/cpu/b/cpu.cfs_quota_us", "1000\n");
    put("sys/fs/cgroup/cpu/b/cpu.cfs_period_us", "4000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(motley__limit_memory(root), 5000);
    assert_true(motley__limit_cores(root) == 0.25);
}

/* In a container the group's path is often that of the outside; the mount's root is the container's group. */
static void a_path_that_is_not_there(void **state)
{
    (void)state;
    put("proc/self/cgroup", "4:memory:/docker/0123456789\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "7000\n");
    assert_int_equal(motley__limit_memory(root), 7000);
}

static void this_machine_has_a_node(void **state)
{
    (void)state;
    struct motley__node node;
    struct motley__cpus cpus, wider;
    struct motley_error error = {0};
    int given = 0;
    assert_int_equal(motley__node_create(NULL, 0, &node, &error), 0);
    assert_true(node.cores > 0 && node.memory_bytes > 1 << 20);
    assert_int_equal(motley__cpus_given(&cpus, &wider, &error), 0);
    for (int i = 0; i < node.cores; i++)
        for (int k = 0; k < node.core[i].count; k++) {
            int cpu = node.core[i].cpus[k];
            given += motley__cpus_has(&cpus, cpu);
            assert_true(motley__cpus_has(&wider, cpu) >= motley__cpus_has(&cpus, cpu));
        }
    assert_true(given > 0);
    motley__node_destroy(&node);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TREE(no_groups_no_limits),      IN_TREE(version_2), IN_TREE(version_1),
        IN_TREE(a_path_that_is_not_there), cmocka_unit_test(this_machine_has_a_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
