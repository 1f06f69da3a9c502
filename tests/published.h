/* Published pair counts of a model of 32 layers and 8 experts, for tests of what follows from them.  Include after
 * cmocka.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PUBLISHED_H
#define MOTLEY_TESTS_PUBLISHED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "coactivation/coactivation.h"

enum { E8 = 8 };

static inline motley_coactivation *parse(const char *text)
{
    char *copy = strdup(text);
    motley_coactivation *c = NULL;
    struct motley_error error = {0};
    if (motley__coactivation_parse("counts", copy, &c, &error))
        fail_msg("%s", error.text);
    free(copy);
    return c;
}

static inline motley_coactivation *published(void)
{
    char path[1024], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/tests/coactivation/llama-moe-base.csv", getenv("SOURCE_DIR"));
    assert_int_equal(motley__file_read(path, &text, &bytes, NULL), 0);
    motley_coactivation *c = parse(text);
    free(text);
    return c;
}

#endif
