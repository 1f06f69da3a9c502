/* The embedded kernels are the files of cl/, byte for byte, sorted by name.
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

#include "base/file.h"
#include "device/program.h"

static void each_is_its_file(void **state)
{
    (void)state;
    const char *source_dir = getenv("SOURCE_DIR");
    for (int i = 0; i < motley__sources_count; i++) {
        char path[4096], *text;
        size_t bytes;
        struct motley_error error = {0};
        snprintf(path, sizeof path, "%s/cl/%s", source_dir, motley__sources[i].name);
        if (motley__file_read(path, &text, &bytes, &error) != 0)
            fail_msg("%s", error.text);
        assert_int_equal(strlen(motley__sources[i].text), bytes);
        assert_memory_equal(motley__sources[i].text, text, bytes);
        free(text);
    }
}

static void sorted_and_ended(void **state)
{
    (void)state;
    assert_true(motley__sources_count > 0);
    for (int i = 1; i < motley__sources_count; i++)
        assert_true(strcmp(motley__sources[i - 1].name, motley__sources[i].name) < 0);
    assert_null(motley__sources[motley__sources_count].name);
}

int main(void)
{
    if (getenv("SOURCE_DIR") == NULL) {
        fprintf(stderr, "SOURCE_DIR must name the source tree, as in make check\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_its_file),
        cmocka_unit_test(sorted_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
