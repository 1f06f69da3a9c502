/* Recording a failure.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void first_failure_is_kept(void **state)
{
    (void)state;
    struct motley_error error = {0};
    assert_int_equal(motley__fail(&error, MOTLEY_E_INVALID, "K is %d", 9), MOTLEY_E_INVALID);
    assert_int_equal(motley__fail(&error, MOTLEY_E_IO, "later"), MOTLEY_E_INVALID);
    assert_int_equal(error.code, MOTLEY_E_INVALID);
    assert_int_equal(error.rank, -1);
    assert_string_equal(error.text, "K is 9");
}

static void no_error_struct_is_fine(void **state)
{
    (void)state;
    assert_int_equal(motley__fail(NULL, MOTLEY_E_IO, "x"), MOTLEY_E_IO);
    assert_int_equal(motley__fail_in(NULL, MOTLEY_E_IO, "x"), MOTLEY_E_IO);
    assert_int_equal(motley__fail_mpi(NULL, MPI_SUCCESS, "x"), 0);
}

static void a_sentence_is_one_line(void **state)
{
    (void)state;
    struct motley_error error = {0};
    motley__fail(&error, MOTLEY_E_BUILD, "one\ntwo\r\n\n");
    assert_string_equal(error.text, "one two");
}

static void a_place_goes_in_front(void **state)
{
    (void)state;
    struct motley_error error = {0};
    motley__fail(&error, MOTLEY_E_FORMAT, "header is cut short");
    assert_int_equal(motley__fail_in(&error, MOTLEY_E_IO, "%s", "in.safetensors"), MOTLEY_E_FORMAT);
    assert_string_equal(error.text, "in.safetensors: header is cut short");

    struct motley_error none = {0};
    assert_int_equal(motley__fail_in(&none, MOTLEY_E_IO, "file"), MOTLEY_E_IO);
    assert_int_equal(none.code, MOTLEY_E_IO);
    assert_string_equal(none.text, "file: input/output failure");
}

static void long_sentences_are_cut(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    struct motley_error error = {0};
    motley__fail(&error, MOTLEY_E_INVALID, "%s", text);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    motley__fail_in(&error, MOTLEY_E_INVALID, "here");
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    assert_memory_equal(error.text, "here: aaa", 9);
    motley__fail_in(&error, MOTLEY_E_INVALID, "%s", text);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

static void every_code_has_its_own_name(void **state)
{
    (void)state;
    for (int a = MOTLEY_OK; a >= MOTLEY_E_INTERRUPTED; a--) {
        assert_string_not_equal(motley_status_name(a), "unknown error");
        for (int b = MOTLEY_OK; b > a; b--)
            assert_string_not_equal(motley_status_name(a), motley_status_name(b));
    }
    assert_string_equal(motley_status_name(-1000), "unknown error");
    assert_string_equal(motley_version(), PACKAGE_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_failure_is_kept),   cmocka_unit_test(no_error_struct_is_fine),
        cmocka_unit_test(a_sentence_is_one_line),  cmocka_unit_test(a_place_goes_in_front),
        cmocka_unit_test(long_sentences_are_cut),  cmocka_unit_test(every_code_has_its_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
