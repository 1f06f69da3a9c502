/* A device for unit tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "plan/known.h"

int motley__test_device(struct motley__device **device)
{
    struct motley_error error = {0};
    struct motley__found *found;
    int count, chosen;
    if (motley__discover(&found, &count, &error)) {
        fprintf(stderr, "%s\n", error.text);
        exit(77);
    }
    const char *wanted = getenv("MOTLEY_TEST_DEVICE");
    if (wanted && !strcmp(wanted, "gpu")) {
        chosen = 0;
        if (!found[0].is_gpu) {
            fprintf(stderr, "no GPU\n");
            free(found);
            exit(77);
        }
    } else {
        chosen = count - 1; /* the CPU comes last */
    }
    struct motley__binding binding = {.device = chosen, .sharers = 1};
    int status = motley__device_open(&found[chosen], &binding, NULL, NULL, device, &error);
    if (status)
        fprintf(stderr, "%s\n", error.text);
    free(found);
    return status;
}

void motley__test_context(int *argc, char ***argv, motley_context **context)
{
    struct motley_error error = {0};
    MPI_Init(argc, argv);
    int status = motley_context_create(MPI_COMM_WORLD, NULL, context, &error);
    if (!status)
        return;
    fprintf(stderr, "%s\n", error.text);
    MPI_Finalize();
    exit(status == MOTLEY_E_NO_DEVICE ? 77 : 1);
}

void motley__test_alone_end(motley_context *solo)
{
    motley__known_destroy(solo->known);
}

motley_context motley__test_alone(const motley_context *context)
{
    static int node; /* number 0, never written */
    motley_context solo = *context;
    solo.comm = solo.node = MPI_COMM_SELF;
    solo.rank = solo.node_rank = 0;
    solo.size = solo.node_size = 1;
    solo.node_of = &node;
    solo.info = &context->info[context->rank];
    solo.known = NULL;
    return solo;
}
