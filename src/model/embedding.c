/* The embedding on the device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "cl/model.h"
#include "device/program.h"
#include "device/queue.h"
#include "model/embedding.h"
#include "model/lanes.h"

int motley__embedding_forward(struct motley__device *device, enum motley_dtype dtype, int T, int D,
                              const struct motley__buffer *token, const struct motley__buffer *w,
                              struct motley__buffer *x, struct motley_error *error)
{
    const struct motley__embedding_args args = {.T = T, .D = D};
    const struct motley__lanes lanes = motley__lanes(device, dtype, D);
    const size_t items = (size_t)lanes.items;
    cl_kernel kernel;
    int status = motley__kernel(device, "embedding.cl", lanes.options, "embedding_forward", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, ((struct motley__range){{(size_t)T * items}, {items}}), error,
                          MOTLEY__VALUE(args), MOTLEY__BUFFER(token), MOTLEY__BUFFER(w), MOTLEY__BUFFER(x));
}

void motley__embedding_sort(int T, int vocabulary, const int *token, int *order, int *offsets)
{
    memset(offsets, 0, sizeof(int) * ((size_t)vocabulary + 1));
    for (int t = 0; t < T; t++)
        offsets[token[t]]++;
    for (int v = 0, end = 0; v <= vocabulary; v++) /* ends of the segments, then filled from behind */
        offsets[v] = end += offsets[v];
    for (int t = T - 1; t >= 0; t--)
        order[--offsets[token[t]]] = t;
}

int motley__embedding_backward(struct motley__device *device, enum motley_dtype dtype, int vocabulary, int D,
                               const struct motley__buffer *order, const struct motley__buffer *offsets,
                               const struct motley__buffer *dx, struct motley__buffer *dw, struct motley_error *error)
{
    const struct motley__embedding_args args = {.D = D};
    const struct motley__lanes lanes = motley__lanes(device, dtype, D);
    const struct motley__range range = {{(size_t)(D / lanes.vector), (size_t)vocabulary}, {(size_t)lanes.items, 1}};
    cl_kernel kernel;
    int status = motley__kernel(device, "embedding.cl", lanes.options, "embedding_backward", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(order),
                          MOTLEY__BUFFER(offsets), MOTLEY__BUFFER(dx), MOTLEY__BUFFER(dw));
}
