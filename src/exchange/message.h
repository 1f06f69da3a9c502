/* Rows to another rank, and from it.
 *
 * MPI sends a large message when its receiver has answered, and over TCP that answer waits behind what goes the same
 * way already: two ranks that send each other much then do so one after the other.  So what goes to another node goes
 * in parts that need no answer (Open MPI's TCP: up to 64 KiB).  Inside a node, where the receiver fetches it, parts are
 * as large as what a device copies at once (stretches.h): a rank with memory of its own sends and receives them one by
 * one, and both ends of a message must cut it alike.
 *
 * Several flows over one link drop each other's packets when together they send more than a switch holds, and TCP waits
 * 200 ms for what was dropped last.  So a rank whose node sends in several flows has only a window of messages under
 * way to other nodes; that a message has arrived is known by sending it synchronously.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_EXCHANGE_MESSAGE_H
#define MOTLEY_EXCHANGE_MESSAGE_H

#include "context.h"

enum { MOTLEY__MESSAGE_BYTES = 60 * 1024, MOTLEY__STRETCH_BYTES = 2 * 1024 * 1024 };

struct motley__message {
    int peer, tag;
    int rows;
    MPI_Datatype row;
    size_t row_bytes;
};

/* Rows of each part of a message, of which the last may have fewer.  Those inside a node are so many of the others. */
static inline int motley__message_rows(int far, size_t row_bytes)
{
    const size_t fit = MOTLEY__MESSAGE_BYTES / row_bytes, rows = fit > 1 ? fit : 1;
    const size_t times = far ? 1 : MOTLEY__STRETCH_BYTES / (rows * row_bytes);
    return (int)(times > 1 ? times * rows : rows);
}

/* Requests that it takes at most: as many as to another node. */
static inline size_t motley__message_parts(int rows, size_t row_bytes)
{
    return rows > 0 ? ((size_t)rows - 1) / (size_t)motley__message_rows(1, row_bytes) + 1 : 0;
}

/* 1: the peer is on another node. */
int motley__message_far(const motley_context *context, int peer);

/* The messages of something that may be under way to other nodes: all of a node's together as much as the slowest link
 * carries in 10 ms; `most` MOTLEY__WINDOW_MOST: as many as there are. */
enum { MOTLEY__WINDOW_MOST = 64 };
struct motley__window {
    int most;
    int flying;                         /* those that are: */
    MPI_Request *flight[MOTLEY__WINDOW_MOST]; /* borrowed */
};
void motley__window_open(const motley_context *context, struct motley__window *window);

/* Those that have arrived are no longer under way.  Before any of their requests is used again. */
int motley__window_land(struct motley__window *window, struct motley_error *error);

/* Send on, from row *sent, what may be under way now; request [motley__message_parts] of all calls for it, *count
 * written by this one: both are moved on.  Messages to one rank with one tag are received in the order in which they
 * are sent; the receiver must expect the same rows.  Errors: MOTLEY_E_COMM. */
int motley__message_send(const motley_context *context, const struct motley__message *message, const void *host,
                         struct motley__window *window, int *sent, MPI_Request *request, int *count,
                         struct motley_error *error);
/* Begin; request [motley__message_parts] written, *count of them. */
int motley__message_receive(const motley_context *context, const struct motley__message *message, void *host,
                            MPI_Request *request, int *count, struct motley_error *error);

#endif
