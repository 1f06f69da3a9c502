/* Moving experts' matrices between ranks: the whole of it; what becomes of a piece is in pieces.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/wait.h"
#include "device/queue.h"
#include "exchange/exchange.h"
#include "exchange/pieces.h"

enum { SLOTS = MOTLEY__REDISTRIBUTION_SLOTS };

/* Panels of all ranks' matrices, [R][projections]. */
static int share_panels(const motley_context *context, const int *panel, int projections, int **all,
                        struct motley_error *error)
{
    *all = calloc((size_t)context->size * (size_t)projections + 1, sizeof **all);
    int status = *all ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the layouts of %d ranks",
                                         context->size);
    status = motley__context_agree(context, status, error);
    MPI_Request request;
    if (!status)
        status = motley__fail_mpi(error, MPI_Iallgather(panel, projections, MPI_INT, *all, projections, MPI_INT,
                                                        context->comm, &request), "MPI_Iallgather");
    return status ? status : motley__wait(&request, context->time_limit, "layouts of weights", error);
}

/* As many slots as there are pieces, at most. */
static int create_slots(struct motley__redistribution *r, struct motley__way *way, const struct motley__piece *piece,
                        int pieces, struct motley_error *error)
{
    int status = 0;
    way->piece = piece;
    way->pieces = pieces;
    for (int i = 0; i < SLOTS && i < pieces && !status; i++) {
        status = motley__buffer_create(r->context->device, r->flows.largest, &way->slot[i].buffer, error);
        way->slot[i].request = calloc(motley__message_parts((int)r->flows.largest, 1), sizeof *way->slot[i].request);
        if (!status && !way->slot[i].request)
            status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to move weights");
    }
    return status;
}

static int create_local(struct motley__redistribution *r, const struct motley__placement *from,
                        const struct motley__placement *to, const int *panels, struct motley_error *error)
{
    const motley_context *context = r->context;
    const size_t bytes = r->options.piece_bytes ? r->options.piece_bytes : MOTLEY__PIECE_BYTES;
    int status = motley__flows_make(from, to, r->projection, r->projections, panels, context->rank, r->options.sum,
                                    r->options.apart, bytes, &r->flows, error);
    if (!status && r->flows.experts) {
        const size_t list = (size_t)r->flows.experts * sizeof *r->flows.expert;
        status = motley__buffer_create(context->device, list, &r->expert, error);
        if (!status)
            status = motley__buffer_write(r->expert, 0, r->flows.expert, list, error);
    }
    if (!status)
        status = create_slots(r, &r->out, r->flows.send, r->flows.sends, error);
    return status ? status : create_slots(r, &r->in, r->flows.receive, r->flows.receives, error);
}

int motley__redistribution_create(const motley_context *context, const struct motley__placement *from,
                                  const struct motley__placement *to, const struct motley__projection *projection,
                                  const int *panel, int projections,
                                  const struct motley__redistribution_options *options,
                                  struct motley__redistribution **redistribution, struct motley_error *error)
{
    struct motley__redistribution *r = calloc(1, sizeof *r);
    int *panels = NULL, status = 0;
    if (r) {
        *r = (struct motley__redistribution){.context = context, .options = *options, .projections = projections};
        r->projection = malloc((size_t)projections * sizeof *projection);
    }
    if (!r || !r->projection)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to move weights");
    else
        memcpy(r->projection, projection, (size_t)projections * sizeof *projection);
    status = motley__context_agree(context, status, error);
    if (!status)
        status = share_panels(context, panel, projections, &panels, error);
    if (!status)
        status = motley__context_agree(context, create_local(r, from, to, panels, error),
                                      error);
    free(panels);
    if (status) {
        motley__redistribution_destroy(r);
        return status;
    }
    *redistribution = r;
    return 0;
}

/* Receives are cancelled; a send whose receiver failed may never complete, so it is only let go. */
static void abandon(struct motley__slot *slot, int received)
{
    for (int i = 0; i < slot->requests; i++) {
        if (slot->request[i] == MPI_REQUEST_NULL)
            continue;
        if (received)
            MPI_Cancel(&slot->request[i]);
        MPI_Request_free(&slot->request[i]);
    }
    free(slot->request);
    if (slot->event)
        clReleaseEvent(slot->event);
    slot->event = NULL;
}

void motley__redistribution_destroy(struct motley__redistribution *redistribution)
{
    struct motley__redistribution *r = redistribution;
    if (!r)
        return;
    if (r->cleared || r->in.ended < r->in.begun || r->out.ended < r->out.begun)
        clFinish(r->context->device->transfer);
    for (int i = 0; i < 2 * SLOTS; i++) {
        struct motley__slot *slot = i < SLOTS ? &r->in.slot[i] : &r->out.slot[i - SLOTS];
        abandon(slot, i < SLOTS);
        motley__staging_release(r->context->device, &slot->staging);
        motley__buffer_destroy(slot->buffer);
    }
    if (r->cleared)
        clReleaseEvent(r->cleared);
    motley__buffer_destroy(r->expert);
    motley__flows_clear(&r->flows);
    free(r->projection);
    free(r);
}

/* The transfer queue goes on behind all that is on the compute queue by now. */
static int follow_computation(struct motley__device *device, struct motley_error *error)
{
    cl_event marker;
    int status = motley__queue_marker(device, &marker, error);
    if (status)
        return status;
    status = motley__fail_cl(error, clEnqueueBarrierWithWaitList(device->transfer, 1, &marker, NULL),
                             "clEnqueueBarrierWithWaitList");
    clReleaseEvent(marker);
    return status;
}

int motley__redistribution_begin(struct motley__redistribution *redistribution, struct motley__matrix *const *from,
                                 struct motley__matrix *const *to, int accumulate, struct motley_error *error)
{
    struct motley__redistribution *r = redistribution;
    int done, status = follow_computation(r->context->device, error);
    assert(!r->cleared && r->in.begun == r->in.ended && r->out.begun == r->out.ended);
    motley__window_open(r->context, &r->window);
    r->in.begun = r->in.put = r->in.ended = r->out.begun = r->out.ended = 0;
    r->from = from;
    r->to = to;
    if (!status && r->options.sum && !accumulate)
        status = motley__pieces_clear(r, error);
    return status ? status : motley__redistribution_test(r, &done, error);
}

int motley__redistribution_test(void *self, int *done, struct motley_error *error)
{
    struct motley__redistribution *r = self;
    int cleared, status = motley__event_ended(&r->cleared, &cleared, error);
    if (!status)
        status = motley__pieces_in(r, error);
    if (!status)
        status = motley__pieces_out(r, error);
    *done = !status && cleared && r->in.ended == r->in.pieces && r->out.ended == r->out.pieces;
    return status;
}

/* One request of a piece that is not complete, MPI_REQUEST_NULL if all are. */
static MPI_Request open_request(const struct motley__way *way, int piece)
{
    const struct motley__slot *slot = &way->slot[piece % SLOTS];
    for (int i = 0; i < slot->requests; i++)
        if (slot->request[i] != MPI_REQUEST_NULL)
            return slot->request[i];
    return MPI_REQUEST_NULL;
}

void motley__redistribution_missing(const void *request, char *text, int size)
{
    const struct motley__redistribution *r = request;
    MPI_Request open[2 * SLOTS];
    int peer[2 * SLOTS], count = 0;
    for (int i = r->in.put; i < r->in.begun; i++) {
        open[count] = open_request(&r->in, i);
        peer[count++] = r->flows.flow[r->in.piece[i].flow].from;
    }
    for (int i = r->out.ended; i < r->out.begun; i++) {
        open[count] = open_request(&r->out, i);
        peer[count++] = r->flows.flow[r->out.piece[i].flow].to;
    }
    motley__requests_missing(open, peer, count, text, size);
}

int motley__redistribution_wait(struct motley__redistribution *redistribution, struct motley_error *error)
{
    struct motley__redistribution *r = redistribution;
    double since = motley__seconds();
    int done, status;
    for (;;) {
        const int ended = r->in.ended + r->out.ended;
        const double waited = motley__seconds() - since;
        char who[256] = "";
        status = motley__redistribution_test(r, &done, error);
        if (status || done)
            return status;
        if (r->in.ended + r->out.ended > ended) {
            since = motley__seconds();
        } else if (waited > r->context->time_limit) {
            motley__redistribution_missing(r, who, sizeof who);
            return motley__fail(error, MOTLEY_E_COMM, "%s: nothing heard from %s for %.0f seconds", r->options.name,
                                who[0] ? who : "the device", waited);
        } else {
            motley__idle(waited, 0);
        }
    }
}

int64_t motley__redistribution_bytes(const struct motley__redistribution *redistribution, int64_t *nodes)
{
    const struct motley__redistribution *r = redistribution;
    const int *node = r->context->node_of;
    int64_t bytes = 0;
    *nodes = 0;
    for (int i = 0; i < r->out.pieces; i++) {
        const struct motley__flow *flow = &r->flows.flow[r->out.piece[i].flow];
        const int64_t piece = (int64_t)motley__piece_bytes(r, &r->out.piece[i]);
        bytes += piece;
        *nodes += node[flow->from] != node[flow->to] ? piece : 0;
    }
    return bytes;
}

uint64_t motley__redistribution_memory(const struct motley__redistribution *redistribution)
{
    const struct motley__redistribution *r = redistribution;
    uint64_t bytes = r->expert ? r->expert->bytes : 0;
    for (int i = 0; i < SLOTS; i++)
        bytes += (r->in.slot[i].buffer ? r->in.slot[i].buffer->bytes : 0) +
                 (r->out.slot[i].buffer ? r->out.slot[i].buffer->bytes : 0);
    return bytes;
}
