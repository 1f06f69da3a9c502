/* A test program that measures: one context with a profile of its own in a folder that goes when the program ends.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PROFILE_CONTEXT_H
#define MOTLEY_TESTS_PROFILE_CONTEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "context.h"

static motley_context *context;
static char folder[64], path[96];       /* path: the profile */

/* 0, 77 without a device, or 1.  Collective. */
static int open_context(void)
{
    struct motley_error error = {0};
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    strcpy(folder, "/tmp/motley-profile-XXXXXX");
    if (rank == 0 && !mkdtemp(folder))
        return 1;
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    snprintf(path, sizeof path, "%s/profile", folder);
    const struct motley_context_options options = {.profile = path, .verbose = 1};
    int status = motley_context_create(MPI_COMM_WORLD, &options, &context, &error);
    if (status && rank == 0)
        fprintf(stderr, "%s\n", error.text);
    return status == MOTLEY_E_NO_DEVICE ? 77 : status != 0;
}

/* Collective. */
static void close_context(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
    if (context && context->rank == 0)
        motley__directory_remove(folder, NULL);
    motley_context_destroy(context);
}

#endif
