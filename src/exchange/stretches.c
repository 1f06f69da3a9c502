/* Rows of a transfer on their way, one stretch after the other; the contract is stretches.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdlib.h>

#include "device/queue.h"
#include "exchange/exchange.h"
#include "exchange/message.h"

static int reserve(struct motley__stretches *list, int64_t wanted, struct motley_error *error)
{
    if (wanted <= list->room)
        return 0;
    if (wanted > INT_MAX / 2)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "rows of one exchange fall into %lld messages, expected at "
                            "most %d; use smaller batches", (long long)wanted, INT_MAX / 2);
    const int room = 2 * (int)wanted;
    struct motley__stretch *stretch = realloc(list->stretch, (size_t)room * sizeof *stretch);
    if (!stretch)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the exchange's %d messages", room);
    list->stretch = stretch;
    list->room = room;
    return 0;
}

int motley__stretches_cut(struct motley__stretches *list, int part, int peer, int64_t first, int rows, int most,
                          struct motley_error *error)
{
    const int count = rows / most + (rows % most > 0);
    const int status = reserve(list, (int64_t)list->count + count, error);

    for (int i = 0; i < count && !status; i++) {
        const int at = i * most, now = most < rows - at ? most : rows - at;

        list->stretch[list->count++] = (struct motley__stretch){.part = part, .peer = peer, .first = first + at,
                                                                .rows = now, .index = i, .of = count};
    }
    return status;
}

void motley__stretches_forget(struct motley__stretches *list)
{
    for (int i = 0; i < list->count; i++)
        if (list->stretch[i].copied) {
            clReleaseEvent(list->stretch[i].copied);
            list->stretch[i].copied = NULL;
        }
}

/* Where a stretch of a buffer lies on the host. */
static char *place(const struct motley__transfer *transfer, const struct motley__stretch *stretch,
                   const struct motley__buffer *buffer, const struct motley__spans *spans,
                   const struct motley__pinned *pinned)
{
    const size_t bytes = transfer->row_bytes[stretch->part];

    if (buffer->device->zero_copy)
        return (char *)buffer->host + (size_t)stretch->first * bytes;
    return (char *)pinned->host + (size_t)(stretch->first - spans->begin) * bytes;
}

static char *place_out(const struct motley__transfer *transfer, const struct motley__stretch *stretch)
{
    const struct motley__part *part = &transfer->part[stretch->part];

    return place(transfer, stretch, part->send, part->out, &transfer->leaving[stretch->part]);
}

static char *place_in(const struct motley__transfer *transfer, const struct motley__stretch *stretch)
{
    const struct motley__part *part = &transfer->part[stretch->part];

    return place(transfer, stretch, part->received, part->in, &transfer->arrived[stretch->part]);
}

static struct motley__message message_of(const struct motley__transfer *transfer, const struct motley__stretch *stretch)
{
    return (struct motley__message){stretch->peer, transfer->tag + stretch->part, stretch->rows,
                                    transfer->row[stretch->part], transfer->row_bytes[stretch->part]};
}

/* Requests that were begun last are the stretch's. */
static void count_requests(struct motley__transfer *transfer, struct motley__stretch *stretch)
{
    stretch->request = transfer->requests;
    for (int i = 0; i < stretch->requests; i++)
        transfer->peer[transfer->requests++] = stretch->peer;
}

int motley__stretches_receive(struct motley__transfer *transfer, struct motley_error *error)
{
    int status = 0;

    for (int i = 0; i < transfer->in.count && !status; i++) {
        struct motley__stretch *stretch = &transfer->in.stretch[i];
        const struct motley__message message = message_of(transfer, stretch);

        status = motley__message_receive(transfer->context, &message, place_in(transfer, stretch),
                                         &transfer->request[transfer->requests], &stretch->requests, error);
        count_requests(transfer, stretch);
    }
    transfer->receives = transfer->requests;
    return status;
}

/* The first of those earlier stretches that are of the same rows, for another rank; -1: there are none. */
static int same_rows(const struct motley__stretches *list, int i)
{
    const struct motley__stretch *mine = &list->stretch[i];

    for (int k = 0; k < i; k += list->stretch[k].of) {
        const struct motley__stretch *other = &list->stretch[k];

        if (other->part == mine->part && other->first == mine->first && other->of == mine->of &&
            other[mine->of - 1].rows == mine[mine->of - 1].rows)
            return k;
    }
    return -1;
}

int motley__stretches_copy_out(struct motley__transfer *transfer, struct motley_error *error)
{
    cl_command_queue queue = transfer->context->device->transfer;
    struct motley__stretches *out = &transfer->out;
    cl_int code = CL_SUCCESS;

    for (int i = 0, same = -1; i < out->count && code == CL_SUCCESS; i++) {
        struct motley__stretch *stretch = &out->stretch[i];
        const size_t bytes = transfer->row_bytes[stretch->part];

        if (stretch->index == 0)
            same = same_rows(out, i);
        if (same >= 0) {
            cl_event copied = out->stretch[same + stretch->index].copied;

            code = clRetainEvent(copied);
            stretch->copied = code == CL_SUCCESS ? copied : NULL;
        } else {
            code = clEnqueueReadBuffer(queue, transfer->part[stretch->part].send->mem, CL_FALSE,
                                       (size_t)stretch->first * bytes, (size_t)stretch->rows * bytes,
                                       place_out(transfer, stretch), 0, NULL, &stretch->copied);
        }
    }
    if (code == CL_SUCCESS && out->count)
        code = clFlush(queue);
    return motley__fail_cl(error, code, "clEnqueueReadBuffer (staging)");
}

/* As much of a stretch as may be under way now. */
static int send_some(struct motley__transfer *transfer, struct motley__stretch *stretch, struct motley_error *error)
{
    const struct motley__message message = message_of(transfer, stretch);
    int status;

    stretch->requests = 0;
    status = motley__message_send(transfer->context, &message, place_out(transfer, stretch), &transfer->window,
                                  &stretch->sent, &transfer->request[transfer->requests], &stretch->requests, error);
    count_requests(transfer, stretch);
    return status;
}

int motley__stretches_send(struct motley__transfer *transfer, struct motley_error *error)
{
    struct motley__stretches *out = &transfer->out;
    int status = motley__window_land(&transfer->window, error), ready = 1;

    for (int i = out->ended; i < out->count && ready && !status; i++) {
        struct motley__stretch *stretch = &out->stretch[i];

        if (stretch->copied)
            status = motley__event_done(stretch->copied, &ready, error);
        if (!status && ready)
            status = send_some(transfer, stretch, error);
        if (i == out->ended && stretch->sent == stretch->rows)
            out->ended++;
    }
    return status;
}

/* Copies of one queue end in the order in which they were enqueued: the last event stands for all. */
static int copy_in(struct motley__transfer *transfer, const struct motley__stretch *stretch, struct motley_error *error)
{
    const size_t bytes = transfer->row_bytes[stretch->part];
    cl_event event;
    cl_int code = clEnqueueWriteBuffer(transfer->context->device->arrival, transfer->part[stretch->part].received->mem,
                                       CL_FALSE, (size_t)stretch->first * bytes, (size_t)stretch->rows * bytes,
                                       place_in(transfer, stretch), 0, NULL, &event);

    if (code != CL_SUCCESS)
        return motley__fail_cl(error, code, "clEnqueueWriteBuffer (staging)");
    if (transfer->copied_in)
        clReleaseEvent(transfer->copied_in);
    transfer->copied_in = event;
    return 0;
}

/* Ranges of one rank arrive in order; those of several ranks as they come. */
int motley__stretches_copy_in(struct motley__transfer *transfer, struct motley_error *error)
{
    struct motley__stretches *in = &transfer->in;
    int status = 0, begun = 0;

    for (int i = 0, late = -1; i < in->count && in->ended < in->count && !status; i++) {
        struct motley__stretch *stretch = &in->stretch[i];
        int arrived = 0;

        if (!stretch->requests || stretch->peer == late)
            continue;
        status = motley__fail_mpi(error, MPI_Testall(stretch->requests, &transfer->request[stretch->request], &arrived,
                                                     MPI_STATUSES_IGNORE), "MPI_Testall");
        late = arrived ? -1 : stretch->peer;
        if (status || !arrived)
            continue;
        status = copy_in(transfer, stretch, error);
        stretch->requests = 0;
        in->ended++;
        begun = 1;
    }
    if (begun && !status)
        status = motley__fail_cl(error, clFlush(transfer->context->device->arrival), "clFlush");
    return status;
}
