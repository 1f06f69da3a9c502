/* The measured link between two nodes against plain messages of several sizes in the same run.  Run by check-links.sh
 * on a cluster of tests/cluster, one rank on each of two nodes; the first argument is the largest error that passes, as
 * a part of what was seen.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "plan/link_measure.h"

enum { LARGEST = 1 << 20, REPEATS = 13 };

static void check(int status, const struct motley_error *error)
{
    if (status) {
        fprintf(stderr, "links: %s\n", error->text);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

/* Seconds of sending `bytes` both ways: the lower quartile of some.  Open MPI's TCP lets the answer to a large message
 * wait behind the data that goes the same way, so that often enough the two directions go one after the other. */
static double plain_seconds(char *out, char *in, int bytes, int peer)
{
    double seconds[REPEATS + 1];

    for (int i = 0; i <= REPEATS; i++) {
        MPI_Barrier(MPI_COMM_WORLD);
        double own = motley__seconds();
        MPI_Sendrecv(out, bytes, MPI_BYTE, peer, 0, in, bytes, MPI_BYTE, peer, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        own = motley__seconds() - own;
        MPI_Allreduce(&own, &seconds[i], 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    }
    motley__median(seconds + 1, REPEATS);    /* sorts; the first found the link rested */
    return seconds[1 + REPEATS / 4];
}

int main(int argc, char **argv)
{
    const double limit = argc > 1 ? atof(argv[1]) : 0.15;
    const struct motley_context_options options = {.devices = "cpu", .threads = 1};
    struct motley__profile profile = {0};
    struct motley__links links = {0};
    struct motley_error error = {0};
    motley_context *context;
    char *out = calloc(1, LARGEST), *in = calloc(1, LARGEST);
    double worst = 0;
    int changed;

    MPI_Init(&argc, &argv);
    check(motley_context_create(MPI_COMM_WORLD, &options, &context, &error), &error);
    const double begin = motley__seconds();
    check(motley__link_measure(context, &profile, 1, &links, &changed, &error), &error);
    const double took = motley__seconds() - begin;
    const struct motley__link *link = &links.between[links.kinds > 1];
    if (context->rank == 0)
        printf("measured in %.2f s: %.1f us, %.2f us a message, %.2f MB/s\n", took, 1e6 * link->latency,
               1e6 * link->message, 1e-6 * link->bandwidth);
    for (int bytes = 1 << 14; bytes <= LARGEST; bytes *= 4) {
        const double give[2] = {bytes, bytes}, take[2] = {1, 1};
        const double seconds = plain_seconds(out, in, bytes, !context->rank);
        struct motley__traffic traffic;
        check(motley__link_exchange(&links, give, take, 1, NULL, &traffic, &error), &error);
        if (context->rank == 0)
            printf("%8d bytes: %.3f ms, foretold %.3f ms, %+.1f%%\n", bytes, 1e3 * seconds, 1e3 * traffic.seconds,
                   100 * (traffic.seconds / seconds - 1));
        if (bytes == LARGEST)                /* smaller ones may go at once, out of what the link has saved up */
            worst = fmax(worst, fabs(traffic.seconds / seconds - 1));
    }
    motley__links_clear(&links);
    motley__profile_clear(&profile);
    motley_context_destroy(context);
    free(in);
    free(out);
    MPI_Finalize();
    return worst > limit;
}
