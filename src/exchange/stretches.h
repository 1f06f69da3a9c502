/* Rows of a transfer in stretches: what goes to one rank, or comes from it, or a part of that.
 *
 * On a device with memory of its own a stretch is what is copied at once between the device and pinned host memory,
 * and what becomes a message (to another node several).  Copies to the host are enqueued at the beginning, one stretch
 * behind the other; each leaves when it is on the host and goes to the device when it has arrived, by another queue: so
 * both ways of the device and the network are busy at the same time.
 *
 *   sender     device -> pinned  0 1 2 3 4
 *   network                        0 1 2 3 4
 *   receiver                         0 1 2 3 4  pinned -> device
 *
 * Elsewhere messages go from buffer to buffer, and what goes to a rank is one stretch.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_EXCHANGE_STRETCHES_H
#define MOTLEY_EXCHANGE_STRETCHES_H

#include "exchange/pinned.h"

struct motley__transfer;

struct motley__stretch {
    int part, peer;
    int64_t first;                      /* row in the part's buffer */
    int rows;
    int sent;                           /* rows of it in messages begun */
    int index, of;                      /* its number among those of its part and peer; how many these are */
    int request, requests;              /* which of the transfer's are its messages; known when they are begun */
    cl_event copied;                    /* out: behind its copy to the host; NULL where nothing is copied */
};

/* One way.  Stretches below `ended` are: of those that leave, messages begun; of those that come, on their way to the
 * device. */
struct motley__stretches {
    struct motley__stretch *stretch;    /* [room] owned */
    int room, count, ended;
};

/* What `peer` gets or gives of a part, cut into stretches of at most so many rows and appended.
 * Errors: MOTLEY_E_MEMORY, MOTLEY_E_UNSUPPORTED. */
int motley__stretches_cut(struct motley__stretches *list, int part, int peer, int64_t first, int rows, int most,
                          struct motley_error *error);

/* Begin: receives; copies to the host.  Room for requests is there. */
int motley__stretches_receive(struct motley__transfer *transfer, struct motley_error *error);
int motley__stretches_copy_out(struct motley__transfer *transfer, struct motley_error *error);

/* Move on: send what is on the host; copy to the device what has arrived.  The latter are done when all are on their
 * way and transfer->copied_in has ended. */
int motley__stretches_send(struct motley__transfer *transfer, struct motley_error *error);
int motley__stretches_copy_in(struct motley__transfer *transfer, struct motley_error *error);

/* Forget the events of copies; they have ended, or nobody waits for them any more. */
void motley__stretches_forget(struct motley__stretches *list);

#endif
