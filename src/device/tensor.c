/* A matrix of f32 on this rank's device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>

#include "device/tensor.h"

int motley__tensor_create(struct motley__device *device, int64_t rows, int64_t width, motley_tensor **tensor,
                          struct motley_error *error)
{
    if (rows < 0 || width < 0 || (width > 0 && (uint64_t)rows > SIZE_MAX / sizeof(float) / (uint64_t)width))
        return motley__fail(error, MOTLEY_E_INVALID, "a tensor cannot have %" PRId64 " rows of %" PRId64 " numbers",
                            rows, width);
    motley_tensor *t = calloc(1, sizeof *t);
    if (!t)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a tensor");
    t->rows = rows;
    t->width = width;
    int status = motley__buffer_create(device, (size_t)rows * (size_t)width * sizeof(float), &t->buffer, error);
    if (status) {
        free(t);
        return status;
    }
    *tensor = t;
    return 0;
}

int motley_tensor_create(motley_context *context, int64_t rows, int64_t width, motley_tensor **tensor,
                         struct motley_error *error)
{
    return motley__tensor_create(motley__context_device_of(context), rows, width, tensor, error);
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
    return motley__buffer_write(tensor->buffer, 0, host, tensor->buffer->bytes, error);
}

int motley_tensor_read(const motley_tensor *tensor, float *host, struct motley_error *error)
{
    return motley__buffer_read(tensor->buffer, 0, host, tensor->buffer->bytes, error);
}

int64_t motley_tensor_rows(const motley_tensor *tensor)
{
    return tensor->rows;
}

int64_t motley_tensor_width(const motley_tensor *tensor)
{
    return tensor->width;
}
