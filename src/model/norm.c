/* RMSNorm on the device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "cl/model.h"
#include "device/program.h"
#include "device/queue.h"
#include "model/lanes.h"
#include "model/norm.h"

enum { CHUNK = 64 }; /* rows of one partial sum of dw; fixed, so that the sum's order is */

static int chunks_of(int T)
{
    return (T + CHUNK - 1) / CHUNK;
}

size_t motley__norm_scratch_bytes(int T, int D)
{
    return sizeof(float) * (size_t)chunks_of(T) * (size_t)D;
}

static struct motley__range rows_of(const struct motley__lanes *lanes, int T)
{
    return (struct motley__range){{(size_t)T * (size_t)lanes->items}, {(size_t)lanes->items}};
}

int motley__norm_forward(struct motley__device *device, enum motley_dtype dtype, int T, int D, double eps,
                         const struct motley__buffer *x, const struct motley__buffer *w, struct motley__buffer *y,
                         struct motley__buffer *r, struct motley_error *error)
{
    const struct motley__norm_args args = {.T = T, .D = D, .eps = (float)eps};
    const struct motley__lanes lanes = motley__lanes(device, dtype, D);
    cl_kernel kernel;
    int status = motley__kernel(device, "norm.cl", lanes.options, "norm_forward", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, rows_of(&lanes, T), error, MOTLEY__VALUE(args), MOTLEY__BUFFER(x),
                          MOTLEY__BUFFER(w), MOTLEY__BUFFER(y), MOTLEY__BUFFER(r));
}

static int gradient(struct motley__device *device, enum motley_dtype dtype, int T, int D,
                    const struct motley__buffer *x, const struct motley__buffer *r, const struct motley__buffer *dy,
                    struct motley__buffer *scratch, struct motley__buffer *dw, struct motley_error *error)
{
    const struct motley__norm_args args = {.T = T, .D = D, .chunk = CHUNK, .chunks = chunks_of(T)};
    const struct motley__lanes lanes = motley__lanes(device, dtype, D);
    const size_t columns = (size_t)(D / lanes.vector);
    cl_kernel partial, sum;
    if (T == 0)
        return motley__buffer_zero(dw, 0, sizeof(float) * (size_t)D, error);
    int status = motley__kernel(device, "norm.cl", lanes.options, "norm_gradient", &partial, error);
    if (!status)
        status = motley__kernel(device, "norm.cl", lanes.options, "norm_gradient_sum", &sum, error);
    if (!status)
        status = motley__launch(device, partial,
                                ((struct motley__range){{columns, (size_t)args.chunks}, {(size_t)lanes.items, 1}}),
                                error, MOTLEY__VALUE(args), MOTLEY__BUFFER(x), MOTLEY__BUFFER(r), MOTLEY__BUFFER(dy),
                                MOTLEY__BUFFER(scratch));
    if (!status)
        status = motley__launch(device, sum, ((struct motley__range){{columns}, {(size_t)lanes.items}}), error,
                                MOTLEY__VALUE(args), MOTLEY__BUFFER(scratch), MOTLEY__BUFFER(dw));
    return status;
}

int motley__norm_backward(struct motley__device *device, enum motley_dtype dtype, int T, int D,
                          const struct motley__buffer *x, const struct motley__buffer *w,
                          const struct motley__buffer *r, const struct motley__buffer *dy, int accumulate,
                          struct motley__buffer *dx, struct motley__buffer *scratch, struct motley__buffer *dw,
                          struct motley_error *error)
{
    const struct motley__norm_args args = {.T = T, .D = D, .accumulate = accumulate};
    const struct motley__lanes lanes = motley__lanes(device, dtype, D);
    cl_kernel kernel;
    int status = motley__kernel(device, "norm.cl", lanes.options, "norm_backward", &kernel, error);
    if (!status)
        status = motley__launch(device, kernel, rows_of(&lanes, T), error, MOTLEY__VALUE(args), MOTLEY__BUFFER(x),
                                MOTLEY__BUFFER(w), MOTLEY__BUFFER(r), MOTLEY__BUFFER(dy), MOTLEY__BUFFER(dx));
    if (!status && dw)
        status = gradient(device, dtype, T, D, x, r, dy, scratch, dw, error);
    return status;
}
