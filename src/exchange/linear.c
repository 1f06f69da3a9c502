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
        int peer = (me + R - step) % R, rows = transfer->receive_rows[peer];
        int64_t first = motley__group_first(transfer->receive_rows, peer);

        for (int i = 0; rows && i < transfer->parts; i++) {
            int n = transfer->receives++;
            char *to = (char *)host[i] + (size_t)first * transfer->row_bytes[i];
            int status = motley__fail_mpi(error, MPI_Irecv(to, rows, transfer->row[i], peer, transfer->tag + i,
                                          transfer->context->comm, &transfer->request[n]), "MPI_Irecv");
            if (status) {
                transfer->receives--;
                return status;
            }
            transfer->peer[n] = peer;
        }
    }
    return 0;
}

int motley__linear_send(struct motley__transfer *transfer, const void *const *host, struct motley_error *error)
{
    const int R = transfer->context->size, me = transfer->context->rank;

    for (int step = 1; step < R; step++) {
        int peer = (me + step) % R, rows = transfer->send_rows[peer];
        int64_t first = motley__group_first(transfer->send_rows, peer);

        for (int i = 0; rows && i < transfer->parts; i++) {
            int n = transfer->receives + transfer->sends++;
            const char *from = (const char *)host[i] + (size_t)first * transfer->row_bytes[i];
            int status = motley__fail_mpi(error, MPI_Isend(from, rows, transfer->row[i], peer, transfer->tag + i,
                                          transfer->context->comm, &transfer->request[n]), "MPI_Isend");
            if (status) {
                transfer->sends--;
                return status;
            }
            transfer->peer[n] = peer;
        }
    }
    return 0;
}
