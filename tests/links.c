/* The measured links between two nodes against plain messages of several sizes in the same run, in which every rank
 * sends to every other.  Run by check-links.sh on a cluster of tests/cluster; the first argument is the largest error
 * that passes, as a part of what was seen.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/wait.h"
#include "job.h"
#include "measure/link_measure.h"

enum { LARGEST = 1 << 20, REPEATS = 13, RANKS = 8 };

/* Seconds of sending `bytes` to everyone: the lower quartile of some.  Open MPI's TCP lets the answer to a large
 * message wait behind the data that goes the same way, so that often enough one direction goes after the other. */
static double plain_seconds(char *out, char *in, int bytes, int rank, int size)
{
    double seconds[REPEATS + 1];
    MPI_Request request[2 * RANKS];

    for (int i = 0; i <= REPEATS; i++) {
        int n = 0;
        MPI_Barrier(MPI_COMM_WORLD);
        double own = motley__seconds();
        for (int step = 1; step < size; step++) {
            const int from = (rank + size - step) % size, to = (rank + step) % size;
            MPI_Irecv(in + (size_t)from * LARGEST, bytes, MPI_BYTE, from, 0, MPI_COMM_WORLD, &request[n++]);
            MPI_Isend(out, bytes, MPI_BYTE, to, 0, MPI_COMM_WORLD, &request[n++]);
        }
        for (int done = 0; !done; motley__idle(motley__seconds() - own, 0))
            MPI_Testall(n, request, &done, MPI_STATUSES_IGNORE);
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
    char *out = calloc(1, LARGEST), *in = calloc(RANKS, LARGEST);
    double worst = 0, give[RANKS], take[RANKS];
    int changed;

    MPI_Init(&argc, &argv);
    check(motley_context_create(MPI_COMM_WORLD, &options, &context, &error), &error);
    if (context->size > RANKS)
        check(motley__fail(&error, MOTLEY_E_INVALID, "%d ranks, expected at most %d", context->size, RANKS), &error);
    const double begin = motley__seconds();
    check(motley__link_measure(context, &profile, 1, &links, &changed, &error), &error);
    const double took = motley__seconds() - begin;
    const struct motley__link *link = &links.between[links.kinds > 1];
    if (context->rank == 0)
        printf("measured in %.2f s: %.1f us, %.2f us a message, %.2f MB/s\n", took, 1e6 * link->latency,
               1e6 * link->message, 1e-6 * link->bandwidth);
    for (int bytes = 1 << 14; bytes <= LARGEST; bytes *= 4) {
        const double seconds = plain_seconds(out, in, bytes, context->rank, context->size);
        struct motley__traffic traffic;
        for (int r = 0; r < context->size; r++) {
            give[r] = bytes;
            take[r] = 1;
        }
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
