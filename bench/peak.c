/* Peak multiply-adds and peak reads of a device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "bench/alternate.h"
#include "bench/peak.h"
#include "device/program.h"
#include "product/variant.h"

enum {
    CHAINS = 12,                /* of cl/peak.cl */
    UNROLLED = 8,               /* reads of one turn of peak_read */
    GPU_GROUP = 256,
    LEAST_TRIES = 5, IDLE_TRIES = 25 /* at least; without getting better */
};
static const double TRY_SECONDS = 0.02; /* of one run, unless less was asked for in all */
static const double SHORT_SECONDS = 0.002;
static const size_t READ_BYTES = (size_t)1 << 28, SHORT_BYTES = (size_t)1 << 26;

/* One of the two kernels and how it is launched. */
struct trial {
    const struct motley__peak *peak;
    const struct motley__variant *variant;  /* whose own instruction is measured, NULL: multiply-adds */
    enum motley_dtype dtype;
    cl_kernel kernel;
    struct motley__range range;
    int loops;                  /* of sums */
    double flops;
    cl_ulong first, vectors;    /* peak_read */
};

/* Floats of a vector: a CPU's native width; on GPUs one for sums, four for reads. */
static int lanes_of(const struct motley__device *device, int reads)
{
    const int native = device->native_float;
    if (device->info.is_gpu)
        return reads ? 4 : 1;
    return native >= 16 ? 16 : native >= 8 ? 8 : 4;
}

/* Enough work-items to fill the device: a CPU's are one group each. */
static struct motley__range full_range(const struct motley__device *device)
{
    const size_t units = (size_t)device->compute_units;
    if (device->info.is_gpu)
        return (struct motley__range){{units * 8 * GPU_GROUP}, {GPU_GROUP}};
    return (struct motley__range){{units * 4}, {1}};
}

static int kernel_of(struct motley__device *device, int reads, cl_kernel *kernel, struct motley_error *error)
{
    char options[64];
    snprintf(options, sizeof options, "-DLANES=%d%s", lanes_of(device, reads), device->info.is_gpu ? " -DSTRIDED" : "");
    return motley__kernel(device, "peak.cl", options, reads ? "peak_read" : "peak_fma", kernel, error);
}

static int run_sums(void *self, struct motley_error *error)
{
    struct trial *t = self;
    const float factor = 0.999f, term = 0.5f;
    struct motley__device *device = t->peak->device;
    if (t->variant)
        return t->variant->peak(device, t->dtype, t->loops, t->peak->out, &t->flops, error);
    t->flops = 2.0 * CHAINS * lanes_of(device, 0) * t->loops * (double)t->range.global[0];
    return motley__launch(device, t->kernel, t->range, error, MOTLEY__VALUE(t->loops), MOTLEY__VALUE(factor),
                          MOTLEY__VALUE(term), MOTLEY__BUFFER(t->peak->out));
}

static int run_read(void *self, struct motley_error *error)
{
    const struct trial *t = self;
    return motley__launch(t->peak->device, t->kernel, t->range, error, MOTLEY__VALUE(t->first),
                          MOTLEY__VALUE(t->vectors), MOTLEY__BUFFER(t->peak->data), MOTLEY__BUFFER(t->peak->out));
}

/* The shortest of some runs, until they get no shorter: others may have the cores now and then. */
static int best_of(struct trial *t, int (*run)(void *, struct motley_error *), double *seconds,
                   struct motley_error *error)
{
    const struct motley__side side = {.self = t, .run = run, .device = t->peak->device};
    double one;
    int status = motley__side_time(&side, &one, error); /* builds */
    const double end = motley__seconds() + t->peak->seconds;
    *seconds = 1e30;
    for (int i = 0, idle = 0; (i < LEAST_TRIES || (idle < IDLE_TRIES && motley__seconds() < end)) && !status;
         i++, idle++) {
        status = motley__side_time(&side, &one, error);
        if (!status && one < 0.99 * *seconds)
            idle = 0;
        if (!status && one < *seconds)
            *seconds = one;
    }
    return status;
}

/* The trial of so many turns of the loop. */
static int sums_trial(const struct motley__peak *peak, enum motley_dtype dtype, double loops, struct trial *t,
                      struct motley_error *error)
{
    const struct motley__variant *variant = motley__variant(peak->device, dtype);
    *t = (struct trial){.peak = peak, .variant = variant->peak ? variant : NULL, .dtype = dtype,
                        .range = full_range(peak->device)};
    t->loops = (int)(loops < 1 << 28 ? loops : 1 << 28) / 4 * 4 + 4;
    return t->variant ? 0 : kernel_of(peak->device, 0, &t->kernel, error);
}

static int measure_sums(struct motley__peak *peak, enum motley_dtype dtype, struct motley_error *error)
{
    struct motley__sums *sums = &peak->sums[dtype];
    struct trial t;
    double seconds = 0;
    int status = sums_trial(peak, dtype, 1 << 10, &t, error);
    if (!status)
        status = best_of(&t, run_sums, &seconds, error);
    if (!status)
        status = sums_trial(peak, dtype, t.loops * fmin(peak->seconds, TRY_SECONDS) / seconds, &t, error);
    if (!status)
        status = best_of(&t, run_sums, &seconds, error);
    if (status)
        return status;
    sums->best = t.flops / seconds;
    sums->loops = (int)(t.loops * SHORT_SECONDS / seconds) + 4;
    sums->flops = t.flops * sums->loops / t.loops;
    return 0;
}

static size_t vector_bytes(const struct motley__peak *peak)
{
    return sizeof(float) * (size_t)lanes_of(peak->device, 1);
}

/* The trial that reads at most `bytes` of the data. */
static int read_trial(const struct motley__peak *peak, size_t bytes, struct trial *t, struct motley_error *error)
{
    *t = (struct trial){.peak = peak, .range = full_range(peak->device)};
    const size_t grain = UNROLLED * t->range.global[0];
    t->vectors = bytes / vector_bytes(peak) / grain * grain;
    return kernel_of(peak->device, 1, &t->kernel, error);
}

/* A short run reads a part of the data that a CPU's caches no longer hold when it is read again; a GPU is filled by all
 * of it alone. */
static int measure_read(struct motley__peak *peak, struct motley_error *error)
{
    struct trial t;
    double seconds = 0;
    int status = read_trial(peak, peak->data->bytes, &t, error);
    if (!status)
        status = best_of(&t, run_read, &seconds, error);
    if (status)
        return status;
    peak->bytes = (double)(t.vectors * vector_bytes(peak)) / seconds;
    if (!peak->device->info.is_gpu)
        status = read_trial(peak, peak->data->bytes / (READ_BYTES / SHORT_BYTES), &t, error);
    peak->read_bytes = (double)(t.vectors * vector_bytes(peak));
    return status;
}

int motley__peak_measure(struct motley__device *device, double seconds, struct motley__peak *peak,
                         struct motley_error *error)
{
    cl_ulong cache = 0;
    clGetDeviceInfo(device->id, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof cache, &cache, NULL);
    size_t bytes = READ_BYTES;
    while (bytes < 8 * (size_t)cache)
        bytes *= 2;
    peak->device = device;
    peak->seconds = seconds;
    int status = motley__buffer_create(device, bytes, &peak->data, error);
    if (!status)
        status = motley__buffer_create(device, full_range(device).global[0] * sizeof(float), &peak->out, error);
    if (!status)
        status = motley__buffer_zero(peak->data, 0, bytes, error);
    return status ? status : measure_read(peak, error);
}

int motley__peak_admit(struct motley__peak *peak, enum motley_dtype dtype, struct motley_error *error)
{
    return peak->sums[dtype].loops ? 0 : measure_sums(peak, dtype, error);
}

int motley__peak_sums(struct motley__peak *peak, enum motley_dtype dtype, struct motley_error *error)
{
    struct trial t;
    int status = sums_trial(peak, dtype, peak->sums[dtype].loops - 4, &t, error);
    return status ? status : run_sums(&t, error);
}

int motley__peak_read(struct motley__peak *peak, struct motley_error *error)
{
    struct trial t;
    int status = read_trial(peak, (size_t)peak->read_bytes, &t, error);
    if (peak->read_at + (size_t)peak->read_bytes > peak->data->bytes)
        peak->read_at = 0;
    t.first = peak->read_at / vector_bytes(peak);
    peak->read_at += (size_t)peak->read_bytes;
    return status ? status : run_read(&t, error);
}

void motley__peak_release(struct motley__peak *peak)
{
    motley__buffer_destroy(peak->out);
    motley__buffer_destroy(peak->data);
    peak->out = peak->data = NULL;
}
