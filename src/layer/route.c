/* The re-index; the contract is route.h, the kernels cl/route.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "cl/types.h"
#include "device/program.h"
#include "device/queue.h"
#include "layer/route.h"

/* Chunks of at least this many pairs, and at most that many chunks: the histograms stay small beside the
 * tokens themselves. */
enum { CHUNK_PAIRS = 256, MOST_CHUNKS = 256 };

/* So many pairs one group sorts sooner than two more launches begin, on CPUs and on GPUs. */
enum { ONCE_CPU = 1024, ONCE_GPU = CHUNK_PAIRS };

/* Parts of `size` that cover n; n may be as large as any int. */
static int parts_of(int n, int size)
{
    return n / size + (n % size > 0);
}

static struct motley__route_args route_args(int N, int E, int slots)
{
    int chunk = parts_of(N, MOST_CHUNKS);
    if (chunk < CHUNK_PAIRS)
        chunk = CHUNK_PAIRS;
    return (struct motley__route_args){
        .N = N, .E = E, .slots = slots, .chunk = chunk, .chunks = parts_of(N, chunk)};
}

size_t motley__route_scratch_bytes(int N, int slots)
{
    return (size_t)route_args(N, slots, slots).chunks * (size_t)slots * sizeof(cl_int);
}

/* All pairs in one launch. */
static int route_once(struct motley__device *device, const struct motley__route *route,
                      const struct motley__route_args *args, const char *options, size_t items,
                      struct motley_error *error)
{
    cl_kernel kernel;
    int status = motley__kernel(device, "route.cl", options, "route_once", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, ((struct motley__range){{items}, {items}}), error, MOTLEY__VALUE(*args),
                          MOTLEY__BUFFER(route->indices), MOTLEY__BUFFER(route->slot), MOTLEY__BUFFER(route->offsets),
                          MOTLEY__BUFFER(route->order), MOTLEY__BUFFER(route->where),
                          MOTLEY__LOCAL((size_t)args->slots * sizeof(cl_int)), MOTLEY__LOCAL(items * sizeof(cl_int)));
}

int motley__route(struct motley__device *device, const struct motley__route *route, struct motley_error *error)
{
    assert(route->N >= 0 && route->E > 0 && route->slots > 0);
    const struct motley__route_args args = route_args(route->N, route->E, route->slots);
    const int gpu = device->info.is_gpu;
    const char *options = gpu ? "-DW=128" : "-DW=1";
    const size_t items = gpu ? 128 : 1;
    if (route->N <= (gpu ? ONCE_GPU : ONCE_CPU))
        return route_once(device, route, &args, options, items, error);
    cl_kernel count, scan, place;
    int status;
    if ((status = motley__kernel(device, "route.cl", options, "route_count", &count, error)) ||
        (status = motley__kernel(device, "route.cl", options, "route_scan", &scan, error)) ||
        (status = motley__kernel(device, "route.cl", options, "route_place", &place, error)))
        return status;

    const struct motley__range chunks = {{(size_t)args.chunks * items}, {items}}, one = {{items}, {items}};
    const size_t running = (size_t)args.slots * sizeof(cl_int), seen = items * sizeof(cl_int);
    if ((status = motley__launch(device, count, chunks, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(route->indices),
                                 MOTLEY__BUFFER(route->slot), MOTLEY__BUFFER(route->histogram),
                                 MOTLEY__LOCAL(running), MOTLEY__LOCAL(seen))) ||
        (status = motley__launch(device, scan, one, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(route->histogram),
                                 MOTLEY__BUFFER(route->offsets), MOTLEY__LOCAL(running))))
        return status;
    return motley__launch(device, place, chunks, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(route->indices),
                          MOTLEY__BUFFER(route->slot), MOTLEY__BUFFER(route->histogram),
                          MOTLEY__BUFFER(route->offsets), MOTLEY__BUFFER(route->order), MOTLEY__BUFFER(route->where),
                          MOTLEY__LOCAL(running), MOTLEY__LOCAL(seen));
}
