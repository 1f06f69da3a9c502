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

static int window_of(const motley_context *context)
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

void motley__window_open(const motley_context *context, struct motley__window *window)
{
    window->most = window_of(context);
    window->flying = 0;
}

int motley__window_land(struct motley__window *window, struct motley_error *error)
{
    int left = 0, status = 0;
    for (int i = 0; i < window->flying && !status; i++) {
        int arrived = 0;
        status = motley__fail_mpi(error, MPI_Test(window->flight[i], &arrived, MPI_STATUS_IGNORE), "MPI_Test");
        if (!arrived)
            window->flight[left++] = window->flight[i];
    }
    window->flying = left;
    return status;
}

static int part_rows(const motley_context *context, const struct motley__message *m)
{
    return motley__message_rows(motley__message_far(context, m->peer), m->row_bytes);
}

int motley__message_send(const motley_context *context, const struct motley__message *message, const void *host,
                         struct motley__window *window, int *sent, MPI_Request *request, int *count,
                         struct motley_error *error)
{
    const int far = motley__message_far(context, message->peer) && window->most < MOTLEY__WINDOW_MOST;
    const int part = part_rows(context, message);
    int (*const send)(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *) =
        far ? MPI_Issend : MPI_Isend;
    const char *from = host;
    int status = 0;
    while (*sent < message->rows && !status && !(far && window->flying >= window->most)) {
        const int now = part < message->rows - *sent ? part : message->rows - *sent;
        status = motley__fail_mpi(error, send(from + (size_t)*sent * message->row_bytes, now, message->row,
                                              message->peer, message->tag, context->comm, &request[*count]),
                                  "MPI_Isend");
        if (status)
            break;
        if (far)
            window->flight[window->flying++] = &request[*count];
        *sent += now;
        ++*count;
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
