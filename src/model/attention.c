/* Causal attention on the device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "cl/model.h"
#include "device/program.h"
#include "device/queue.h"
#include "model/attention.h"
#include "model/lanes.h"

/* CPU: a register tile of 6 rows x 2 vectors, score tiles that stay in the first-level cache.  GPU: a row each. */
enum { CPU_ROWS = 6, CPU_TILE = 64, CPU_COLUMNS = 16, GPU_ROWS = 1, GPU_TILE = 16, GPU_COLUMNS = 1, GPU_GROUP = 32 };
enum { LINE = 16, SLACK = 32 }; /* floats: a cache line; the most that a product reads beyond the last column */

struct tile {
    int rows, columns, group;
    char options[128];
};

static struct tile tile_of(const struct motley__device *device, const struct motley__attention *a)
{
    const int cpu = !device->info.is_gpu;
    struct tile tile = {
        .rows = cpu ? CPU_ROWS : GPU_ROWS, .columns = cpu ? CPU_COLUMNS : GPU_COLUMNS, .group = cpu ? 1 : GPU_GROUP,
    };
    snprintf(tile.options, sizeof tile.options, "-DHD=%d -DV=%d -DROWS=%d -DTILE=%d -DCOLUMNS=%d -DSTORAGE=%d", a->d,
             motley__lanes(device, a->dtype, a->d).vector, tile.rows, cpu ? CPU_TILE : GPU_TILE, tile.columns,
             a->dtype);
    return tile;
}

/* A work-item for `rows` rows of each head of each sequence. */
static struct motley__range range_of(const struct tile *tile, int S, int rows, int heads, int B)
{
    return (struct motley__range){{(size_t)((S + rows - 1) / rows), (size_t)heads, (size_t)B},
                                  {(size_t)tile->group, 1, 1}};
}

int motley__attention_stride(int rows)
{
    return (rows + LINE - 1) / LINE * LINE + SLACK;
}

static int transpose(struct motley__device *device, const struct motley__attention *a, int heads,
                     const struct motley__buffer *x, struct motley__buffer *xt, struct motley_error *error)
{
    const struct motley__transpose_args args = {.S = a->S, .heads = heads, .past = a->past, .stride = a->stride};
    const struct tile tile = tile_of(device, a);
    cl_kernel kernel;
    int status = motley__kernel(device, "attention.cl", tile.options, "attention_transpose", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range_of(&tile, a->S, tile.columns, heads, a->B), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(x), MOTLEY__BUFFER(xt));
}

static struct motley__attention_args args_of(const struct motley__attention *a)
{
    assert(a->stride >= motley__attention_stride(a->past + a->S) && a->H % a->G == 0);
    return (struct motley__attention_args){
        .S = a->S, .past = a->past, .heads = a->H, .shared = a->H / a->G, .stride = a->stride,
        .scale = (float)(1 / sqrt(a->d)),
    };
}

int motley__attention_forward(struct motley__device *device, const struct motley__attention *a,
                              struct motley_error *error)
{
    const struct motley__attention_args args = args_of(a);
    const struct tile tile = tile_of(device, a);
    cl_kernel kernel;
    if (a->B == 0 || a->S == 0)
        return 0;
    int status = transpose(device, a, a->G, a->k, a->kt, error);
    if (!status)
        status = motley__kernel(device, "attention.cl", tile.options, "attention_forward", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range_of(&tile, a->S, tile.rows, a->H, a->B), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(a->q), MOTLEY__BUFFER(a->kt), MOTLEY__BUFFER(a->v), MOTLEY__BUFFER(a->out),
                          MOTLEY__BUFFER(a->lse));
}

static int transpose_all(struct motley__device *device, const struct motley__attention *a,
                         const struct motley__attention_gradient *g, struct motley_error *error)
{
    int status = transpose(device, a, a->G, a->k, a->kt, error);
    if (!status)
        status = transpose(device, a, a->G, a->v, g->vt, error);
    if (!status)
        status = transpose(device, a, a->H, a->q, g->qt, error);
    return status ? status : transpose(device, a, a->H, g->dout, g->doutt, error);
}

int motley__attention_backward(struct motley__device *device, const struct motley__attention *a,
                               const struct motley__attention_gradient *g, struct motley_error *error)
{
    assert(a->past == 0);
    const struct motley__attention_args args = args_of(a);
    const struct tile tile = tile_of(device, a);
    cl_kernel queries, keys;
    if (a->B == 0 || a->S == 0)
        return 0;
    int status = transpose_all(device, a, g, error);
    if (!status)
        status = motley__kernel(device, "attention.cl", tile.options, "attention_backward_queries", &queries, error);
    if (!status)
        status = motley__kernel(device, "attention.cl", tile.options, "attention_backward_keys", &keys, error);
    if (!status)
        status = motley__launch(device, queries, range_of(&tile, a->S, tile.rows, a->H, a->B), error,
                                MOTLEY__VALUE(args), MOTLEY__BUFFER(a->q), MOTLEY__BUFFER(a->k), MOTLEY__BUFFER(a->kt),
                                MOTLEY__BUFFER(g->vt), MOTLEY__BUFFER(a->out), MOTLEY__BUFFER(g->dout),
                                MOTLEY__BUFFER(a->lse), MOTLEY__BUFFER(g->delta), MOTLEY__BUFFER(g->dq));
    if (!status)
        status = motley__launch(device, keys, range_of(&tile, a->S, tile.rows, a->G, a->B), error, MOTLEY__VALUE(args),
                                MOTLEY__BUFFER(a->k), MOTLEY__BUFFER(a->v), MOTLEY__BUFFER(a->q),
                                MOTLEY__BUFFER(g->dout), MOTLEY__BUFFER(g->qt), MOTLEY__BUFFER(g->doutt),
                                MOTLEY__BUFFER(a->lse), MOTLEY__BUFFER(g->delta), MOTLEY__BUFFER(g->dk),
                                MOTLEY__BUFFER(g->dv));
    return status;
}
