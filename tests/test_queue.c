/* Launching kernels and waiting for them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "device.h"
#include "device/program.h"
#include "device/queue.h"

static struct motley__device *device;
static struct motley_error error;

static const char *const source =
    "typedef struct { int n, add; } args;\n"
    "kernel void mark(args a, global int *x, global int *y) {\n"
    "    int i = get_global_id(0) + get_global_size(0) * (get_global_id(1) + get_global_size(1) * get_global_id(2));\n"
    "    if (i < a.n) x[i] = x[i] + a.add + (y ? 1000 : 0);\n"
    "}\n"
    "kernel void sizes(global int *x, local int *l) {\n"
    "    l[get_local_id(0)] = 1;\n"
    "    x[0] = get_global_size(0); x[1] = get_local_size(0); x[2] = get_work_dim(); x[3] = get_global_size(1);\n"
    "}\n"
    "kernel void slow(global float *x) {\n"
    "    float v = x[get_global_id(0)];\n"
    "    for (int i = 0; i < 20000000; i++) v = v * 0.999f + 1.0f;\n"
    "    x[get_global_id(0)] = v;\n"
    "}\n";

struct args {
    int n, add;
};

static cl_kernel kernel(const char *name)
{
    cl_kernel found;
    assert_int_equal(motley__kernel(device, "queue.cl", "", name, &found, &error), 0);
    return found;
}

static struct motley__buffer *zeroed(size_t bytes)
{
    struct motley__buffer *buffer;
    assert_int_equal(motley__buffer_create(device, bytes, &buffer, &error), 0);
    assert_int_equal(motley__buffer_zero(buffer, 0, bytes, &error), 0);
    return buffer;
}

static void arguments_arrive(void **state)
{
    (void)state;
    struct args args = {100, 7};
    struct motley__buffer *x = zeroed(400), *none = NULL;
    int out[100];
    for (int round = 0; round < 2; round++)
        assert_int_equal(motley__launch(device, kernel("mark"), ((struct motley__range){.global = {100}}), &error,
                                        MOTLEY__VALUE(args), MOTLEY__BUFFER(x), MOTLEY__BUFFER(none)), 0);
    assert_int_equal(motley__launch(device, kernel("mark"), ((struct motley__range){.global = {0}}), &error,
                                    MOTLEY__VALUE(args), MOTLEY__BUFFER(x), MOTLEY__BUFFER(x)), 0);
    assert_int_equal(motley__buffer_read(x, 0, out, sizeof out, &error), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(out[i], 14);
    motley__buffer_destroy(x);
}

static void ranges_of_three_dimensions(void **state)
{
    (void)state;
    struct args args = {60, 1};
    struct motley__buffer *x = zeroed(240);
    int out[60];
    assert_int_equal(motley__launch(device, kernel("mark"), ((struct motley__range){{3, 4, 5}, {3, 2, 1}}), &error,
                                    MOTLEY__VALUE(args), MOTLEY__BUFFER(x), MOTLEY__BUFFER(x)), 0);
    assert_int_equal(motley__buffer_read(x, 0, out, sizeof out, &error), 0);
    for (int i = 0; i < 60; i++)
        assert_int_equal(out[i], 1001);
    motley__buffer_destroy(x);
}

static void ranges_are_rounded_up_to_groups(void **state)
{
    (void)state;
    struct motley__buffer *x = zeroed(16);
    int out[4];
    assert_int_equal(motley__launch(device, kernel("sizes"), ((struct motley__range){{9}, {4}}), &error,
                                    MOTLEY__BUFFER(x), MOTLEY__LOCAL(4 * sizeof(int))), 0);
    assert_int_equal(motley__buffer_read(x, 0, out, sizeof out, &error), 0);
    assert_int_equal(out[0], 12);
    assert_int_equal(out[1], 4);
    assert_int_equal(out[2], 1);
    assert_int_equal(out[3], 1);
    motley__buffer_destroy(x);
}

static void a_wrong_argument_is_named(void **state)
{
    (void)state;
    struct motley__buffer *x = zeroed(16);
    struct args args = {1, 1};
    int more = 0;
    assert_int_equal(motley__launch(device, kernel("mark"), ((struct motley__range){.global = {1}}), &error,
                                    MOTLEY__VALUE(args), MOTLEY__BUFFER(x), MOTLEY__BUFFER(x), MOTLEY__VALUE(more)),
                     MOTLEY_E_DEVICE);
    assert_non_null(strstr(error.text, "kernel mark, argument 3 of 4 bytes"));
    memset(&error, 0, sizeof error);
    size_t beyond = 16 * device->max_group;
    assert_int_not_equal(motley__launch(device, kernel("sizes"), ((struct motley__range){{beyond}, {beyond}}), &error,
                                        MOTLEY__BUFFER(x), MOTLEY__LOCAL(4)), 0);
    assert_non_null(strstr(error.text, "kernel sizes over"));
    memset(&error, 0, sizeof error);
    motley__buffer_destroy(x);
}

/* The marker of a kernel that takes a while is not done at once, and is in the end. */
static void markers_follow_the_queue(void **state)
{
    (void)state;
    struct motley__buffer *x = zeroed(256);
    cl_event marker;
    int done = -1, polls = 0;
    assert_int_equal(motley__launch(device, kernel("slow"), ((struct motley__range){{1}, {1}}), &error,
                                    MOTLEY__BUFFER(x)), 0);
    assert_int_equal(motley__queue_wait(device, &error), 0); /* compiled by now */
    assert_int_equal(motley__launch(device, kernel("slow"), ((struct motley__range){{1}, {1}}), &error,
                                    MOTLEY__BUFFER(x)), 0);
    assert_int_equal(motley__queue_marker(device, &marker, &error), 0);
    assert_int_equal(motley__event_done(marker, &done, &error), 0);
    assert_int_equal(done, 0);
    for (; !done && polls < 20000; polls++) {
        motley__sleep(1e-3);
        assert_int_equal(motley__event_done(marker, &done, &error), 0);
    }
    assert_int_equal(done, 1);
    clReleaseEvent(marker);
    motley__buffer_destroy(x);
}

/* Both ways of waiting: that of a CPU's runtime and that of a GPU's driver. */
static void waiting_waits(void **state)
{
    (void)state;
    struct motley__buffer *x = zeroed(256);
    int kept = device->is_cpu;
    for (int way = 0; way < 2; way++) {
        cl_event marker;
        int done = 0;
        device->is_cpu = way;
        assert_int_equal(motley__launch(device, kernel("slow"), ((struct motley__range){{1}, {1}}), &error,
                                        MOTLEY__BUFFER(x)), 0);
        assert_int_equal(motley__queue_marker(device, &marker, &error), 0);
        assert_int_equal(motley__queue_wait(device, &error), 0);
        assert_int_equal(motley__event_done(marker, &done, &error), 0);
        assert_int_equal(done, 1);
        clReleaseEvent(marker);
    }
    device->is_cpu = kept;
    motley__buffer_destroy(x);
}

int main(void)
{
    char folder[] = "/tmp/motley-test-XXXXXX", path[64];
    if (motley__test_device(&device) || !mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/queue.cl", folder);
    if (motley__file_write(path, source, strlen(source), NULL))
        return 1;
    setenv("MOTLEY_CL_DIR", folder, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_arrive),
        cmocka_unit_test(ranges_of_three_dimensions),
        cmocka_unit_test(ranges_are_rounded_up_to_groups),
        cmocka_unit_test(a_wrong_argument_is_named),
        cmocka_unit_test(markers_follow_the_queue),
        cmocka_unit_test(waiting_waits),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    motley__directory_remove(folder, NULL);
    motley__device_close(device);
    return failed;
}
