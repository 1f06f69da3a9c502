/* Bytes to another rank, and from it.
 *
 * MPI sends a large message when its receiver has answered, and over TCP that answer waits behind what goes the same
 * way already: two ranks that send each other much then do so one after the other.  So what goes to another node goes
 * in parts that need no answer (Open MPI's TCP: up to 64 KiB); inside a node, where the receiver fetches it, whole.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_EXCHANGE_MESSAGE_H
#define MOTLEY_EXCHANGE_MESSAGE_H

#include "context.h"

enum { MOTLEY__MESSAGE_BYTES = 60 * 1024 };

/* Requests that so many bytes take; not more between the ranks of a node than between others. */
static inline size_t motley__message_parts(size_t bytes)
{
    return bytes ? (bytes - 1) / MOTLEY__MESSAGE_BYTES + 1 : 1;
}

/* Begin; request [motley__message_parts(bytes)] written, *count of them.  Bytes to one rank with one tag are received
 * in the order in which they are sent; the receiver must expect as many.  Inside a node at most 2^31 - 1 bytes.
 * Errors: MOTLEY_E_COMM. */
int motley__message_send(const motley_context *context, const void *host, size_t bytes, int peer, int tag,
                         MPI_Request *request, int *count, struct motley_error *error);
int motley__message_receive(const motley_context *context, void *host, size_t bytes, int peer, int tag,
                            MPI_Request *request, int *count, struct motley_error *error);

#endif
