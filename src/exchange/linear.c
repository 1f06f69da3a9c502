/* The linear exchange: every rank sends to every other one directly.
 *
 * Receives are posted before sends; both start at the next rank, so that not all ranks hit rank 0 first.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "exchange/exchange.h"
#include "exchange/message.h"

static struct motley__message message_of(const struct motley__transfer *transfer, int part, int peer, int rows)
{
    return (struct motley__message){peer, transfer->tag + part, rows, transfer->row[part], transfer->row_bytes[part]};
}

/* Requests that were begun last belong to the peer. */
static void name_peer(struct motley__transfer *transfer, int count, int peer)
{
    for (int i = 0; i < count; i++)
        transfer->peer[transfer->receives + transfer->sends + i] = peer;
}

/* Bytes from the begin of what is on the host to a rank's rows. */
static size_t place_of(const struct motley__transfer *transfer, int part, const struct motley__spans *spans, int peer)
{
    return (size_t)(spans->first[peer] - spans->begin) * transfer->row_bytes[part];
}

int motley__linear_receive(struct motley__transfer *transfer, void *const *host, struct motley_error *error)
{
    const int R = transfer->context->size, me = transfer->context->rank;
    int status = 0;

    for (int step = 1; step < R; step++) {
        const int peer = (me + R - step) % R;

        for (int i = 0; i < transfer->parts && !status; i++) {
            const struct motley__spans *in = transfer->part[i].in;
            const struct motley__message message = message_of(transfer, i, peer, in->rows[peer]);
            int count;

            status = motley__message_receive(transfer->context, &message,
                                             (char *)host[i] + place_of(transfer, i, in, peer),
                                             &transfer->request[transfer->receives], &count, error);
            name_peer(transfer, count, peer);
            transfer->receives += count;
        }
    }
    return status;
}

int motley__linear_send(struct motley__transfer *transfer, const void *const *host, struct motley_error *error)
{
    const int R = transfer->context->size, me = transfer->context->rank;
    int status = 0;

    for (int step = 1; step < R; step++) {
        const int peer = (me + step) % R;

        for (int i = 0; i < transfer->parts && !status; i++) {
            const struct motley__spans *out = transfer->part[i].out;
            const struct motley__message message = message_of(transfer, i, peer, out->rows[peer]);
            int count;

            status = motley__message_send(transfer->context, &message,
                                          (const char *)host[i] + place_of(transfer, i, out, peer),
                                          &transfer->request[transfer->receives + transfer->sends], &count, error);
            name_peer(transfer, count, peer);
            transfer->sends += count;
        }
    }
    return status;
}
