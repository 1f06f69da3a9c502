/* Messages between ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "exchange/message.h"
#include "plan/known.h"

/* What a plain switch holds of a link's traffic, and messages where the link is not known. */
static const double HELD_SECONDS = 10e-3;
enum { LEAST = 2, WINDOW = 4 };

int motley__message_far(const motley_context *context, int peer)
{
    return context->node_of[peer] != context->node_of[context->rank];
}

/* Bytes a second of the slowest link from this rank's node; 0: not known. */
static double slowest_link(const motley_context *context)
{
    const struct motley__links *links = context->known ? &context->known->links : NULL;
    double slowest = 0;
    for (int k = 0; links && links->R && k < links->kinds; k++) {
        const int mine = links->kind[links->node[context->rank]];
        const double bandwidth = links->between[mine * links->kinds + k].bandwidth;
        if (bandwidth > 0 && (slowest == 0 || bandwidth < slowest))
            slowest = bandwidth;
    }
    return slowest;
}

int motley__message_window(const motley_context *context)
{
    int far = 0;
    for (int r = 0; r < context->size; r++)
        far += motley__message_far(context, r);
    if (far * context->node_size <= 1)
        return MOTLEY__WINDOW_MOST;
    const double bandwidth = slowest_link(context);
    const double messages = bandwidth * HELD_SECONDS / (MOTLEY__MESSAGE_BYTES * (double)context->node_size);
    if (bandwidth == 0)
        return WINDOW;
    return messages < LEAST ? LEAST : messages < MOTLEY__WINDOW_MOST ? (int)messages : MOTLEY__WINDOW_MOST;
}

static int part_rows(const motley_context *context, const struct motley__message *m)
{
    return motley__message_rows(motley__message_far(context, m->peer), m->row_bytes);
}

int motley__message_send(const motley_context *context, const struct motley__message *message, const void *host,
                         MPI_Request *request, int *count, struct motley_error *error)
{
    int (*const send)(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *) =
        message->answered ? MPI_Issend : MPI_Isend;
    const int part = part_rows(context, message), rows = message->rows;
    const char *from = host;
    int status = 0;
    *count = 0;
    for (int at = 0, now; at < rows && !status; at += now) {
        now = part < rows - at ? part : rows - at;
        status = motley__fail_mpi(error, send(from + (size_t)at * message->row_bytes, now, message->row,
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
