/* The gate; the contract is gate.h, the kernels cl/logits.cl (the product) and cl/gate.cl (the choice).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdio.h>

#include "cl/types.h"
#include "device/program.h"
#include "device/queue.h"
#include "layer/gate.h"

/* Experts of a CPU work-group's widest register tile: rows of logits are padded to it. */
enum { MOST_LANES = 16 };
/* Tokens of a CPU's work-group; work-items of a GPU's. */
enum { TILE = 32, GROUP_ITEMS = 128 };

/* Bytes of a number that a sum is taken in; with float every logit has its rounding error beside it, which
 * makes the scratch equally large. */
static size_t real_bytes(int single)
{
    return single ? sizeof(cl_float) : sizeof(cl_double);
}

int motley__gate_stride(int E)
{
    return (E + MOST_LANES - 1) / MOST_LANES * MOST_LANES;
}

size_t motley__gate_scratch_bytes(const struct motley__device *device, int T, int E)
{
    (void)device;
    return (size_t)T * (size_t)motley__gate_stride(E) * sizeof(cl_double);
}

int motley__gate_items(const struct motley__device *device, int E)
{
    if (!device->info.is_gpu)
        return 1;
    int items = 32;
    while (items < E && items < 128)
        items *= 2;
    return items;
}

int motley__gate_is_single(const struct motley__device *device, int single)
{
    return single || !device->has_double;
}

/* CPUs: one work-item to a group. */
static int launch_tiles(struct motley__device *device, const struct motley__gate_logits *gate,
                        struct motley__gate_args args, int single, struct motley_error *error)
{
    const int wide = device->native_float >= 16; /* else the tile of 256-bit registers */
    const int lanes = wide ? MOST_LANES : 8;
    char options[96];
    snprintf(options, sizeof options, "-DMOTLEY__DOUBLE=%d -DSTORAGE=%d -DPANEL=%d -DLANES=%d -DSUB=%d -DTOKENS=%d",
             !single, gate->dtype, gate->w->panel, lanes, wide ? 8 : 4, TILE);
    cl_kernel kernel;
    int status = motley__kernel(device, "logits.cl", options, "logits_tile", &kernel, error);
    if (status)
        return status;
    const size_t tiles = ((size_t)args.T + TILE - 1) / TILE;
    /* With enough tiles of tokens every core has work, and a group takes all experts, widening x only once. */
    args.block = tiles >= 4 * (size_t)device->compute_units ? args.stride : lanes;
    const size_t blocks = ((size_t)args.E + (size_t)args.block - 1) / (size_t)args.block;
    return motley__launch(device, kernel, ((struct motley__range){{tiles, blocks}, {1}}), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(gate->x), MOTLEY__BUFFER(gate->w->segment[0]), MOTLEY__BUFFER(gate->logits));
}

/* Tokens by experts of a work-item of a GPU, and how many inputs it stages (cl/logits.cl). */
struct gate_tile {
    int high, across, depth;
};

static size_t groups_of(const struct motley__gate_args *args, struct gate_tile tile, size_t *down)
{
    const size_t tokens = 16 * (size_t)tile.high, experts = 8 * (size_t)tile.across;
    *down = ((size_t)args->E + experts - 1) / experts;
    return ((size_t)args->T + tokens - 1) / tokens;
}

/* The largest tile of which there are enough to fill the device. */
static struct gate_tile choose_tile(const struct motley__device *device, const struct motley__gate_args *args)
{
    static const struct gate_tile LARGE = {4, 8, 16}, MEDIUM = {2, 4, 16}, SMALL = {1, 1, 128};
    const size_t units = (size_t)device->compute_units;
    size_t down;
    if (groups_of(args, LARGE, &down) * down >= 2 * units && args->E > 32)
        return LARGE;
    return groups_of(args, MEDIUM, &down) * down >= units ? MEDIUM : SMALL;
}

static int launch_groups(struct motley__device *device, const struct motley__gate_logits *gate,
                         struct motley__gate_args args, int single, struct motley_error *error)
{
    const struct gate_tile tile = choose_tile(device, &args);
    size_t down;
    const size_t groups = groups_of(&args, tile, &down);
    char options[128];
    snprintf(options, sizeof options, "-DMOTLEY__DOUBLE=%d -DSTORAGE=%d -DPANEL=%d -DHIGH=%d -DACROSS=%d -DDEPTH=%d",
             !single, gate->dtype, gate->w->panel, tile.high, tile.across, tile.depth);
    cl_kernel kernel;
    int status = motley__kernel(device, "logits.cl", options, "logits_group", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, ((struct motley__range){{groups * GROUP_ITEMS, down}, {GROUP_ITEMS}}), error,
                          MOTLEY__VALUE(args), MOTLEY__BUFFER(gate->x), MOTLEY__BUFFER(gate->w->segment[0]),
                          MOTLEY__BUFFER(gate->logits));
}

int motley__gate_logits(struct motley__device *device, const struct motley__gate_logits *gate,
                        struct motley_error *error)
{
    assert(gate->w->E == 1 && gate->w->O == gate->E && gate->w->I == gate->D);
    const struct motley__gate_args args = {
        .T = gate->T, .D = gate->D, .E = gate->E, .stride = motley__gate_stride(gate->E),
    };
    const int single = motley__gate_is_single(device, gate->single);
    if (gate->T == 0)
        return 0;
    return (device->info.is_gpu ? launch_groups : launch_tiles)(device, gate, args, single, error);
}

int motley__gate_forward(struct motley__device *device, const struct motley__gate_forward *gate,
                         struct motley_error *error)
{
    assert(gate->T >= 0 && gate->K > 0 && (gate->forced || gate->K <= gate->E));
    if (gate->T == 0)
        return 0;
    const int single = motley__gate_is_single(device, gate->single), items = motley__gate_items(device, gate->E);
    const struct motley__gate_args args = {
        .T = gate->T, .D = gate->D, .E = gate->E, .K = gate->K, .stride = motley__gate_stride(gate->E),
        .normalize = gate->normalize,
    };
    char options[48];
    snprintf(options, sizeof options, "-DMOTLEY__DOUBLE=%d -DW=%d", !single, items);
    cl_kernel kernel;
    int status;
    if ((status = motley__kernel(device, "gate.cl", options, "gate_select", &kernel, error)) ||
        (status = motley__gate_logits(device, &(struct motley__gate_logits){.dtype = gate->dtype, .T = gate->T,
             .D = gate->D, .E = gate->E, .single = gate->single, .x = gate->x, .w = gate->w, .logits = gate->logits},
             error)) ||
        (gate->noise && (status = motley__noise_add(device, gate->noise, gate->T, gate->E, gate->single, gate->logits,
                                                    error))))
        return status;
    const size_t real = real_bytes(single), experts = (size_t)gate->E * real;
    const struct motley__buffer *last = gate->noise ? gate->noise->last : NULL;
    return motley__launch(device, kernel, ((struct motley__range){{(size_t)gate->T * (size_t)items}, {(size_t)items}}),
                          error, MOTLEY__VALUE(args), MOTLEY__BUFFER(gate->logits), MOTLEY__BUFFER(gate->forced),
                          MOTLEY__BUFFER(gate->correction), MOTLEY__BUFFER(gate->collaborators),
                          MOTLEY__BUFFER(gate->p), MOTLEY__BUFFER(gate->lse), MOTLEY__BUFFER(gate->indices),
                          MOTLEY__BUFFER(gate->weights), MOTLEY__BUFFER(gate->best),
                          MOTLEY__BUFFER(last), MOTLEY__LOCAL(experts),
                          MOTLEY__LOCAL(experts), MOTLEY__LOCAL((size_t)items * real),
                          MOTLEY__LOCAL((size_t)gate->K * sizeof(cl_int)));
}

int motley__gate_backward(struct motley__device *device, const struct motley__gate_backward *gate,
                          struct motley_error *error)
{
    assert(gate->T >= 0 && gate->K > 0 && gate->E > 0);
    if (gate->T == 0)
        return 0;
    const int single = motley__gate_is_single(device, gate->single), items = motley__gate_items(device, gate->E);
    char options[48];
    snprintf(options, sizeof options, "-DMOTLEY__DOUBLE=%d -DW=%d", !single, items);
    cl_kernel kernel;
    int status = motley__kernel(device, "gate.cl", options, "gate_backward", &kernel, error);
    if (status)
        return status;
    const struct motley__gate_gradient_args args = {
        .T = gate->T, .E = gate->E, .K = gate->K, .normalize = gate->normalize,
        .sigmoid = gate->sigmoid, .z = gate->z,
    };
    const size_t real = real_bytes(single);
    return motley__launch(device, kernel, ((struct motley__range){{(size_t)gate->T * (size_t)items}, {(size_t)items}}),
                          error, MOTLEY__VALUE(args), MOTLEY__BUFFER(gate->p), MOTLEY__BUFFER(gate->lse),
                          MOTLEY__BUFFER(gate->indices), MOTLEY__BUFFER(gate->weights), MOTLEY__BUFFER(gate->dweights),
                          MOTLEY__BUFFER(gate->balance), MOTLEY__BUFFER(gate->dlogits),
                          MOTLEY__LOCAL((size_t)gate->E * real), MOTLEY__LOCAL((size_t)items * real));
}
