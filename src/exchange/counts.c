/* The counts that travel before the rows.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "exchange/exchange.h"

int motley__counts_create(const struct motley_context *context, const int *to, const int *from, int chunks, int tag,
                          struct motley__counts **counts, struct motley_error *error)
{
    const size_t R = (size_t)context->size;
    struct motley__counts *c = calloc(1, sizeof *c);

    if (!c)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange's counts");
    c->context = context;
    c->to = to;
    c->from = from;
    c->chunks = chunks;
    c->tag = tag;
    c->mine = calloc(R * (size_t)chunks, sizeof *c->mine);
    c->theirs = calloc(R * (size_t)chunks, sizeof *c->theirs);
    c->request = malloc(2 * R * sizeof *c->request);
    c->peer = calloc(2 * R, sizeof *c->peer);
    if (!c->mine || !c->theirs || !c->request || !c->peer) {
        motley__counts_destroy(c);
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange's counts");
    }
    *counts = c;
    return 0;
}

void motley__counts_destroy(struct motley__counts *counts)
{
    if (!counts)
        return;
    for (int i = 0; i < counts->requests; i++)
        if (counts->request[i] != MPI_REQUEST_NULL)
            MPI_Request_free(&counts->request[i]);
    free(counts->mine);
    free(counts->theirs);
    free(counts->request);
    free(counts->peer);
    free(counts);
}

int motley__counts_begin(struct motley__counts *counts, struct motley_error *error)
{
    const int R = counts->context->size, me = counts->context->rank, chunks = counts->chunks;
    int status = 0;

    counts->requests = 0;
    for (int step = 1; !status && step < R; step++) {
        int from = (me + R - step) % R, to = (me + step) % R;

        if (counts->from[from]) {
            counts->peer[counts->requests] = from;
            status = motley__fail_mpi(error, MPI_Irecv(&counts->theirs[from * chunks], 2 * chunks, MPI_INT, from,
                                                       counts->tag, counts->context->comm,
                                                       &counts->request[counts->requests]), "MPI_Irecv");
            counts->requests += !status;
        }
        if (!status && counts->to[to]) {
            counts->peer[counts->requests] = to;
            status = motley__fail_mpi(error, MPI_Isend(&counts->mine[to * chunks], 2 * chunks, MPI_INT, to,
                                                       counts->tag, counts->context->comm,
                                                       &counts->request[counts->requests]), "MPI_Isend");
            counts->requests += !status;
        }
    }
    return status;
}

int motley__counts_test(void *self, int *done, struct motley_error *error)
{
    struct motley__counts *counts = self;

    *done = 0;
    return motley__fail_mpi(error, MPI_Testall(counts->requests, counts->request, done, MPI_STATUSES_IGNORE),
                            "MPI_Testall");
}

void motley__counts_missing(const void *self, char *text, int size)
{
    const struct motley__counts *counts = self;

    motley__requests_missing(counts->request, counts->peer, counts->requests, text, size);
}

int64_t motley__counts_bytes(const struct motley__counts *counts, int64_t *nodes)
{
    const struct motley_context *context = counts->context;
    int64_t bytes = 0;

    *nodes = 0;
    for (int peer = 0; peer < context->size; peer++) {
        int64_t sent = counts->to[peer] ? (int64_t)sizeof(struct motley__count) * counts->chunks : 0;

        bytes += sent;
        if (context->node_of[peer] != context->node_of[context->rank])
            *nodes += sent;
    }
    return bytes;
}
