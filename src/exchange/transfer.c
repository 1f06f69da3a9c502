/* A transfer's life: post receives, send what is ready, take in what has arrived.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/queue.h"
#include "exchange/exchange.h"
#include "exchange/message.h"

/* MPI counts the bytes of a type in an int. */
static int make_row_type(size_t bytes, MPI_Datatype *row, struct motley_error *error)
{
    if (bytes > INT_MAX)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "a row of %zu bytes between ranks, expected at most %d", bytes,
                            INT_MAX);
    int status = motley__fail_mpi(error, MPI_Type_contiguous((int)bytes, MPI_BYTE, row), "MPI_Type_contiguous");
    return status ? status : motley__fail_mpi(error, MPI_Type_commit(row), "MPI_Type_commit");
}

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
    t->parts = parts;
    for (int i = 0; i < MOTLEY__PARTS; i++)
        t->row[i] = MPI_DATATYPE_NULL;
    for (int i = 0; !status && i < parts; i++) {
        t->row_bytes[i] = row_bytes[i];
        status = make_row_type(row_bytes[i], &t->row[i], error);
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
    struct motley__device *device = transfer->context->device;

    for (int i = 0; i < transfer->requests; i++) {
        if (transfer->request[i] == MPI_REQUEST_NULL)
            continue;
        if (i < transfer->receives)
            MPI_Cancel(&transfer->request[i]);
        MPI_Request_free(&transfer->request[i]);
    }
    transfer->requests = 0;
    if (!device->zero_copy) { /* pinned memory is about to go */
        clFinish(device->transfer);
        clFinish(device->arrival);
    }
    motley__stretches_forget(&transfer->out);
    if (transfer->copied_in)
        clReleaseEvent(transfer->copied_in);
    transfer->copied_in = NULL;
}

void motley__transfer_destroy(struct motley__transfer *transfer)
{
    if (!transfer)
        return;
    abandon(transfer);
    for (int i = 0; i < MOTLEY__PARTS; i++) {
        if (transfer->row[i] != MPI_DATATYPE_NULL)
            MPI_Type_free(&transfer->row[i]);
        motley__pinned_release(transfer->context->device, &transfer->arrived[i]);
        motley__pinned_release(transfer->context->device, &transfer->leaving[i]);
    }
    free(transfer->in.stretch);
    free(transfer->out.stretch);
    free(transfer->request);
    free(transfer->peer);
    free(transfer);
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
    if (wanted > INT_MAX)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "the %s exchange takes %zu messages, expected at most %d; use "
                            "smaller batches", transfer->name, wanted, INT_MAX);
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

/* Pinned memory for what leaves and what comes. */
static int reserve_pinned(struct motley__transfer *transfer, struct motley_error *error)
{
    struct motley__device *device = transfer->context->device;
    int status = 0;

    for (int i = 0; i < transfer->parts && !status; i++) {
        const struct motley__spans *in = transfer->part[i].in, *out = transfer->part[i].out;

        status = motley__pinned_reserve(device, &transfer->arrived[i],
                                        (size_t)(in->end - in->begin) * transfer->row_bytes[i], error);
        if (!status)
            status = motley__pinned_reserve(device, &transfer->leaving[i],
                                            (size_t)(out->end - out->begin) * transfer->row_bytes[i], error);
    }
    return status;
}

int motley__transfer_begin(struct motley__transfer *transfer, const struct motley__part *part,
                           struct motley_error *error)
{
    const int staged = !transfer->context->device->zero_copy;
    int status;

    motley__stretches_forget(&transfer->out);
    transfer->requests = transfer->receives = 0;
    motley__window_open(transfer->context, &transfer->window);
    transfer->in.count = transfer->in.ended = transfer->out.count = transfer->out.ended = 0;
    memcpy(transfer->part, part, (size_t)transfer->parts * sizeof *part);
    status = motley__linear_stretches(transfer, error);
    if (!status)
        status = reserve_requests(transfer, error);
    if (!status && staged)
        status = reserve_pinned(transfer, error);
    if (!status)
        status = motley__stretches_receive(transfer, error);
    if (!status && staged)
        status = motley__stretches_copy_out(transfer, error);
    return status ? status : motley__stretches_send(transfer, error);
}

/* *done = 1 when what came is on the device. */
static int take_in(struct motley__transfer *transfer, int *done, struct motley_error *error)
{
    int status = motley__stretches_copy_in(transfer, error);

    *done = !status && transfer->in.ended == transfer->in.count;
    if (*done && transfer->copied_in) {
        status = motley__event_done(transfer->copied_in, done, error);
        if (!status && *done) {
            clReleaseEvent(transfer->copied_in);
            transfer->copied_in = NULL;
        }
    }
    return status;
}

int motley__transfer_test(void *self, int *done, struct motley_error *error)
{
    struct motley__transfer *transfer = self;
    int status = 0, inside = 1, ready = 0;

    *done = 0;
    status = motley__stretches_send(transfer, error);
    if (!status && !transfer->context->device->zero_copy)
        status = take_in(transfer, &inside, error);
    if (!status)
        status = motley__fail_mpi(error, MPI_Testall(transfer->requests, transfer->request, &ready,
                                                     MPI_STATUSES_IGNORE), "MPI_Testall");
    *done = !status && inside && ready && transfer->out.ended == transfer->out.count;
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

    motley__requests_missing(transfer->request, transfer->peer, transfer->requests, text, size);
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
