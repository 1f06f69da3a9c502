/* Kernels by name, from files that a test writes.
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
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "device.h"
#include "device/program.h"
#include "device/queue.h"

static struct motley__device *device;
static struct motley_error error;
static char folder[64], *own_cache;

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(motley__file_write(path, text, strlen(text), NULL), 0);
}

/* Each test has its own sources and cache, and no programs from before. */
static int set_up(void **state)
{
    (void)state;
    char path[256];
    memset(&error, 0, sizeof error);
    strcpy(folder, "/tmp/motley-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/cpu", folder);
    if (motley__directory_make(path, NULL))
        return -1;
    snprintf(path, sizeof path, "%s/cache", folder);
    own_cache = device->cache;
    device->cache = strdup(path);
    device->compiles_at_launch = 0; /* so that programs are cached here too */
    setenv("MOTLEY_CL_DIR", folder, 1);
    return motley__directory_make(path, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    char path[256];
    motley__programs_release(device);
    free(device->cache);
    device->cache = own_cache;
    unsetenv("MOTLEY_CL_DIR");
    snprintf(path, sizeof path, "%s/cache", folder);
    motley__directory_remove(path, NULL);
    snprintf(path, sizeof path, "%s/cpu", folder);
    motley__directory_remove(path, NULL);
    return motley__directory_remove(folder, NULL);
}

/* What kernel `name` writes into the one int that it is given. */
static int result_of(cl_kernel kernel)
{
    struct motley__buffer *out;
    int value = -1;
    assert_int_equal(motley__buffer_create(device, sizeof value, &out, &error), 0);
    assert_int_equal(motley__launch(device, kernel, ((struct motley__range){.global = {1}}), &error,
                                    MOTLEY__BUFFER(out)), 0);
    assert_int_equal(motley__buffer_read(out, 0, &value, sizeof value, &error), 0);
    motley__buffer_destroy(out);
    return value;
}

static void options_make_programs(void **state)
{
    (void)state;
    cl_kernel one, two, again, other;
    put("a.cl", "kernel void f(global int *x) { *x = V; }\nkernel void g(global int *x) { *x = -V; }\n");
    assert_int_equal(motley__kernel(device, "a.cl", "-DV=1", "f", &one, &error), 0);
    assert_int_equal(motley__kernel(device, "a.cl", "-DV=2", "f", &two, &error), 0);
    assert_int_equal(motley__kernel(device, "a.cl", "-DV=2", "g", &other, &error), 0);
    assert_int_equal(result_of(one), 1);
    assert_int_equal(result_of(two), 2);
    assert_int_equal(result_of(other), -2);
    put("a.cl", "no longer a kernel"); /* built once: not read again */
    assert_int_equal(motley__kernel(device, "a.cl", "-DV=1", "f", &again, &error), 0);
    assert_ptr_equal(one, again);
}

static void includes_are_found(void **state)
{
    (void)state;
    cl_kernel kernel;
    put("tile.h", "#ifndef TILE\n#define TILE 5\n#endif\n");
    put("more.h", "  #  include \"tile.h\"\n#define MORE (TILE + 1)");
    put("cpu/a.cl", "#include \"tile.h\"\n#include \"more.h\"\n"
                   "kernel void f(global int *x) { *x = 10 * TILE + MORE; }\n");
    assert_int_equal(motley__kernel(device, "cpu/a.cl", "", "f", &kernel, &error), 0);
    assert_int_equal(result_of(kernel), 56);
}

static void lines_are_those_of_the_files(void **state)
{
    (void)state;
    char *text;
    put("b.h", "int b;\n");
    put("a.cl", "// one\n#include \"b.h\"\n#include <c.h>\n#include \"absent.h\"\nint a;");
    assert_int_equal(motley__source_text("a.cl", &text, &error), 0);
    assert_string_equal(text, "#line 1 \"cl/a.cl\"\n// one\n#line 1 \"cl/b.h\"\nint b;\n#line 3 \"cl/a.cl\"\n"
                              "#include <c.h>\n#include \"absent.h\"\nint a;\n");
    free(text);
}

static void endless_includes_are_refused(void **state)
{
    (void)state;
    char *text;
    put("a.cl", "#include \"a.cl\"\n");
    assert_int_equal(motley__source_text("a.cl", &text, &error), MOTLEY_E_BUILD);
    assert_non_null(strstr(error.text, "nest deeper"));
}

static void a_wrong_kernel_says_where(void **state)
{
    (void)state;
    cl_kernel kernel;
    put("a.cl", "\n\nkernel void f(global int *x) { *x = undeclared_name; }\n");
    assert_int_equal(motley__kernel(device, "a.cl", "-DQ", "f", &kernel, &error), MOTLEY_E_BUILD);
    assert_non_null(strstr(error.text, "-DQ\" does not build on "));
    assert_non_null(strstr(error.text, "undeclared_name"));
    assert_non_null(strstr(error.text, "a.cl:3"));
    assert_null(device->programs);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    cl_kernel kernel;
    assert_int_equal(motley__kernel(device, "none.cl", "", "f", &kernel, &error), MOTLEY_E_BUILD);
    assert_non_null(strstr(error.text, "cl/none.cl"));
    memset(&error, 0, sizeof error);
    put("a.cl", "kernel void f(global int *x) { *x = 1; }\n");
    assert_int_equal(motley__kernel(device, "a.cl", "", "g", &kernel, &error), MOTLEY_E_BUILD);
    assert_string_equal(error.text, "cl/a.cl has no kernel g");
}

/* The one program file in the cache: reads it, or puts other bytes in its place. */
static char *cached(size_t *count)
{
    char command[256], path[256] = "", *bytes;
    snprintf(command, sizeof command, "ls %s/*.bin", device->cache);
    FILE *list = popen(command, "r");
    assert_non_null(list);
    assert_non_null(fgets(path, sizeof path, list));
    char more[8];
    assert_null(fgets(more, sizeof more, list));
    pclose(list);
    path[strcspn(path, "\n")] = 0;
    assert_int_equal(motley__file_read(path, &bytes, count, NULL), 0);
    return bytes;
}

static void a_second_start_takes_it_from_disk(void **state)
{
    (void)state;
    cl_kernel kernel;
    size_t first, second;
    put("a.cl", "kernel void f(global int *x) { *x = 7; }\n");
    assert_int_equal(motley__kernel(device, "a.cl", "", "f", &kernel, &error), 0);
    char *before = cached(&first);
    motley__programs_release(device);
    assert_int_equal(motley__kernel(device, "a.cl", "", "f", &kernel, &error), 0);
    assert_int_equal(result_of(kernel), 7);
    char *after = cached(&second);
    assert_int_equal(first, second);
    assert_memory_equal(before, after, first);
    free(before);
    free(after);
}

static void a_binary_the_driver_refuses_is_replaced(void **state)
{
    (void)state;
    cl_kernel kernel;
    size_t good, count;
    put("a.cl", "kernel void f(global int *x) { *x = 8; }\n");
    assert_int_equal(motley__kernel(device, "a.cl", "", "f", &kernel, &error), 0);
    char *bytes = cached(&good), *key = bytes + 40;
    uint64_t key_bytes;
    memcpy(&key_bytes, bytes + 24, sizeof key_bytes);
    key = strndup(key, key_bytes);
    free(bytes);
    /* A well-formed entry under the right key that holds no program of this driver. */
    motley__cache_store(device, key, (const unsigned char *)"not a program", 13);
    motley__programs_release(device);
    assert_int_equal(motley__kernel(device, "a.cl", "", "f", &kernel, &error), 0);
    assert_int_equal(result_of(kernel), 8);
    bytes = cached(&count);
    assert_int_equal(count, good);
    free(bytes);
    free(key);
}

static void no_cache_is_fine(void **state)
{
    (void)state;
    cl_kernel kernel;
    char *kept = device->cache;
    put("a.cl", "kernel void f(global int *x) { *x = 9; }\n");
    device->cache = NULL;
    assert_int_equal(motley__kernel(device, "a.cl", "", "f", &kernel, &error), 0);
    assert_int_equal(result_of(kernel), 9);
    device->cache = (char *)"/nonexistent/folder";
    motley__programs_release(device);
    assert_int_equal(motley__kernel(device, "a.cl", "", "f", &kernel, &error), 0);
    assert_int_equal(result_of(kernel), 9);
    device->cache = kept;
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    if (motley__test_device(&device))
        return 1;
    const struct CMUnitTest tests[] = {
        EACH(options_make_programs),
        EACH(includes_are_found),
        EACH(lines_are_those_of_the_files),
        EACH(endless_includes_are_refused),
        EACH(a_wrong_kernel_says_where),
        EACH(what_is_missing_is_named),
        EACH(a_second_start_takes_it_from_disk),
        EACH(a_binary_the_driver_refuses_is_replaced),
        EACH(no_cache_is_fine),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    motley__device_close(device);
    return failed;
}
