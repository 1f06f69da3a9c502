/* Ranks of this machine take their devices and cores.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/node.h"

static int rank, size;

/* The first call fails for everybody: it leaves this process without an OpenCL call, as the next test needs it. */
static void devices_that_are_not_there(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct motley_context_options options = {.devices = size > 1 && rank == 0 ? NULL : "no such device"};
    struct motley__found *found;
    struct motley__binding binding;
    int count;
    assert_int_equal(motley__bind(MPI_COMM_WORLD, &options, &found, &count, &binding, &error), MOTLEY_E_INVALID);
    assert_int_equal(error.rank, size > 1 ? 1 : 0);
    assert_non_null(strstr(error.text, "--devices no such device matches none"));
}

/* Ranks that share cores have one thread; those that do not have theirs alone. */
static void cpu_ranks_split_the_cores(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct motley_context_options options = {.devices = "cpu"};
    struct motley__found *found;
    struct motley__binding binding, all[size];
    struct motley__device *device;
    struct motley__log log = {.rank = rank};
    cpu_set_t mask, masks[size];
    int count;
    if (motley__bind(MPI_COMM_WORLD, &options, &found, &count, &binding, &error))
        fail_msg("%s", error.text);
    assert_in_range(binding.device, 0, count - 1);
    assert_true(found[binding.device].is_cpu);
    assert_int_equal(binding.sharers, size);
    assert_true(binding.threads > 0 && binding.memory_bytes > 0);
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    assert_true(CPU_COUNT(&mask) >= binding.cores);

    MPI_Allgather(&binding, sizeof binding, MPI_BYTE, all, sizeof binding, MPI_BYTE, MPI_COMM_WORLD);
    MPI_Allgather(&mask, sizeof mask, MPI_BYTE, masks, sizeof mask, MPI_BYTE, MPI_COMM_WORLD);
    for (int r = 0; r < size; r++) {
        cpu_set_t both;
        CPU_AND(&both, &mask, &masks[r]);
        assert_true(r == rank || CPU_COUNT(&both) == 0 || (binding.cores == 1 && all[r].cores == 1));
    }

    /* The runtime really has that many threads. */
    assert_int_equal(motley__device_open(&found[binding.device], &binding, &options, &log, &device, &error), 0);
    if (strstr(device->info.platform, "Portable Computing Language"))
        assert_int_equal(device->compute_units, binding.threads);
    assert_int_equal(device->info.cores, binding.cores);
    assert_int_equal(device->memory_bytes, binding.memory_bytes);
    motley__device_close(device);
    free(found);
}

static void a_memory_limit_is_kept(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct motley_context_options options = {.devices = "cpu", .memory_limit = 12345678};
    struct motley__found *found;
    struct motley__binding binding;
    struct motley__device *device;
    int count;
    assert_int_equal(motley__bind(MPI_COMM_WORLD, &options, &found, &count, &binding, &error), 0);
    assert_int_equal(motley__device_open(&found[binding.device], &binding, &options, NULL, &device, &error), 0);
    assert_int_equal(device->memory_bytes, 12345678);
    assert_int_equal(device->info.memory_bytes, 12345678);
    motley__device_close(device);
    free(found);
}

int main(int argc, char **argv)
{
    setenv("HWLOC_COMPONENTS", "-opencl", 0); /* else MPI_Init makes the first OpenCL call of a lone process */
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    struct motley__found *found = NULL;
    int count = 0, missing = motley__discover_in_child(&found, &count, NULL) || !found[count - 1].is_cpu;
    free(found);
    if (missing) {
        fprintf(stderr, "no CPU device on this machine\n");
        MPI_Finalize();
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_that_are_not_there),
        cmocka_unit_test(cpu_ranks_split_the_cores),
        cmocka_unit_test(a_memory_limit_is_kept),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
