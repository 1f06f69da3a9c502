/* Auxiliary losses of the gate; the contract is losses.h, the kernels cl/losses.cl and cl/importance.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdio.h>

#include "cl/types.h"
#include "device/program.h"
#include "device/queue.h"
#include "layer/gate.h"
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

/* Both kernels take the same. */
static int sum_columns(struct motley__device *device, struct motley__losses_args args, int importance,
                       const struct motley__buffer *p, const struct motley__buffer *lse,
                       const struct motley__buffer *third, struct motley__buffer *sums, struct motley_error *error)
{
    assert(args.T >= 0 && args.E > 0 && args.K > 0);
    const struct shape shape = group_shape(device, args.E);
    char options[96];
    snprintf(options, sizeof options, "-DX=%zu -DY=%zu -DCOLUMNS=%zu -DMOTLEY__DOUBLE=%d%s", shape.X, shape.Y,
             shape.columns, device->has_double, importance ? " -DIMPORTANCE=1" : "");
    cl_kernel kernel;
    int status = motley__kernel(device, "losses.cl", options, importance ? "importance_sums" : "losses_sums", &kernel,
                                error);
    if (status)
        return status;
    const size_t width = shape.X * shape.columns, groups = ((size_t)args.E + width - 1) / width + 1;
    const struct motley__range range = {{groups * shape.X, shape.Y}, {shape.X, shape.Y}};
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(p), MOTLEY__BUFFER(lse),
                          MOTLEY__BUFFER(third), MOTLEY__BUFFER(sums));
}

int motley__losses_sums(struct motley__device *device, int T, int E, int K, const struct motley__buffer *p,
                        const struct motley__buffer *lse, const struct motley__buffer *indices,
                        struct motley__buffer *sums, struct motley_error *error)
{
    return sum_columns(device, (struct motley__losses_args){.T = T, .E = E, .K = K}, 0, p, lse, indices, sums, error);
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

int motley__importance_sums(struct motley__device *device, const struct motley__importance *importance,
                            struct motley__buffer *sums, struct motley_error *error)
{
    const struct motley__losses_args args = {importance->T, importance->E, importance->K,
                                             (float)(1 / importance->sigma)};
    return sum_columns(device, args, 1, importance->clean, importance->lse, importance->last, sums, error);
}

/* CV^2 of x [E], and its slopes, times `factor`. */
static double variation(int E, const double *x, double factor, float *slope)
{
    double mean = 0, variance = 0;
    for (int e = 0; e < E; e++)
        mean += x[e] / E;
    for (int e = 0; e < E; e++)
        variance += (x[e] - mean) * (x[e] - mean) / E;
    for (int e = 0; e < E; e++)
        slope[e] = (float)(mean > 0 ? factor * 2 / E * ((x[e] - mean) - variance / mean) / (mean * mean) : 0);
    return mean > 0 ? variance / (mean * mean) : 0;
}

double motley__importance_value(int E, const double *sums, double coefficient, float *gradient)
{
    return (variation(E, sums, coefficient / 2, gradient) + variation(E, sums + E, coefficient / 2, gradient + E)) / 2;
}

int motley__importance_backward(struct motley__device *device, const struct motley__importance *importance,
                                const struct motley__buffer *gradient, struct motley__buffer *dlogits,
                                struct motley_error *error)
{
    const size_t items = (size_t)motley__gate_items(device, importance->E);
    const struct motley__importance_args args = {importance->T, importance->E, importance->K,
                                                 (float)(1 / importance->sigma)};
    char options[48];
    cl_kernel kernel;
    if (importance->T == 0)
        return 0;
    snprintf(options, sizeof options, "-DMOTLEY__DOUBLE=%d -DW=%zu", device->has_double, items);
    int status = motley__kernel(device, "importance.cl", options, "importance_backward", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, ((struct motley__range){{(size_t)importance->T * items}, {items}}), error,
                          MOTLEY__VALUE(args), MOTLEY__BUFFER(importance->clean), MOTLEY__BUFFER(importance->lse),
                          MOTLEY__BUFFER(importance->last), MOTLEY__BUFFER(importance->indices),
                          MOTLEY__BUFFER(gradient), MOTLEY__BUFFER(dlogits),
                          MOTLEY__LOCAL(items * (device->has_double ? sizeof(cl_double) : sizeof(cl_float))));
}
