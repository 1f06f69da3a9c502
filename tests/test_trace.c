/* The trace file of all ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/trace.h"

enum { SPANS = 3000 }; /* more than one message holds */

static int rank, size;
static char path[64];

/* The ranks of a test share one machine and its clock: aligned times are this clock's times. */
static void check_span(json_t *event, int index, double begin)
{
    assert_string_equal(json_string_value(json_object_get(event, "name")), index % 2 ? "send" : "multiply");
    assert_int_equal(json_integer_value(json_object_get(event, "tid")), index % 2);
    assert_true(fabs(json_number_value(json_object_get(event, "ts")) - 1e6 * (begin + index)) < 2e5);
    assert_true(fabs(json_number_value(json_object_get(event, "dur")) - 5e5) < 1);
}

static void check_file(const double *begins)
{
    json_error_t reason;
    json_t *root = json_load_file(path, 0, &reason), *event;
    size_t i;
    int seen[size];
    memset(seen, 0, sizeof seen);
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "traceEvents"), i, event) {
        int pid = (int)json_integer_value(json_object_get(event, "pid"));
        assert_in_range(pid, 0, size - 1);
        if (!strcmp(json_string_value(json_object_get(event, "ph")), "X"))
            check_span(event, seen[pid]++, begins[pid]);
    }
    for (int r = 0; r < size; r++)
        assert_int_equal(seen[r], r == 1 ? 0 : SPANS);
    json_decref(root);
}

/* Rank 1 has nothing to tell. */
static void spans_of_all_ranks(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct motley__trace *trace;
    double begin = motley__seconds(), begins[size];
    assert_int_equal(motley__trace_create(MPI_COMM_WORLD, 0, path, &trace, &error), 0);
    for (int i = 0; i < SPANS && rank != 1; i++)
        motley__trace_span(trace, i % 2, i % 2 ? "send" : "multiply", begin + i, begin + i + 0.5);
    assert_int_equal(motley__trace_write(trace, &error), 0);
    motley__trace_destroy(trace);
    MPI_Gather(&begin, 1, MPI_DOUBLE, begins, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    if (rank == 0)
        check_file(begins);
    if (rank == 0)
        unlink(path);
}

static void no_trace_is_fine(void **state)
{
    (void)state;
    motley__trace_span(NULL, 0, "x", 0, 1);
    motley__trace_destroy(NULL);
}

static void a_bad_place_is_everybodys_error(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct motley__trace *trace;
    assert_int_equal(motley__trace_create(MPI_COMM_WORLD, 0, "/no/where/trace.json", &trace, &error), 0);
    motley__trace_span(trace, 0, "x", 0, 1);
    assert_int_equal(motley__trace_write(trace, &error), MOTLEY_E_IO);
    assert_int_equal(error.rank, 0);
    assert_non_null(strstr(error.text, "/no/where/trace.json"));
    motley__trace_destroy(trace);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    snprintf(path, sizeof path, "/tmp/motley-trace-%ld.json", (long)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_of_all_ranks),
        cmocka_unit_test(no_trace_is_fine),
        cmocka_unit_test(a_bad_place_is_everybodys_error),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
