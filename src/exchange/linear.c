/* The linear exchange: every rank sends to every other one directly.
 *
 * Receives are posted before sends; both start at the next rank, so that not all ranks hit rank 0 first.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "exchange/exchange.h"

int motley__linear_receive(struct motley__transfer *transfer, void *const *host, struct motley_error *error)
{
    const int R = transfer->context->size, me = transfer->context->rank;

    for (int step = 1; step < R; step++) {
        int peer = (me + R - step) % R;

        for (int i = 0; i < transfer->parts; i++) {
            const struct motley__spans *in = transfer->part[i].in;
            int n = transfer->receives, status;

            if (!in->rows[peer])
                continue;
            status = motley__fail_mpi(error, MPI_Irecv((char *)host[i] + (size_t)in->first[peer] *
                                                       transfer->row_bytes[i], in->rows[peer], transfer->row[i], peer,
                                                       transfer->tag + i, transfer->context->comm,
                                                       &transfer->request[n]), "MPI_Irecv");
            if (status)
                return status;
            transfer->peer[n] = peer;
            transfer->receives++;
        }
    }
    return 0;
}

int motley__linear_send(struct motley__transfer *transfer, const void *const *host, struct motley_error *error)
{
    const int R = transfer->context->size, me = transfer->context->rank;

    for (int step = 1; step < R; step++) {
        int peer = (me + step) % R;

        for (int i = 0; i < transfer->parts; i++) {
            const struct motley__spans *out = transfer->part[i].out;
            int n = transfer->receives + transfer->sends, status;

            if (!out->rows[peer])
                continue;
            status = motley__fail_mpi(error, MPI_Isend((const char *)host[i] + (size_t)out->first[peer] *
                                                       transfer->row_bytes[i], out->rows[peer], transfer->row[i], peer,
                                                       transfer->tag + i, transfer->context->comm,
                                                       &transfer->request[n]), "MPI_Isend");
            if (status)
                return status;
            transfer->peer[n] = peer;
            transfer->sends++;
        }
    }
    return 0;
}
