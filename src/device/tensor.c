/* A matrix on this rank's device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>

#include "device/tensor.h"

int motley__tensor_create(struct motley__device *device, enum motley_dtype dtype, int64_t rows, int64_t width,
                          motley_tensor **tensor, struct motley_error *error)
{
    if ((int)dtype < MOTLEY_F32 || dtype > MOTLEY_F16)
        return motley__fail(error, MOTLEY_E_INVALID, "storage type %d, expected f32 (0), bf16 (1) or f16 (2)",
                            (int)dtype);
    if (rows < 0 || width < 0 || (width > 0 && (uint64_t)rows > SIZE_MAX / sizeof(float) / (uint64_t)width))
        return motley__fail(error, MOTLEY_E_INVALID, "a tensor cannot have %" PRId64 " rows of %" PRId64 " numbers",
                            rows, width);
    motley_tensor *t = calloc(1, sizeof *t);
    if (!t)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a tensor");
    t->dtype = dtype;
    t->rows = rows;
    t->width = width;
    int status = motley__buffer_create(device, (size_t)rows * (size_t)width * motley__storage_bytes(dtype), &t->buffer,
                                       error);
    if (status) {
        free(t);
        return status;
    }
    *tensor = t;
    return 0;
}

int motley_tensor_create(motley_context *context, enum motley_dtype dtype, int64_t rows, int64_t width,
                         motley_tensor **tensor, struct motley_error *error)
{
    return motley__tensor_create(motley__context_device_of(context), dtype, rows, width, tensor, error);
}

void motley_tensor_destroy(motley_tensor *tensor)
{
    if (!tensor)
        return;
    motley__buffer_destroy(tensor->buffer);
    free(tensor);
}

int motley_tensor_write(motley_tensor *tensor, const float *host, struct motley_error *error)
{
    const size_t bytes = tensor->buffer->bytes;
    if (tensor->dtype == MOTLEY_F32)
        return motley__buffer_write(tensor->buffer, 0, host, bytes, error);
    void *stored = malloc(bytes + 1);
    if (!stored)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a tensor of %zu bytes", bytes);
    motley__store(tensor->dtype, host, bytes / motley__storage_bytes(tensor->dtype), stored);
    int status = motley__buffer_write(tensor->buffer, 0, stored, bytes, error);
    free(stored);
    return status;
}

int motley_tensor_read(const motley_tensor *tensor, float *host, struct motley_error *error)
{
    const size_t bytes = tensor->buffer->bytes;
    if (tensor->dtype == MOTLEY_F32)
        return motley__buffer_read(tensor->buffer, 0, host, bytes, error);
    void *stored = malloc(bytes + 1);
    if (!stored)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a tensor of %zu bytes", bytes);
    int status = motley__buffer_read(tensor->buffer, 0, stored, bytes, error);
    if (!status)
        motley__load(tensor->dtype, stored, bytes / motley__storage_bytes(tensor->dtype), host);
    free(stored);
    return status;
}

enum motley_dtype motley_tensor_dtype(const motley_tensor *tensor)
{
    return tensor->dtype;
}

int64_t motley_tensor_rows(const motley_tensor *tensor)
{
    return tensor->rows;
}

int64_t motley_tensor_width(const motley_tensor *tensor)
{
    return tensor->width;
}
