/* Moving rows between ranks: one contract, one file per algorithm.
 *
 * A transfer sends a span of rows to every other rank and receives one from each; where spans lie in the two buffers is
 * the caller's.  Several ranks may be sent the same rows:
 *
 *   send      | rows to ranks 0 and 1 | rows to rank 2 | ...      (nothing for the own rank)
 *   received  | rows from rank 0 | rows from rank 1 | ...
 *
 * It has one or two parts, each with its own rows and spans: rows of tokens, and what goes along with them.  How many
 * there are travels first (motley__counts, of all chunks at once), then exactly the rows: no padding, no capacity.
 * Messages count rows with a row datatype, so no count passes 2^31 where bytes do.
 *
 * begin starts it, test moves it on; between the two the caller computes.  On a device whose memory is not the
 * host's, rows go through pinned host memory in stretches, so that copies and messages overlap (stretches.h).
 *
 * Algorithms: linear.c (every pair of ranks directly).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_EXCHANGE_EXCHANGE_H
#define MOTLEY_EXCHANGE_EXCHANGE_H

#include <mpi.h>

#include "context.h"
#include "device/buffer.h"
#include "exchange/message.h"
#include "exchange/stretches.h"

enum { MOTLEY__PARTS = 2 };

/* Which rows of a buffer are for, or from, each rank. */
struct motley__spans {
    int *rows;                               /* [R] how many; 0 for the own rank */
    int64_t *first;                          /* [R] where they begin */
    int64_t begin, end;                      /* all of them lie in rows begin .. end-1 */
};

struct motley__part {
    const struct motley__buffer *send;       /* device */
    const struct motley__spans *out;         /* of send; borrowed until the next transfer begins */
    struct motley__buffer *received;         /* device */
    const struct motley__spans *in;
};

/* One direction of one exchange, or of one chunk of it.  Reused from step to step; allocates only when it must grow. */
struct motley__transfer {
    /* Set once by motley__transfer_create. */
    const struct motley_context *context;    /* borrowed */
    const char *name;                        /* "dispatch": constant, for messages */
    int tag;                                 /* parts use tag, tag+1 */
    int parts;
    MPI_Datatype row[MOTLEY__PARTS];
    size_t row_bytes[MOTLEY__PARTS];
    MPI_Request *request;                    /* [room] owned: receives, then sends */
    int *peer;                               /* [room] owned: of each request */
    size_t room;
    struct motley__stretches in, out;
    struct motley__pinned arrived[MOTLEY__PARTS], leaving[MOTLEY__PARTS];
    cl_event copied_in;                      /* behind the last copy to the device; NULL: none under way */

    /* Of the transfer under way, or of the last one. */
    struct motley__part part[MOTLEY__PARTS];
    int requests;                            /* begun */
    int receives;                            /* the first of them; the others are sends */
    struct motley__window window;            /* of the messages to other nodes */
};

/* row_bytes [parts], of one row of each part.  Collective in the sense that all ranks must create the same
 * transfers.  Errors: MOTLEY_E_MEMORY, MOTLEY_E_COMM, MOTLEY_E_UNSUPPORTED (a row has 2^31 bytes or more). */
int motley__transfer_create(const struct motley_context *context, const char *name, int tag, int parts,
                            const size_t *row_bytes, struct motley__transfer **transfer, struct motley_error *error);
void motley__transfer_destroy(struct motley__transfer *transfer); /* accepts NULL; cancels what is under way */

/* The send buffers are complete on the device (their operators are done); received has room.  part [parts].
 * Errors: MOTLEY_E_MEMORY, MOTLEY_E_COMM, MOTLEY_E_DEVICE, MOTLEY_E_UNSUPPORTED (2^31 messages or more). */
int motley__transfer_begin(struct motley__transfer *transfer, const struct motley__part *part,
                           struct motley_error *error);
/* *done = 1 when all rows have arrived on the device and all sent ones have left.  transfer: a struct
 * motley__transfer *, as operators of a step want it. */
int motley__transfer_test(void *transfer, int *done, struct motley_error *error);
/* Who is waited for: "rank 3, rank 5". */
void motley__transfer_missing(const void *transfer, char *text, int size);

/* Bytes that the last transfer sent to other ranks, and of them to other nodes. */
void motley__transfer_bytes(const struct motley__transfer *transfer, int64_t *ranks, int64_t *nodes);

/* The counts: how many rows and pairs of each chunk each rank has for this one.  They go to ranks that take any, and
 * come from ranks that may have some: r's `to` of this rank is this rank's `from` of r. */
struct motley__count {
    int rows, pairs;
};
struct motley__counts {
    const struct motley_context *context;    /* borrowed */
    const int *to, *from;                    /* [R] 1: takes rows of this one, may have rows for it; borrowed */
    int chunks;
    struct motley__count *mine, *theirs;     /* [R,chunks] for each rank; from each rank, own one 0; owned */
    MPI_Request *request;                    /* [2R] owned */
    int *peer;                               /* [2R] owned */
    int requests;
    int tag;
};
int motley__counts_create(const struct motley_context *context, const int *to, const int *from, int chunks, int tag,
                          struct motley__counts **counts, struct motley_error *error);
void motley__counts_destroy(struct motley__counts *counts); /* accepts NULL */
int motley__counts_begin(struct motley__counts *counts, struct motley_error *error); /* `mine` is filled */
int motley__counts_test(void *counts, int *done, struct motley_error *error);
void motley__counts_missing(const void *counts, char *text, int size);
int64_t motley__counts_bytes(const struct motley__counts *counts, int64_t *nodes);

/* linear.c: what goes to and comes from each rank, in the order in which it should. */
int motley__linear_stretches(struct motley__transfer *transfer, struct motley_error *error);

/* Which of `count` requests are still open, as "rank 3, rank 5": shared by transfers and counts. */
void motley__requests_missing(const MPI_Request *request, const int *peer, int count, char *text, int size);

#endif
