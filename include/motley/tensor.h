/* A matrix on this rank's device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TENSOR_H
#define MOTLEY_TENSOR_H

#include <motley/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How numbers are stored.  Whatever the storage, sums are taken in f32. */
enum motley_dtype { MOTLEY_F32, MOTLEY_BF16, MOTLEY_F16 };

typedef struct motley_tensor motley_tensor;

/* A tensor [rows, width], contents undefined.  rows may be 0.  Local.
 * Errors: MOTLEY_E_INVALID, MOTLEY_E_DEVICE_MEMORY. */
int motley_tensor_create(motley_context *context, enum motley_dtype dtype, int64_t rows, int64_t width,
                         motley_tensor **tensor, struct motley_error *error);
void motley_tensor_destroy(motley_tensor *tensor); /* accepts NULL */

/* Copy all rows*width numbers from or to host memory, row-major, rounded to the storage type (to nearest, ties to
 * even); returns when it is done.  Local. */
int motley_tensor_write(motley_tensor *tensor, const float *host, struct motley_error *error);
int motley_tensor_read(const motley_tensor *tensor, float *host, struct motley_error *error);

enum motley_dtype motley_tensor_dtype(const motley_tensor *tensor);
int64_t motley_tensor_rows(const motley_tensor *tensor);
int64_t motley_tensor_width(const motley_tensor *tensor);

#ifdef __cplusplus
}
#endif
#endif
