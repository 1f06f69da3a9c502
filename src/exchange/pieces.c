/* Pieces of experts' matrices on their way.
 *
 * A piece that is sent is cut out, staged out, on its way; one that is received is on its way, staged in, put in.
 * Slots are begun and given back in order, and what was received is put in in order: the order of pieces, and so of
 * sums, never depends on which message came first.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "device/queue.h"
#include "exchange/pieces.h"

static struct motley__slot *slot_of(struct motley__way *way, int i)
{
    return &way->slot[i % MOTLEY__REDISTRIBUTION_SLOTS];
}

int motley__pieces_clear(struct motley__redistribution *r, struct motley_error *error)
{
    static const float zero;
    cl_int code = CL_SUCCESS;
    for (int i = 0; i < r->projections; i++) {
        const struct motley__matrix *m = r->to[i];
        const size_t bytes = m ? motley__matrix_numbers(m->O, m->I, m->panel) * sizeof zero : 0;
        for (int s = 0; m && s < m->segments && code == CL_SUCCESS; s++)
            code = clEnqueueFillBuffer(r->context->device->transfer, m->segment[s]->mem, &zero, sizeof zero, 0,
                                       (size_t)motley__matrix_experts(m, s) * bytes, 0, NULL, NULL);
    }
    int status = motley__fail_cl(error, code, "clEnqueueFillBuffer");
    return status ? status : motley__transfer_marker(r->context->device, &r->cleared, error);
}

/* Move a piece by the kernel, its event behind it.  A NULL matrix: the slot's buffer. */
static int move(struct motley__redistribution *r, const struct motley__piece *piece, struct motley__slot *slot,
                struct motley__matrix *from, struct motley__matrix *to, struct motley_error *error)
{
    const struct motley__flow *flow = &r->flows.flow[piece->flow];
    struct motley__device *device = r->context->device;
    struct motley__slice_args args = flow->args;
    args.first = piece->first;
    args.count = piece->count;
    return motley__slice_move(device, r->projection[flow->projection].dtype, to && r->options.sum, &args, r->expert,
                              r->flows.expert, (struct motley__slice_end){from, slot->buffer},
                              (struct motley__slice_end){to, slot->buffer}, error);
}

size_t motley__piece_bytes(const struct motley__redistribution *r, const struct motley__piece *piece)
{
    const struct motley__flow *flow = &r->flows.flow[piece->flow];
    return (size_t)piece->count * (size_t)flow->args.width *
           motley__storage_bytes(r->projection[flow->projection].dtype);
}

int motley__event_ended(cl_event *event, int *done, struct motley_error *error)
{
    int status = 0;
    *done = 1;
    if (*event)
        status = motley__event_done(*event, done, error);
    if (*event && !status && *done) {
        clReleaseEvent(*event);
        *event = NULL;
    }
    return status;
}

/* *done = 1 when neither kernel nor copy of the slot is under way. */
static int device_done(struct motley__slot *slot, int *done, struct motley_error *error)
{
    int status = motley__staging_test(&slot->staging, done, error);
    return status || !*done ? status : motley__event_ended(&slot->event, done, error);
}

/* A piece as a message of bytes. */
static struct motley__message message_of(const struct motley__redistribution *r, const struct motley__piece *piece,
                                         int peer)
{
    return (struct motley__message){peer, r->options.tag, (int)motley__piece_bytes(r, piece), MPI_BYTE, 1};
}

static int message_done(struct motley__slot *slot, int *done, struct motley_error *error)
{
    int status = motley__fail_mpi(error, MPI_Testall(slot->requests, slot->request, done, MPI_STATUSES_IGNORE),
                                  "MPI_Testall");
    if (!status && *done)
        slot->requests = 0;
    return status;
}

/* Cut a piece out; its message goes when it is on the host. */
static int begin_send(struct motley__redistribution *r, int i, struct motley_error *error)
{
    const struct motley__piece *piece = &r->out.piece[i];
    struct motley__slot *slot = slot_of(&r->out, i);
    const void *host;
    int status = move(r, piece, slot, r->from[r->flows.flow[piece->flow].projection], NULL, error);
    slot->sent = 0;
    if (!status)
        status = motley__staging_out(slot->buffer, 0, motley__piece_bytes(r, piece), &slot->staging, &host, error);
    return status ? status : motley__transfer_marker(r->context->device, &slot->event, error);
}

/* As much of a piece as may be under way now. */
static int send(struct motley__redistribution *r, int i, struct motley_error *error)
{
    const struct motley__piece *piece = &r->out.piece[i];
    struct motley__slot *slot = slot_of(&r->out, i);
    const void *host = slot->buffer->device->zero_copy ? slot->buffer->host : slot->staging.out.host;
    const struct motley__message message = message_of(r, piece, r->flows.flow[piece->flow].to);
    return motley__message_send(r->context, &message, host, &r->window, &slot->sent, slot->request, &slot->requests,
                                error);
}

static int is_sent(const struct motley__redistribution *r, int i)
{
    return r->out.slot[i % MOTLEY__REDISTRIBUTION_SLOTS].sent == (int)motley__piece_bytes(r, &r->out.piece[i]);
}

/* Pieces that were cut out go in order, so that messages between two ranks do: while one waits for the window, so do
 * those behind it that would need it. */
int motley__pieces_out(struct motley__redistribution *r, struct motley_error *error)
{
    struct motley__way *way = &r->out;
    int status = motley__window_land(&r->window, error), done = 1;
    for (int i = way->ended; i < way->begun && done && !status; i++) {
        struct motley__slot *slot = slot_of(way, i);
        if (is_sent(r, i))
            continue;
        status = device_done(slot, &done, error);
        if (!status && done)
            status = send(r, i, error);
    }
    for (done = 1; way->ended < way->begun && done && !status;) {
        if (!is_sent(r, way->ended))
            break;
        status = message_done(slot_of(way, way->ended), &done, error);
        way->ended += !status && done;
    }
    while (way->begun < way->pieces && way->begun - way->ended < MOTLEY__REDISTRIBUTION_SLOTS && !status)
        status = begin_send(r, way->begun++, error);
    return status;
}

static int begin_receive(struct motley__redistribution *r, int i, struct motley_error *error)
{
    const struct motley__piece *piece = &r->in.piece[i];
    const struct motley__flow *flow = &r->flows.flow[piece->flow];
    struct motley__slot *slot = slot_of(&r->in, i);
    const size_t bytes = motley__piece_bytes(r, piece);
    void *host;
    if (flow->from == flow->to)
        return 0;
    int status = motley__staging_in(slot->buffer, 0, bytes, &slot->staging, &host, error);
    const struct motley__message message = message_of(r, piece, flow->from);
    return status ? status
                  : motley__message_receive(r->context, &message, host, slot->request, &slot->requests, error);
}

/* Put a piece that has arrived into its matrix; what stays here comes from the other matrix. */
static int put(struct motley__redistribution *r, int i, struct motley_error *error)
{
    const struct motley__piece *piece = &r->in.piece[i];
    const struct motley__flow *flow = &r->flows.flow[piece->flow];
    struct motley__slot *slot = slot_of(&r->in, i);
    int status = 0;
    if (flow->from != flow->to)
        status = motley__staging_in_finish(slot->buffer, 0, motley__piece_bytes(r, piece), &slot->staging, error);
    if (!status)
        status = move(r, piece, slot, flow->from == flow->to ? r->from[flow->projection] : NULL,
                      r->to[flow->projection], error);
    return status ? status : motley__transfer_marker(r->context->device, &slot->event, error);
}

int motley__pieces_in(struct motley__redistribution *r, struct motley_error *error)
{
    struct motley__way *way = &r->in;
    int status = 0, done = 1;
    while (way->put < way->begun && !status) {
        status = message_done(slot_of(way, way->put), &done, error);
        if (status || !done)
            break;
        status = put(r, way->put++, error);
    }
    for (done = 1; way->ended < way->put && done && !status; way->ended += !status && done)
        status = device_done(slot_of(way, way->ended), &done, error);
    while (way->begun < way->pieces && way->begun - way->ended < MOTLEY__REDISTRIBUTION_SLOTS && !status)
        status = begin_receive(r, way->begun++, error);
    return status;
}
