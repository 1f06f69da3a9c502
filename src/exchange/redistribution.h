/* Moving experts' matrices from one placement to another, or adding what several ranks have of them.
 *
 *   gather   every rank gets what it wants of what the others hold: weights into data mode's cache, or experts to new
 *            owners
 *   sum      every rank gets the sum, in the order of ranks, of what all have for what it holds: gradients (f32)
 *
 * Pieces of bounded size (flow.h) go through SLOTS buffers each way: cut out of the layout by a kernel on the transfer
 * queue, sent, received, put into the layout.  What stays on the rank goes from matrix to matrix.  So device memory
 * is at most 2 * SLOTS pieces whatever the experts' size, and one redistribution serves all layers of a model, one
 * after the other.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_EXCHANGE_REDISTRIBUTION_H
#define MOTLEY_EXCHANGE_REDISTRIBUTION_H

#include "context.h"
#include "exchange/flow.h"

/* Measured between two ranks with a core each, of 12.6 million f32 that each has half of, f32 panels of 32: 28 ms where
 * parts are cut between panels, 52 ms where not (3.6 and 1.9 GB/s of what is put in).
 *
 * Pieces stay in a CPU's cache between cutting out, sending and putting in: those of 4 MiB took three times as long
 * between unlike layouts, those of 256 KiB half as long again between like ones. */
enum { MOTLEY__PIECE_BYTES = 1024 * 1024, MOTLEY__REDISTRIBUTION_SLOTS = 4 };

struct motley__redistribution_options {
    const char *name;                   /* constant, for messages: "gather weights" */
    int tag;                            /* of its messages */
    int sum;
    int apart;                          /* 1: between ranks only; what stays on a rank is in place already */
    size_t piece_bytes;                 /* 0: MOTLEY__PIECE_BYTES; the same on all ranks */
};

struct motley__redistribution; /* opaque */

/* projection [projections], panel [projections] of this rank's matrices; everything is copied.
 * Collective, agreed.  Errors: MOTLEY_E_MEMORY, MOTLEY_E_DEVICE_MEMORY. */
int motley__redistribution_create(const motley_context *context, const struct motley__placement *from,
                                  const struct motley__placement *to, const struct motley__projection *projection,
                                  const int *panel, int projections,
                                  const struct motley__redistribution_options *options,
                                  struct motley__redistribution **redistribution, struct motley_error *error);
void motley__redistribution_destroy(struct motley__redistribution *redistribution); /* accepts NULL; gives up what is
                                                                                       under way */

/* Start, behind all that is on the compute queue by now.  from, to [projections] borrowed until done: matrices of this
 * rank's holdings; NULL where it has nothing of them.  Until done nobody may change what is read or use what is
 * written.  accumulate: sums are added to what is there, else it is overwritten; gathered matrices are overwritten
 * where somebody holds what they want.
 * Errors: MOTLEY_E_COMM, MOTLEY_E_DEVICE. */
int motley__redistribution_begin(struct motley__redistribution *redistribution, struct motley__matrix *const *from,
                                 struct motley__matrix *const *to, int accumulate, struct motley_error *error);

/* As operators of a step want them; self and request: a struct motley__redistribution *. */
int motley__redistribution_test(void *self, int *done, struct motley_error *error);
void motley__redistribution_missing(const void *request, char *text, int size);

/* Until done, outside a step.  Errors: MOTLEY_E_COMM (a rank stayed silent). */
int motley__redistribution_wait(struct motley__redistribution *redistribution, struct motley_error *error);

/* Bytes that one run sends to other ranks, and of them to other nodes. */
int64_t motley__redistribution_bytes(const struct motley__redistribution *redistribution, int64_t *nodes);

/* Device bytes it holds. */
uint64_t motley__redistribution_memory(const struct motley__redistribution *redistribution);

#endif
