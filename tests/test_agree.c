/* All ranks leave with the same error.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static int rank, size;

static void nobody_failed(void **state)
{
    (void)state;
    struct motley_error error = {0};
    assert_int_equal(motley__agree(MPI_COMM_WORLD, 0, &error), 0);
    assert_int_equal(error.code, 0);
    assert_int_equal(motley__agree(MPI_COMM_WORLD, 0, NULL), 0);
}

static void one_rank_failed(void **state)
{
    (void)state;
    for (int failing = 0; failing < size; failing++) {
        struct motley_error error = {0};
        int code = rank == failing ? motley__fail(&error, MOTLEY_E_FORMAT, "rank %d saw it", rank) : 0;
        assert_int_equal(motley__agree(MPI_COMM_WORLD, code, &error), MOTLEY_E_FORMAT);
        char expected[64];
        snprintf(expected, sizeof expected, "rank %d saw it", failing);
        assert_int_equal(error.code, MOTLEY_E_FORMAT);
        assert_int_equal(error.rank, failing);
        assert_string_equal(error.text, expected);
    }
}

static void the_lowest_of_several_speaks(void **state)
{
    (void)state;
    int lowest = size > 1 ? 1 : 0;
    struct motley_error error = {0};
    int code = rank >= lowest ? motley__fail(&error, MOTLEY_E_INVALID - rank, "rank %d", rank) : 0;
    assert_int_equal(motley__agree(MPI_COMM_WORLD, code, &error), MOTLEY_E_INVALID - lowest);
    assert_int_equal(error.rank, lowest);
}

static void an_agreed_error_is_agreed_again(void **state)
{
    (void)state;
    struct motley_error error = {0};
    int code = rank == size - 1 ? motley__fail(&error, MOTLEY_E_IO, "once") : 0;
    code = motley__agree(MPI_COMM_WORLD, code, &error);
    assert_int_equal(motley__agree(MPI_COMM_WORLD, code, &error), MOTLEY_E_IO);
    assert_string_equal(error.text, "once");
}

/* A rank that keeps no error still gives its code, and the others a sentence. */
static void ranks_without_an_error_take_part(void **state)
{
    (void)state;
    struct motley_error error = {0};
    int code = motley__agree(MPI_COMM_WORLD, rank == 0 ? MOTLEY_E_MEMORY : 0, rank == 0 ? NULL : &error);
    assert_int_equal(code, MOTLEY_E_MEMORY);
    if (rank > 0)
        assert_string_equal(error.text, motley_status_name(MOTLEY_E_MEMORY));
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_failed),
        cmocka_unit_test(one_rank_failed),
        cmocka_unit_test(the_lowest_of_several_speaks),
        cmocka_unit_test(an_agreed_error_is_agreed_again),
        cmocka_unit_test(ranks_without_an_error_take_part),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
