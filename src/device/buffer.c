/* Device memory and its account.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/buffer.h"
#include "device/queue.h"

/* Host memory that OpenCL is given starts on a page: large buffers on a large one, since weights that are read once
 * and in pieces otherwise miss the address cache at every piece. */
enum { PAGE_BYTES = 4096, LARGE_PAGE_BYTES = 2 << 20 };

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* The two limits that must hold before the device is asked. */
static int check_account(const struct motley__device *device, size_t bytes, struct motley_error *error)
{
    if (bytes > device->max_buffer_bytes)
        return motley__fail(error, MOTLEY_E_DEVICE_MEMORY,
                            "%s: a buffer of %.1f MiB was asked for, but one buffer of this device holds at most "
                            "%.1f MiB; use smaller sizes or more ranks", device->info.name, mib(bytes),
                            mib(device->max_buffer_bytes));
    if (bytes > device->memory_bytes || device->used_bytes > device->memory_bytes - bytes)
        return motley__fail(error, MOTLEY_E_DEVICE_MEMORY,
                            "%s: %.1f MiB were asked for and %.1f MiB are in use, but this rank may use %.1f MiB; "
                            "use smaller sizes, more ranks or a higher memory limit", device->info.name, mib(bytes),
                            mib(device->used_bytes), mib(device->memory_bytes));
    return 0;
}

static void *host_pages(size_t bytes)
{
    size_t page = bytes >= LARGE_PAGE_BYTES ? LARGE_PAGE_BYTES : PAGE_BYTES;
    void *host;

    bytes = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    if (posix_memalign(&host, page, bytes))
        return NULL;
#ifdef MADV_HUGEPAGE
    if (page == LARGE_PAGE_BYTES)
        madvise(host, bytes, MADV_HUGEPAGE); /* a wish: a system without large pages works too */
#endif
    return host;
}

static int allocate(struct motley__buffer *buffer, struct motley_error *error)
{
    struct motley__device *device = buffer->device;
    size_t bytes = buffer->bytes;
    cl_mem_flags flags = CL_MEM_READ_WRITE;
    int status = check_account(device, bytes, error);
    if (status)
        return status;
    if (device->zero_copy) {
        flags |= CL_MEM_USE_HOST_PTR;
        buffer->host = host_pages(bytes);
        if (!buffer->host)
            return motley__fail(error, MOTLEY_E_DEVICE_MEMORY, "%s: out of memory for a buffer of %.1f MiB",
                                device->info.name, mib(bytes));
    }
    cl_int code;
    buffer->mem = clCreateBuffer(device->context, flags, bytes, buffer->host, &code);
    if (code != CL_SUCCESS) {
        buffer->mem = NULL;
        status = motley__fail_cl(error, code, "clCreateBuffer");
        return motley__fail_in(error, status, "%s: a buffer of %.1f MiB, with %.1f MiB in use", device->info.name,
                               mib(bytes), mib(device->used_bytes));
    }
    device->used_bytes += bytes;
    if (device->used_bytes > device->peak_bytes)
        device->peak_bytes = device->used_bytes;
    return 0;
}

int motley__buffer_create(struct motley__device *device, size_t bytes, struct motley__buffer **buffer,
                          struct motley_error *error)
{
    struct motley__buffer *b = calloc(1, sizeof *b);
    if (!b)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a buffer");
    b->device = device;
    b->bytes = bytes;
    int status = bytes > 0 ? allocate(b, error) : 0;
    if (status) {
        free(b->host);
        free(b);
        return status;
    }
    *buffer = b;
    return 0;
}

void motley__buffer_destroy(struct motley__buffer *buffer)
{
    if (!buffer)
        return;
    if (buffer->mem) {
        /* What was enqueued before may still use memory that is about to be freed. */
        if (buffer->host && !buffer->parent) {
            clFinish(buffer->device->compute);
            clFinish(buffer->device->transfer);
        }
        clReleaseMemObject(buffer->mem);
        if (!buffer->parent) {
            buffer->device->used_bytes -= buffer->bytes;
            free(buffer->host);
        }
    }
    free(buffer);
}

int motley__buffer_reserve(struct motley__device *device, struct motley__buffer **buffer, size_t bytes,
                           struct motley_error *error)
{
    if (!*buffer)
        return motley__buffer_create(device, bytes, buffer, error);
    if ((*buffer)->bytes >= bytes)
        return 0;
    int status = motley__queue_wait(device, error);
    if (status)
        return status;
    size_t more = (*buffer)->bytes > 0 ? bytes + bytes / 4 : bytes;
    motley__buffer_destroy(*buffer);
    *buffer = NULL;
    if (more > bytes && check_account(device, more, NULL) == 0 &&
        motley__buffer_create(device, more, buffer, NULL) == 0)
        return 0;
    return motley__buffer_create(device, bytes, buffer, error);
}

size_t motley__align(const struct motley__device *device, size_t bytes)
{
    return (bytes + device->align_bytes - 1) / device->align_bytes * device->align_bytes;
}

int motley__buffer_view(struct motley__buffer *parent, size_t offset, size_t bytes, struct motley__buffer **view,
                        struct motley_error *error)
{
    assert(!parent->parent && offset % parent->device->align_bytes == 0);
    assert(offset <= parent->bytes && bytes <= parent->bytes - offset);
    struct motley__buffer *v = calloc(1, sizeof *v);
    if (!v)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a buffer");
    v->device = parent->device;
    v->parent = parent;
    v->bytes = bytes;
    if (bytes > 0) {
        cl_buffer_region region = {offset, bytes};
        cl_int code;
        v->mem = clCreateSubBuffer(parent->mem, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
        if (code != CL_SUCCESS) {
            free(v);
            return motley__fail_cl(error, code, "clCreateSubBuffer");
        }
        v->host = parent->host ? (char *)parent->host + offset : NULL;
    }
    *view = v;
    return 0;
}

static void check_range(const struct motley__buffer *buffer, size_t offset, size_t bytes)
{
    assert(offset <= buffer->bytes && bytes <= buffer->bytes - offset);
    (void)buffer, (void)offset, (void)bytes;
}

int motley__buffer_write(struct motley__buffer *buffer, size_t offset, const void *host, size_t bytes,
                         struct motley_error *error)
{
    check_range(buffer, offset, bytes);
    if (bytes == 0)
        return 0;
    if (!buffer->host)
        return motley__fail_cl(error, clEnqueueWriteBuffer(buffer->device->compute, buffer->mem, CL_TRUE, offset,
                                                           bytes, host, 0, NULL, NULL), "clEnqueueWriteBuffer");
    int status = motley__queue_wait(buffer->device, error);
    if (!status)
        memcpy((char *)buffer->host + offset, host, bytes);
    return status;
}

int motley__buffer_read(const struct motley__buffer *buffer, size_t offset, void *host, size_t bytes,
                        struct motley_error *error)
{
    check_range(buffer, offset, bytes);
    if (bytes == 0)
        return 0;
    if (!buffer->host)
        return motley__fail_cl(error, clEnqueueReadBuffer(buffer->device->compute, buffer->mem, CL_TRUE, offset,
                                                          bytes, host, 0, NULL, NULL), "clEnqueueReadBuffer");
    int status = motley__queue_wait(buffer->device, error);
    if (!status)
        memcpy(host, (const char *)buffer->host + offset, bytes);
    return status;
}

int motley__buffer_read_later(const struct motley__buffer *buffer, size_t offset, void *host, size_t bytes,
                              struct motley_error *error)
{
    check_range(buffer, offset, bytes);
    if (bytes == 0)
        return 0;
    return motley__fail_cl(error, clEnqueueReadBuffer(buffer->device->compute, buffer->mem, CL_FALSE, offset, bytes,
                                                      host, 0, NULL, NULL), "clEnqueueReadBuffer");
}

int motley__buffer_write_later(struct motley__buffer *buffer, size_t offset, const void *host, size_t bytes,
                               struct motley_error *error)
{
    check_range(buffer, offset, bytes);
    if (bytes == 0)
        return 0;
    return motley__fail_cl(error, clEnqueueWriteBuffer(buffer->device->compute, buffer->mem, CL_FALSE, offset, bytes,
                                                       host, 0, NULL, NULL), "clEnqueueWriteBuffer");
}

int motley__buffer_zero(struct motley__buffer *buffer, size_t offset, size_t bytes, struct motley_error *error)
{
    check_range(buffer, offset, bytes);
    if (bytes == 0)
        return 0;
    /* The pattern must divide both numbers; a wider one is faster. */
    static const unsigned char zeros[16];
    size_t pattern = (offset | bytes) % 16 == 0 ? 16 : (offset | bytes) % 4 == 0 ? 4 : 1;
    return motley__fail_cl(error, clEnqueueFillBuffer(buffer->device->compute, buffer->mem, zeros, pattern, offset,
                                                      bytes, 0, NULL, NULL), "clEnqueueFillBuffer");
}

int motley__buffer_copy(const struct motley__buffer *from, size_t from_offset, struct motley__buffer *to,
                        size_t to_offset, size_t bytes, struct motley_error *error)
{
    check_range(from, from_offset, bytes);
    check_range(to, to_offset, bytes);
    if (bytes == 0)
        return 0;
    return motley__fail_cl(error, clEnqueueCopyBuffer(from->device->compute, from->mem, to->mem, from_offset,
                                                      to_offset, bytes, 0, NULL, NULL), "clEnqueueCopyBuffer");
}
