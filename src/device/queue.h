/* Launching kernels on the compute queue.  The queue is in order: an operator sees what the operators
 * before it wrote.  Nothing here waits, except motley__queue_wait
 * and first launches (first.c).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_DEVICE_QUEUE_H
#define MOTLEY_DEVICE_QUEUE_H

#include "device/buffer.h"

/* One kernel argument.  MOTLEY__VALUE takes the address of any lvalue (a shared argument struct, an
 * int); MOTLEY__BUFFER a struct motley__buffer * (NULL gives the kernel a null pointer). */
struct motley__arg {
    size_t bytes;
    const void *value;
};
#define MOTLEY__VALUE(lvalue) ((struct motley__arg){sizeof(lvalue), &(lvalue)})
#define MOTLEY__BUFFER(b) ((struct motley__arg){sizeof(cl_mem), (b) ? (const void *)&(b)->mem : NULL})
#define MOTLEY__LOCAL(bytes) ((struct motley__arg){(bytes), NULL})

struct motley__range {
    size_t global[3], local[3];         /* global 0 in dimension 1 or 2 means 1; local[0] 0: the runtime chooses;
                                           global is rounded up to a multiple of local */
};

/* Set the arguments in order and enqueue.  A range with global[0] == 0 does nothing.
 *     motley__launch(device, kernel, (struct motley__range){{rows}, {64}}, error,
 *                    MOTLEY__VALUE(args), MOTLEY__BUFFER(x), MOTLEY__BUFFER(y)); */
#define motley__launch(device, kernel, range, error, ...)                                          \
    motley__launch_args((device), (kernel), (range), (error), (const struct motley__arg[]){__VA_ARGS__},   \
                        (int)(sizeof((const struct motley__arg[]){__VA_ARGS__}) / sizeof(struct motley__arg)))
int motley__launch_args(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                        struct motley_error *error, const struct motley__arg *args, int count);

/* The same on the transfer queue, for kernels that move what nobody computes with meanwhile: it is in order too, but
 * waits for nothing on the compute queue. */
#define motley__launch_beside(device, kernel, range, error, ...)                                   \
    motley__launch_on((device)->transfer, (kernel), (range), (error), (const struct motley__arg[]){__VA_ARGS__},  \
                      (int)(sizeof((const struct motley__arg[]){__VA_ARGS__}) / sizeof(struct motley__arg)))
int motley__launch_on(cl_command_queue queue, cl_kernel kernel, struct motley__range range, struct motley_error *error,
                      const struct motley__arg *args, int count);

/* first.c: 1 when this would be the first launch of the kernel with this local size on a runtime that compiles then;
 * *lock is to be let go by motley__cache_unlock when the launch has ended (-1: none could be had). */
int motley__first_launch(struct motley__device *device, cl_kernel kernel, const size_t *local, int *lock);
void motley__launched_release(struct motley__device *device);

/* All that was enqueued on the compute queue is done.  Naps in a way that leaves a shared core to others. */
int motley__queue_wait(struct motley__device *device, struct motley_error *error);

/* A marker behind everything enqueued so far on the compute queue, or on the transfer queue; the caller releases it. */
int motley__queue_marker(struct motley__device *device, cl_event *marker, struct motley_error *error);
int motley__transfer_marker(struct motley__device *device, cl_event *marker, struct motley_error *error);
/* *done = 1 when the event has completed; fails when it ended in an error. */
int motley__event_done(cl_event event, int *done, struct motley_error *error);

#endif
