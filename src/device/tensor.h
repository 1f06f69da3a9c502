/* A matrix: the public tensor as the library's own parts see it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_DEVICE_TENSOR_H
#define MOTLEY_DEVICE_TENSOR_H

#include <motley/tensor.h>
#include "device/buffer.h"
#include "device/storage.h"

struct motley_tensor {
    struct motley__buffer *buffer;      /* owned; rows*width numbers */
    enum motley_dtype dtype;
    int64_t rows, width;
};

/* As motley_tensor_create, on a device of its own. */
int motley__tensor_create(struct motley__device *device, enum motley_dtype dtype, int64_t rows, int64_t width,
                          motley_tensor **tensor, struct motley_error *error);

/* The device within a context; borrowed.  Defined with the context. */
struct motley__device *motley__context_device_of(motley_context *context);

#endif
