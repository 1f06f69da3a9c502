/* A transfer's life: stage out, send and receive, stage in.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/exchange.h"
#include "exchange/message.h"

/* Copies to the host under way -> messages under way -> copies to the device under way -> idle. */
enum { IDLE, STAGING_OUT, MOVING, STAGING_IN };

int motley__transfer_create(const struct motley_context *context, const char *name, int tag, int parts,
                            const size_t *row_bytes, struct motley__transfer **transfer, struct motley_error *error)
{
    struct motley__transfer *t = calloc(1, sizeof *t);
    int status = 0;

    if (!t)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the %s exchange", name);
    t->context = context;
    t->name = name;
    t->tag = tag;
    for (int i = 0; i < MOTLEY__PARTS; i++)
        t->row[i] = MPI_DATATYPE_NULL;
    for (int i = 0; !status && i < parts; i++) {
        t->row_bytes[i] = row_bytes[i];
        status = motley__fail_mpi(error, MPI_Type_contiguous((int)row_bytes[i], MPI_BYTE, &t->row[i]),
                                  "MPI_Type_contiguous");
        if (!status)
            status = motley__fail_mpi(error, MPI_Type_commit(&t->row[i]), "MPI_Type_commit");
        t->parts = i + 1;
    }
    if (status) {
        motley__transfer_destroy(t);
        return status;
    }
    *transfer = t;
    return 0;
}

/* Receives are cancelled; a send whose receiver failed may never complete, so it is only let go. */
static void abandon(struct motley__transfer *transfer)
{
    for (int i = 0; i < transfer->receives + transfer->sends; i++) {
        if (transfer->request[i] == MPI_REQUEST_NULL)
            continue;
        if (i < transfer->receives)
            MPI_Cancel(&transfer->request[i]);
        MPI_Request_free(&transfer->request[i]);
    }
    transfer->receives = transfer->sends = 0;
}

void motley__transfer_destroy(struct motley__transfer *transfer)
{
    if (!transfer)
        return;
    abandon(transfer);
    for (int i = 0; i < MOTLEY__PARTS; i++) {
        if (transfer->row[i] != MPI_DATATYPE_NULL)
            MPI_Type_free(&transfer->row[i]);
        motley__staging_release(transfer->context->device, &transfer->staging[i]);
    }
    free(transfer->request);
    free(transfer->peer);
    free(transfer);
}

static size_t span_bytes(const struct motley__transfer *transfer, int part, const struct motley__spans *spans)
{
    return (size_t)(spans->end - spans->begin) * transfer->row_bytes[part];
}

static size_t span_offset(const struct motley__transfer *transfer, int part, const struct motley__spans *spans)
{
    return (size_t)spans->begin * transfer->row_bytes[part];
}

/* Room for the requests of the step.  Grows only. */
static int reserve_requests(struct motley__transfer *transfer, struct motley_error *error)
{
    size_t wanted = 0;

    for (int i = 0; i < transfer->parts; i++)
        for (int peer = 0; peer < transfer->context->size; peer++)
            wanted += motley__message_parts(transfer->part[i].in->rows[peer], transfer->row_bytes[i]) +
                      motley__message_parts(transfer->part[i].out->rows[peer], transfer->row_bytes[i]);
    if (wanted <= transfer->room)
        return 0;
    MPI_Request *request = realloc(transfer->request, wanted * sizeof *request);
    if (request)
        transfer->request = request;
    int *peer = realloc(transfer->peer, wanted * sizeof *peer);
    if (peer)
        transfer->peer = peer;
    if (!request || !peer)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the %s exchange", transfer->name);
    transfer->room = wanted;
    return 0;
}

int motley__transfer_begin(struct motley__transfer *transfer, const struct motley__part *part,
                           struct motley_error *error)
{
    void *in[MOTLEY__PARTS];
    const void *out;
    int status = 0;

    transfer->receives = transfer->sends = 0;
    memcpy(transfer->part, part, (size_t)transfer->parts * sizeof *part);
    status = reserve_requests(transfer, error);
    for (int i = 0; !status && i < transfer->parts; i++)
        status = motley__staging_in(part[i].received, span_offset(transfer, i, part[i].in),
                                    span_bytes(transfer, i, part[i].in), &transfer->staging[i], &in[i], error);
    if (!status)
        status = motley__linear_receive(transfer, in, error);
    for (int i = 0; !status && i < transfer->parts; i++)
        status = motley__staging_out(part[i].send, span_offset(transfer, i, part[i].out),
                                     span_bytes(transfer, i, part[i].out), &transfer->staging[i], &out, error);
    transfer->state = STAGING_OUT;
    return status;
}

/* No copy between host and device is under way. */
static int copies_done(struct motley__transfer *transfer, int *done, struct motley_error *error)
{
    int status = 0, one = 1;

    *done = 1;
    for (int i = 0; !status && i < transfer->parts; i++) {
        status = motley__staging_test(&transfer->staging[i], &one, error);
        *done &= one;
    }
    return status;
}

static int send_staged(struct motley__transfer *transfer, struct motley_error *error)
{
    const void *host[MOTLEY__PARTS];

    for (int i = 0; i < transfer->parts; i++) {
        const struct motley__buffer *send = transfer->part[i].send;

        host[i] = transfer->staging[i].out.host;
        if (send && send->device->zero_copy && send->host)
            host[i] = (const char *)send->host + span_offset(transfer, i, transfer->part[i].out);
    }
    return motley__linear_send(transfer, host, error);
}

static int receive_staged(struct motley__transfer *transfer, struct motley_error *error)
{
    int status = 0;

    for (int i = 0; !status && i < transfer->parts; i++)
        status = motley__staging_in_finish(transfer->part[i].received,
                                           span_offset(transfer, i, transfer->part[i].in),
                                           span_bytes(transfer, i, transfer->part[i].in), &transfer->staging[i], error);
    return status;
}

int motley__transfer_test(void *self, int *done, struct motley_error *error)
{
    struct motley__transfer *transfer = self;
    int status = 0, ready = 0;

    *done = 0;
    if (transfer->state == STAGING_OUT) {
        status = copies_done(transfer, &ready, error);
        if (status || !ready)
            return status;
        status = send_staged(transfer, error);
        transfer->state = MOVING;
    }
    if (!status && transfer->state == MOVING) {
        status = motley__fail_mpi(error, MPI_Testall(transfer->receives + transfer->sends, transfer->request, &ready,
                                                     MPI_STATUSES_IGNORE), "MPI_Testall");
        if (status || !ready)
            return status;
        transfer->receives = transfer->sends = 0;
        status = receive_staged(transfer, error);
        transfer->state = STAGING_IN;
    }
    if (!status && transfer->state == STAGING_IN) {
        status = copies_done(transfer, &ready, error);
        if (status || !ready)
            return status;
        transfer->state = IDLE;
    }
    *done = !status && transfer->state == IDLE;
    return status;
}

void motley__requests_missing(const MPI_Request *request, const int *peer, int count, char *text, int size)
{
    int used = 0, last = -1;

    text[0] = 0;
    for (int i = 0; i < count && used < size - 1; i++) {
        if (request[i] == MPI_REQUEST_NULL || peer[i] == last)
            continue;
        last = peer[i];
        used += snprintf(text + used, (size_t)(size - used), "%srank %d", used ? ", " : "", last);
    }
}

void motley__transfer_missing(const void *self, char *text, int size)
{
    const struct motley__transfer *transfer = self;

    motley__requests_missing(transfer->request, transfer->peer, transfer->receives + transfer->sends, text, size);
}

void motley__transfer_bytes(const struct motley__transfer *transfer, int64_t *ranks, int64_t *nodes)
{
    const struct motley_context *context = transfer->context;

    *ranks = *nodes = 0;
    for (int i = 0; i < transfer->parts; i++) {
        const struct motley__spans *out = transfer->part[i].out;

        for (int peer = 0; out && peer < context->size; peer++) {
            int64_t bytes = (int64_t)transfer->row_bytes[i] * out->rows[peer];

            *ranks += bytes;
            if (context->node_of[peer] != context->node_of[context->rank])
                *nodes += bytes;
        }
    }
}
