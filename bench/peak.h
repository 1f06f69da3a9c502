/* What this device does at most, measured: multiply-adds per second in registers (where the variant of a storage type
 * has matrix instructions: of those), bytes per second from memory.
 *
 * Both wander on a machine that others use too.  So they are measured twice: at first the best of many runs, to say and
 * to plan by; then in short runs between those of what is compared with them (alternate.h).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_PEAK_H
#define MOTLEY_BENCH_PEAK_H

#include <motley/tensor.h>
#include "device/queue.h"

/* Of one storage type. */
struct motley__sums {
    double best;                        /* flops per second, of the beginning */
    double flops;                       /* of a short run */
    int loops;                          /* of it; 0: not measured yet */
};

struct motley__peak {
    double bytes;                       /* per second, the best of the beginning */
    double seconds;                     /* to spend on each */
    struct motley__device *device;      /* borrowed */
    struct motley__buffer *data, *out;  /* owned: far more than the caches hold; what the kernels write */
    struct motley__sums sums[MOTLEY__DTYPES];
    double read_bytes;                  /* of a short run */
    size_t read_at;                     /* where in the data the next one begins */
};

/* The reads.  Blocking; spends these seconds at most, but for a few runs.  peak: zero before; released by the caller,
 * also after a failure. */
int motley__peak_measure(struct motley__device *device, double seconds, struct motley__peak *peak,
                         struct motley_error *error);
void motley__peak_release(struct motley__peak *peak);

/* The sums of a storage type that the device has admitted (product/admit.h), likewise; nothing when they were measured
 * before. */
int motley__peak_admit(struct motley__peak *peak, enum motley_dtype dtype, struct motley_error *error);

/* Enqueue peak->sums[dtype].flops of multiply-adds. */
int motley__peak_sums(struct motley__peak *peak, enum motley_dtype dtype, struct motley_error *error);
/* Enqueue peak->read_bytes of reads that are in no cache; afterwards the caches hold nothing of what comes next. */
int motley__peak_read(struct motley__peak *peak, struct motley_error *error);

#endif
