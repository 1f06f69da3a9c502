/* A buffer as a whole between a device's own memory and the network: pieces of weights, each small.  Rows go in
 * stretches (stretches.h).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_EXCHANGE_STAGING_H
#define MOTLEY_EXCHANGE_STAGING_H

#include "device/buffer.h"
#include "exchange/pinned.h"

/* One direction's two areas.  Zero is empty.  Unused on zero-copy devices, where rows are sent from and
 * received into the buffers themselves. */
struct motley__staging {
    struct motley__pinned out, in;
    cl_event event;                     /* the copy under way, or NULL */
};

void motley__staging_release(struct motley__device *device, struct motley__staging *staging);

/* The host address to send `bytes` of `buffer` from `offset` on from.  Zero copy: the buffer's own; else a copy is
 * enqueued on the transfer queue and staging->event tells its end. */
int motley__staging_out(const struct motley__buffer *buffer, size_t offset, size_t bytes,
                        struct motley__staging *staging, const void **host, struct motley_error *error);
/* The host address to receive `bytes` at that belong into `buffer` from `offset` on, and later their way to the
 * device. */
int motley__staging_in(const struct motley__buffer *buffer, size_t offset, size_t bytes,
                       struct motley__staging *staging, void **host, struct motley_error *error);
int motley__staging_in_finish(struct motley__buffer *buffer, size_t offset, size_t bytes,
                              struct motley__staging *staging, struct motley_error *error);
/* *done = 1 when no copy is under way. */
int motley__staging_test(struct motley__staging *staging, int *done, struct motley_error *error);

#endif
