/* Messages between ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "exchange/message.h"

static size_t part_bytes(const motley_context *context, int peer, size_t bytes)
{
    const int far = context->node_of[peer] != context->node_of[context->rank];
    return far && bytes > MOTLEY__MESSAGE_BYTES ? MOTLEY__MESSAGE_BYTES : bytes;
}

int motley__message_send(const motley_context *context, const void *host, size_t bytes, int peer, int tag,
                         MPI_Request *request, int *count, struct motley_error *error)
{
    const size_t part = part_bytes(context, peer, bytes);
    size_t at = 0;
    int status = 0;
    *count = 0;
    do {
        const size_t left = bytes - at;
        status = motley__fail_mpi(error, MPI_Isend((const char *)host + at, (int)(left < part ? left : part), MPI_BYTE,
                                                   peer, tag, context->comm, &request[*count]), "MPI_Isend");
        *count += !status;
        at += part;
    } while (at < bytes && !status);
    return status;
}

int motley__message_receive(const motley_context *context, void *host, size_t bytes, int peer, int tag,
                            MPI_Request *request, int *count, struct motley_error *error)
{
    const size_t part = part_bytes(context, peer, bytes);
    size_t at = 0;
    int status = 0;
    *count = 0;
    do {
        const size_t left = bytes - at;
        status = motley__fail_mpi(error, MPI_Irecv((char *)host + at, (int)(left < part ? left : part), MPI_BYTE, peer,
                                                   tag, context->comm, &request[*count]), "MPI_Irecv");
        *count += !status;
        at += part;
    } while (at < bytes && !status);
    return status;
}
