/* Device memory.
 *
 * On a device whose memory is the host's (zero_copy) a buffer is host memory that OpenCL was given;
 * elsewhere it is the device's own.  Every buffer is counted in the device's account.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_DEVICE_BUFFER_H
#define MOTLEY_DEVICE_BUFFER_H

#include "device/device.h"

struct motley__buffer {
    struct motley__device *device;      /* borrowed */
    cl_mem mem;                         /* NULL when bytes is 0 */
    void *host;                         /* zero_copy: its memory; NULL elsewhere */
    size_t bytes;
    struct motley__buffer *parent;      /* a view's parent, borrowed; NULL for a buffer of its own */
};

/* bytes may be 0: the buffer then has no mem and kernels must not be launched on it.
 * Fails with MOTLEY_E_DEVICE_MEMORY and both numbers when the account or the device is exceeded. */
int motley__buffer_create(struct motley__device *device, size_t bytes, struct motley__buffer **buffer,
                          struct motley_error *error);
void motley__buffer_destroy(struct motley__buffer *buffer); /* accepts NULL */

/* At least `bytes`, contents lost when it grows; exact at first, a quarter more than asked when it grows
 * again.  *buffer may be NULL before.  Waits for the compute queue when it must free. */
int motley__buffer_reserve(struct motley__device *device, struct motley__buffer **buffer, size_t bytes,
                           struct motley_error *error);

/* Part of another buffer: offset must be a multiple of device->align_bytes (motley__align).
 * Not counted again.  Destroy before the parent. */
int motley__buffer_view(struct motley__buffer *parent, size_t offset, size_t bytes, struct motley__buffer **view,
                        struct motley_error *error);
size_t motley__align(const struct motley__device *device, size_t bytes); /* rounded up to align_bytes */

/* Blocking copies through the compute queue, after all that was enqueued before. */
int motley__buffer_write(struct motley__buffer *buffer, size_t offset, const void *host, size_t bytes,
                         struct motley_error *error);
int motley__buffer_read(const struct motley__buffer *buffer, size_t offset, void *host, size_t bytes,
                        struct motley_error *error);

/* Enqueued on the compute queue, not waited for.  `host` must stay untouched until the queue has passed it. */
int motley__buffer_read_later(const struct motley__buffer *buffer, size_t offset, void *host, size_t bytes,
                              struct motley_error *error);
int motley__buffer_write_later(struct motley__buffer *buffer, size_t offset, const void *host, size_t bytes,
                               struct motley_error *error);
int motley__buffer_zero(struct motley__buffer *buffer, size_t offset, size_t bytes, struct motley_error *error);
int motley__buffer_copy(const struct motley__buffer *from, size_t from_offset, struct motley__buffer *to,
                        size_t to_offset, size_t bytes, struct motley_error *error);

#endif
