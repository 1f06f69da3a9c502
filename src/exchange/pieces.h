/* A redistribution from the inside: pieces under way, in a ring of slots each way.
 *
 *   redistribution.c   its life; running it
 *   pieces.c           what is done with one piece after the other
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_EXCHANGE_PIECES_H
#define MOTLEY_EXCHANGE_PIECES_H

#include "exchange/message.h"
#include "exchange/redistribution.h"
#include "exchange/staging.h"

/* A piece under way: on the device, or between ranks. */
struct motley__slot {
    struct motley__buffer *buffer;      /* [largest piece] */
    struct motley__staging staging;
    cl_event event;                     /* behind the kernel that cuts out or puts in; NULL: none under way */
    MPI_Request *request;               /* [requests]; owned, room for the largest piece */
    int requests;                       /* under way */
    int sent;                           /* bytes of the piece in messages begun */
};

/* One way; pieces [ended, begun) are in slots, each in that of its number modulo the slots; those below `put` are put
 * in. */
struct motley__way {
    const struct motley__piece *piece;
    int pieces, begun, put, ended;
    struct motley__slot slot[MOTLEY__REDISTRIBUTION_SLOTS];
};

struct motley__redistribution {
    const motley_context *context;
    struct motley__redistribution_options options;
    struct motley__projection *projection;
    int projections;
    struct motley__flows flows;
    struct motley__buffer *expert;      /* the flows' lists on the device */
    struct motley__way out, in;
    struct motley__window window;       /* of the messages to other nodes */
    cl_event cleared;                   /* what sums are added to is zero; NULL: nothing is being cleared */
    struct motley__matrix *const *from, *const *to;
};

/* Bytes of a piece. */
size_t motley__piece_bytes(const struct motley__redistribution *redistribution, const struct motley__piece *piece);

/* Overwrite with zero what sums will be added to; `cleared` tells its end. */
int motley__pieces_clear(struct motley__redistribution *redistribution, struct motley_error *error);

/* Begin and move on what can be of one way. */
int motley__pieces_out(struct motley__redistribution *redistribution, struct motley_error *error);
int motley__pieces_in(struct motley__redistribution *redistribution, struct motley_error *error);

/* *done = 1 when there is no event, or there is none any more. */
int motley__event_ended(cl_event *event, int *done, struct motley_error *error);

#endif
