/* What this device does at most, measured: multiply-adds per second in registers, bytes per second from memory.
 *
 * Both are the best of many short runs: a limit is what was reached once, not what is usual.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_PEAK_H
#define MOTLEY_BENCH_PEAK_H

#include "device/queue.h"

struct motley__peak {
    double flops, bytes;                /* per second, f32 */
    double seconds;                     /* to spend on each */
    /* For emptying the caches. */
    struct motley__device *device;      /* borrowed */
    struct motley__buffer *data, *out;  /* owned: far more than the caches hold; what the kernels write */
    size_t flush_bytes;                 /* more than the caches hold */
};

/* Blocking; spends these seconds at most on each, but for a few runs.  peak: zero before; released by the caller, also
 * after a failure. */
int motley__peak_measure(struct motley__device *device, double seconds, struct motley__peak *peak,
                         struct motley_error *error);
/* Both once more: the better ones count.  Others may have had the cores the first time. */
int motley__peak_again(struct motley__peak *peak, struct motley_error *error);
void motley__peak_release(struct motley__peak *peak);

/* Read other data until the caches hold nothing of what comes next.  Enqueued. */
int motley__peak_flush(const struct motley__peak *peak, struct motley_error *error);

#endif
