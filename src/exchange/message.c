/* Messages between ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "exchange/message.h"

static int part_rows(const motley_context *context, const struct motley__message *m)
{
    return motley__message_rows(context->node_of[m->peer] != context->node_of[context->rank], m->row_bytes);
}

int motley__message_send(const motley_context *context, const struct motley__message *message, const void *host,
                         MPI_Request *request, int *count, struct motley_error *error)
{
    const int part = part_rows(context, message), rows = message->rows;
    const char *from = host;
    int status = 0;
    *count = 0;
    for (int at = 0, now; at < rows && !status; at += now) {
        now = part < rows - at ? part : rows - at;
        status = motley__fail_mpi(error, MPI_Isend(from + (size_t)at * message->row_bytes, now, message->row,
                                                   message->peer, message->tag, context->comm, &request[*count]),
                                  "MPI_Isend");
        *count += !status;
    }
    return status;
}

int motley__message_receive(const motley_context *context, const struct motley__message *message, void *host,
                            MPI_Request *request, int *count, struct motley_error *error)
{
    const int part = part_rows(context, message), rows = message->rows;
    char *to = host;
    int status = 0;
    *count = 0;
    for (int at = 0, now; at < rows && !status; at += now) {
        now = part < rows - at ? part : rows - at;
        status = motley__fail_mpi(error, MPI_Irecv(to + (size_t)at * message->row_bytes, now, message->row,
                                                   message->peer, message->tag, context->comm, &request[*count]),
                                  "MPI_Irecv");
        *count += !status;
    }
    return status;
}
