/* Rotary positions on the device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "cl/model.h"
#include "device/program.h"
#include "device/queue.h"
#include "model/lanes.h"
#include "model/rope.h"

int motley__rope_table(struct motley__device *device, int positions, int d, double theta, struct motley__buffer **table,
                       struct motley_error *error)
{
    const int half = d / 2;
    const size_t bytes = sizeof(float) * (size_t)positions * (size_t)d;
    float *host = malloc(bytes);
    if (!host)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d rotary positions", positions);
    for (int position = 0; position < positions; position++)
        for (int i = 0; i < half; i++) {
            /* Frequency and angle are rounded to float as other implementations do: models are trained so. */
            const float frequency = (float)(1 / pow(theta, 2.0 * i / d));
            const double angle = (float)position * frequency;
            host[(size_t)position * (size_t)d + (size_t)i] = (float)cos(angle);
            host[(size_t)position * (size_t)d + (size_t)(half + i)] = (float)sin(angle);
        }
    struct motley__buffer *buffer;
    int status = motley__buffer_create(device, bytes, &buffer, error);
    if (!status) {
        status = motley__buffer_write(buffer, 0, host, bytes, error);
        if (status)
            motley__buffer_destroy(buffer);
        else
            *table = buffer;
    }
    free(host);
    return status;
}

int motley__rope(struct motley__device *device, enum motley_dtype dtype, const struct motley__buffer *table, int T,
                 int S, int past, int heads, int d, int back, struct motley__buffer *x, struct motley_error *error)
{
    const struct motley__rope_args args = {
        .T = T, .S = S, .past = past, .heads = heads, .pairs = d / 2, .sign = back ? -1.0f : 1.0f,
    };
    const struct motley__lanes lanes = motley__lanes(device, dtype, d / 2);
    cl_kernel kernel;
    if (T == 0)
        return 0;
    int status = motley__kernel(device, "rope.cl", lanes.options, "rope", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel,
                          ((struct motley__range){{(size_t)heads, (size_t)T}, {(size_t)lanes.items, 1}}),
                          error, MOTLEY__VALUE(args), MOTLEY__BUFFER(table), MOTLEY__BUFFER(x));
}
