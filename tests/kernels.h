/* Kernels that differ from the library's, for tests of what becomes of bad and of slow ones.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_KERNELS_H
#define MOTLEY_TESTS_KERNELS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "device/program.h"

/* Write all kernel files into a folder, one of them with `changed` in place of `old`, for MOTLEY_CL_DIR. */
static inline void write_kernels(const char *folder, const char *file, const char *old, const char *changed)
{
    char path[512];
    for (int i = 0; i < motley__sources_count; i++) {
        const char *name = motley__sources[i].name, *slash = strchr(name, '/');
        snprintf(path, sizeof path, "%s/%.*s", folder, slash ? (int)(slash - name) : 0, name);
        assert_true(mkdir(path, 0777) == 0 || errno == EEXIST);
        const char *text = motley__sources[i].text, *at = NULL;
        if (!strcmp(motley__sources[i].name, file)) {
            at = strstr(text, old);
            assert_non_null(at);
        }
        snprintf(path, sizeof path, "%s/%s", folder, motley__sources[i].name);
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        if (at)
            fprintf(out, "%.*s%s%s", (int)(at - text), text, changed, at + strlen(old));
        else
            fputs(text, out);
        assert_int_equal(fclose(out), 0);
    }
}

#endif
