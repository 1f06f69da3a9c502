/* Capacity; the contract is capacity.h, the kernels cl/capacity.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/program.h"
#include "device/queue.h"
#include "layer/capacity.h"

int64_t motley__capacity_rows(double f, int64_t tokens, int E, int K)
{
    const double share = (double)(tokens / E + (tokens % E > 0));
    return K * (int64_t)fmin(floor(fabs(f) * share), (double)tokens);
}

int motley__capacity_create(int E, int K, double factor, int prioritised, struct motley__capacity **capacity,
                            struct motley_error *error)
{
    const size_t experts = (size_t)E, rounds = experts * (size_t)K, bins = experts * MOTLEY__CAPACITY_BINS;
    struct motley__capacity *c = calloc(1, sizeof *c);
    if (c) {
        *c = (struct motley__capacity){.E = E, .K = K, .factor = factor, .prioritised = prioritised,
            .counts = calloc(rounds, sizeof(int)), .totals = calloc(rounds + 1, sizeof(int64_t)),
            .expert = calloc(experts, sizeof(int)), .room = calloc(experts, sizeof(int64_t)),
            .limits = calloc(3 * experts, sizeof(int)), .bins = calloc(bins, sizeof(int)),
            .sums = calloc(bins, sizeof(int64_t)), .tied = calloc(experts, sizeof(int))};
    }
    if (!c || !c->counts || !c->totals || !c->expert || !c->room || !c->limits || !c->bins || !c->sums || !c->tied) {
        motley__capacity_destroy(c);
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for the capacity of %d experts", E);
    }
    *capacity = c;
    return 0;
}

void motley__capacity_destroy(struct motley__capacity *capacity)
{
    if (!capacity)
        return;
    free(capacity->counts);
    free(capacity->totals);
    free(capacity->expert);
    free(capacity->room);
    free(capacity->limits);
    free(capacity->bins);
    free(capacity->sums);
    free(capacity->tied);
    free(capacity);
}

void motley__capacity_pack(struct motley__capacity *capacity, int T)
{
    const int rounds = capacity->K * capacity->E;
    for (int i = 0; i < rounds; i++)
        capacity->totals[i] = capacity->counts[i];
    capacity->totals[rounds] = T;
}

/* The first choice of expert e that does not fit as a whole, and how many of it do. */
static int find_open(struct motley__capacity *capacity, int e, int64_t rows)
{
    const int E = capacity->E, K = capacity->K;
    int k = 0;
    for (; k < K && capacity->totals[k * E + e] <= rows; k++)
        rows -= capacity->totals[k * E + e];
    capacity->room[e] = rows;
    capacity->limits[e] = k;
    return k;
}

void motley__capacity_summed(struct motley__capacity *capacity)
{
    const int E = capacity->E, K = capacity->K;
    const int64_t rows = motley__capacity_rows(capacity->factor, capacity->totals[K * E], E, K);
    capacity->dropping = 0;
    capacity->kept = 0;
    capacity->shift = (MOTLEY__CAPACITY_DIGITS - 1) * MOTLEY__CAPACITY_BITS;
    for (int e = 0; e < E; e++) {
        const int open = find_open(capacity, e, rows);
        for (int k = 0; k < open; k++)
            capacity->kept += capacity->counts[k * E + e];
        capacity->limits[E + e] = capacity->limits[2 * E + e] = 0;
        capacity->tied[e] = open < K ? capacity->counts[open * E + e] : 0;
        if (open < K)
            capacity->expert[capacity->dropping++] = e;
    }
}

void motley__capacity_pack_digits(struct motley__capacity *capacity)
{
    for (int i = 0; i < capacity->dropping; i++)
        for (int b = 0; b < MOTLEY__CAPACITY_BINS; b++)
            capacity->sums[i * MOTLEY__CAPACITY_BINS + b] =
                capacity->bins[capacity->expert[i] * MOTLEY__CAPACITY_BINS + b];
}

/* More tokens are open than there is room for, so the walk ends within the bins. */
void motley__capacity_digits_summed(struct motley__capacity *capacity)
{
    for (int i = 0; i < capacity->dropping; i++) {
        const int e = capacity->expert[i];
        const int64_t *sums = capacity->sums + i * MOTLEY__CAPACITY_BINS;
        const int *own = capacity->bins + e * MOTLEY__CAPACITY_BINS;
        int b = MOTLEY__CAPACITY_BINS - 1;
        for (; b > 0 && sums[b] <= capacity->room[e]; b--) {
            capacity->room[e] -= sums[b];
            capacity->kept += own[b];
        }
        capacity->limits[capacity->E + e] |= b << capacity->shift;
        capacity->tied[e] = own[b];
    }
    capacity->shift -= MOTLEY__CAPACITY_BITS;
}

void motley__capacity_pack_ties(struct motley__capacity *capacity)
{
    for (int i = 0; i < capacity->dropping; i++)
        capacity->sums[i] = capacity->tied[capacity->expert[i]];
}

void motley__capacity_scanned(struct motley__capacity *capacity)
{
    for (int i = 0; i < capacity->dropping; i++) {
        const int e = capacity->expert[i];
        const int64_t left = capacity->room[e] - capacity->sums[i];
        const int ties = left <= 0 ? 0 : left < capacity->tied[e] ? (int)left : capacity->tied[e];
        capacity->limits[2 * capacity->E + e] = ties;
        capacity->kept += ties;
    }
}

/* One group for each expert. */
static int prepare(struct motley__device *device, const struct motley__capacity_pairs *pairs, const char *name,
                   struct motley__capacity_args *args, cl_kernel *kernel, struct motley__range *range,
                   struct motley_error *error)
{
    const size_t items = device->info.is_gpu ? 128 : 1;
    *args = (struct motley__capacity_args){.E = pairs->E, .K = pairs->K, .shift = pairs->shift};
    *range = (struct motley__range){{(size_t)pairs->E * items}, {items}};
    return motley__kernel(device, "capacity.cl", items > 1 ? "-DW=128" : "-DW=1", name, kernel, error);
}

int motley__capacity_count(struct motley__device *device, const struct motley__capacity_pairs *pairs,
                           struct motley_error *error)
{
    struct motley__capacity_args args;
    struct motley__range range;
    cl_kernel kernel;
    int status = prepare(device, pairs, "capacity_count", &args, &kernel, &range, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(pairs->order),
                          MOTLEY__BUFFER(pairs->offsets), MOTLEY__BUFFER(pairs->counts),
                          MOTLEY__LOCAL((size_t)pairs->K * sizeof(cl_int)));
}

int motley__capacity_digits(struct motley__device *device, const struct motley__capacity_pairs *pairs,
                            struct motley_error *error)
{
    struct motley__capacity_args args;
    struct motley__range range;
    cl_kernel kernel;
    int status = prepare(device, pairs, "capacity_digits", &args, &kernel, &range, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(pairs->order),
                          MOTLEY__BUFFER(pairs->offsets), MOTLEY__BUFFER(pairs->score), MOTLEY__BUFFER(pairs->limits),
                          MOTLEY__BUFFER(pairs->bins));
}

int motley__capacity_drop(struct motley__device *device, const struct motley__capacity_pairs *pairs,
                          struct motley_error *error)
{
    struct motley__capacity_args args;
    struct motley__range range;
    cl_kernel kernel;
    int status = prepare(device, pairs, "capacity_drop", &args, &kernel, &range, error);
    if (status)
        return status;
    return motley__launch(device, kernel, range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(pairs->order),
                          MOTLEY__BUFFER(pairs->offsets), MOTLEY__BUFFER(pairs->score), MOTLEY__BUFFER(pairs->limits),
                          MOTLEY__BUFFER(pairs->indices), MOTLEY__BUFFER(pairs->weights));
}
