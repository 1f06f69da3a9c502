/* A buffer as a whole between a device's own memory and the network.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "device/queue.h"
#include "exchange/staging.h"

static void forget_event(struct motley__staging *staging)
{
    if (staging->event)
        clReleaseEvent(staging->event);
    staging->event = NULL;
}

void motley__staging_release(struct motley__device *device, struct motley__staging *staging)
{
    if (staging->event)
        clFinish(device->transfer);
    forget_event(staging);
    motley__pinned_release(device, &staging->out);
    motley__pinned_release(device, &staging->in);
}

int motley__staging_out(const struct motley__buffer *buffer, size_t offset, size_t bytes,
                        struct motley__staging *staging, const void **host, struct motley_error *error)
{
    int status;
    cl_int code;

    *host = NULL;
    if (!bytes)
        return 0;
    if (buffer->device->zero_copy) {
        *host = (char *)buffer->host + offset;
        return 0;
    }
    status = motley__pinned_reserve(buffer->device, &staging->out, bytes, error);
    if (status)
        return status;
    assert(!staging->event);
    code = clEnqueueReadBuffer(buffer->device->transfer, buffer->mem, CL_FALSE, offset, bytes, staging->out.host, 0,
                               NULL, &staging->event);
    if (code == CL_SUCCESS)
        code = clFlush(buffer->device->transfer);
    *host = staging->out.host;
    return motley__fail_cl(error, code, "clEnqueueReadBuffer (staging)");
}

int motley__staging_in(const struct motley__buffer *buffer, size_t offset, size_t bytes,
                       struct motley__staging *staging, void **host, struct motley_error *error)
{
    int status = 0;

    *host = NULL;
    if (!bytes)
        return 0;
    if (buffer->device->zero_copy) {
        *host = (char *)buffer->host + offset;
        return 0;
    }
    status = motley__pinned_reserve(buffer->device, &staging->in, bytes, error);
    *host = staging->in.host;
    return status;
}

int motley__staging_in_finish(struct motley__buffer *buffer, size_t offset, size_t bytes,
                              struct motley__staging *staging, struct motley_error *error)
{
    cl_int code;

    if (!bytes || buffer->device->zero_copy)
        return 0;
    assert(!staging->event);
    code = clEnqueueWriteBuffer(buffer->device->transfer, buffer->mem, CL_FALSE, offset, bytes, staging->in.host, 0,
                                NULL, &staging->event);
    if (code == CL_SUCCESS)
        code = clFlush(buffer->device->transfer);
    return motley__fail_cl(error, code, "clEnqueueWriteBuffer (staging)");
}

int motley__staging_test(struct motley__staging *staging, int *done, struct motley_error *error)
{
    int status = 0;

    *done = 1;
    if (staging->event) {
        status = motley__event_done(staging->event, done, error);
        if (!status && *done)
            forget_event(staging);
    }
    return status;
}
