/* Discovery over the ICDs of this machine.
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

/* In children, for a process's first OpenCL call settles which ICDs it has. */
static void no_icd_says_what_to_install(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct motley__found *found;
    int count;
    setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
    int status = motley__discover_in_child(&found, &count, &error);
    unsetenv("OCL_ICD_VENDORS");
    assert_int_equal(status, MOTLEY_E_NO_DEVICE);
    assert_non_null(strstr(error.text, "no OpenCL platform found"));
    assert_non_null(strstr(error.text, "pocl-opencl-icd"));
}

static void a_child_sees_what_we_see(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct motley__found *ours, *theirs;
    int our_count, their_count;
    int status = motley__discover_in_child(&theirs, &their_count, &error);
    assert_int_equal(status, 0);
    assert_int_equal(motley__discover(&ours, &our_count, &error), 0);
    assert_int_equal(our_count, their_count);
    for (int i = 0; i < our_count; i++) {
        assert_string_equal(ours[i].name, theirs[i].name);
        assert_string_equal(ours[i].platform_name, theirs[i].platform_name);
        assert_string_equal(ours[i].locality, theirs[i].locality);
        assert_true(ours[i].name[0] && ours[i].driver[0] && ours[i].platform_name[0] && ours[i].platform_version[0]);
        assert_true(ours[i].is_gpu + ours[i].is_cpu <= 1);
        if (ours[i].is_cpu)
            assert_int_equal(i, our_count - 1);
    }
    free(ours);
    free(theirs);
}

int main(void)
{
    struct motley__found *found;
    int count;
    if (motley__discover_in_child(&found, &count, NULL)) {
        fprintf(stderr, "no OpenCL device on this machine\n");
        return 77;
    }
    free(found);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_icd_says_what_to_install),
        cmocka_unit_test(a_child_sees_what_we_see),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
