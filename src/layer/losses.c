/* Auxiliary losses of the gate; the contract is losses.h, the kernel cl/losses.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdio.h>

#include "cl/types.h"
#include "device/program.h"
#include "device/queue.h"
#include "layer/losses.h"

struct shape {
    size_t X, Y, columns;               /* of cl/losses.cl */
};

/* The largest group on a GPU, at most 32 experts wide: few experts leave few groups, which must then be tall. */
static struct shape group_shape(const struct motley__device *device, int E)
{
    if (!device->info.is_gpu)
        return (struct shape){1, 1, 16};
    struct shape shape = {1, 1, 1};
    while (shape.X < 32 && shape.X < (size_t)E)
        shape.X *= 2;
    while (shape.X * shape.Y * 2 <= device->max_group && shape.X * shape.Y < 1024)
        shape.Y *= 2;
    return shape;
}

int motley__losses_sums(struct motley__device *device, int T, int E, int K, const struct motley__buffer *p,
                        const struct motley__buffer *lse, const struct motley__buffer *indices,
                        struct motley__buffer *sums, struct motley_error *error)
{
    assert(T >= 0 && E > 0 && K > 0);
    const struct shape shape = group_shape(device, E);
    char options[96];
    snprintf(options, sizeof options, "-DX=%zu -DY=%zu -DCOLUMNS=%zu -DMOTLEY__DOUBLE=%d", shape.X, shape.Y,
             shape.columns, device->has_double);
    cl_kernel kernel;
    int status = motley__kernel(device, "losses.cl", options, "losses_sums", &kernel, error);
    if (status)
        return status;
    const struct motley__losses_args args = {.T = T, .E = E, .K = K};
    const size_t width = shape.X * shape.columns, groups = ((size_t)E + width - 1) / width + 1;
    const struct motley__range range = {{groups * shape.X, shape.Y}, {shape.X, shape.Y}};
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(p), MOTLEY__BUFFER(lse),
                          MOTLEY__BUFFER(indices), MOTLEY__BUFFER(sums));
}

void motley__losses_value(int E, const double *sums, double coefficient, double *balance, double *z,
                          float *balance_gradient)
{
    const double tokens = sums[2 * E + 1];
    *balance = 0;
    *z = tokens > 0 ? sums[2 * E] / tokens : 0;
    for (int e = 0; e < E; e++) {
        const double share = tokens > 0 ? sums[E + e] / tokens : 0;
        *balance += tokens > 0 ? E * (sums[e] / tokens) * share : 0;
        balance_gradient[e] = (float)(tokens > 0 ? coefficient * E * share / tokens : 0);
    }
}
