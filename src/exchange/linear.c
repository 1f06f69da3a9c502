/* The linear exchange: every rank sends to every other one directly.
 *
 * Both ways start at the next rank, so that not all ranks hit rank 0 first.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>

#include "exchange/exchange.h"
#include "exchange/message.h"

/* Stretches are as long as messages inside a node, which are so many of those to another node. */
static int cut(const struct motley__transfer *transfer, int part, int peer, const struct motley__spans *spans,
               struct motley__stretches *list, struct motley_error *error)
{
    const int staged = !transfer->context->device->zero_copy;

    return motley__stretches_cut(list, part, peer, spans->first[peer], spans->rows[peer],
                                 staged ? motley__message_rows(0, transfer->row_bytes[part]) : INT_MAX, error);
}

int motley__linear_stretches(struct motley__transfer *transfer, struct motley_error *error)
{
    const int R = transfer->context->size, me = transfer->context->rank;
    int status = 0;

    for (int step = 1; step < R; step++)
        for (int i = 0; i < transfer->parts && !status; i++) {
            status = cut(transfer, i, (me + R - step) % R, transfer->part[i].in, &transfer->in, error);
            if (!status)
                status = cut(transfer, i, (me + step) % R, transfer->part[i].out, &transfer->out, error);
        }
    return status;
}
