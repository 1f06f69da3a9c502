/* What the tests of the routing operators share: buffers from and to host arrays, random arrays, and running a
 * test with the kernels of CPUs and with those of GPUs, which any device can run.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_ROUTING_H
#define MOTLEY_TESTS_ROUTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "device.h"
#include "device/buffer.h"
#include "device/storage.h"

/* A call that must succeed. */
#define SUCCEED(call)                                                        \
    do {                                                                     \
        struct motley_error error = {0};                                     \
        if ((call) != 0)                                                     \
            fail_msg("%s: %s", #call, error.text);                           \
    } while (0)

static inline int open_device(void **state)
{
    return motley__test_device((struct motley__device **)state);
}

static inline int close_device(void **state)
{
    motley__device_close(*state);
    return 0;
}

/* Run a test's body as on a CPU, then as on a GPU. */
static inline void on_both_maps(struct motley__device *device, void (*body)(struct motley__device *device))
{
    const int is_gpu = device->info.is_gpu;
    for (device->info.is_gpu = 0; device->info.is_gpu < 2; device->info.is_gpu++)
        body(device);
    device->info.is_gpu = is_gpu;
}

/* 0: a case of so many steps is to be left out.  MOTLEY_TEST_STEPS says how many a case may have at most, so that the
 * tests can be run by a simulator; without it all are run. */
static inline int affordable(double steps)
{
    const char *most = getenv("MOTLEY_TEST_STEPS");
    return !most || steps <= strtod(most, NULL);
}

/* MOTLEY_TEST_SEED, or 1; printed. */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("MOTLEY_TEST_SEED");
    const uint64_t seed = text ? strtoull(text, NULL, 0) : 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

static inline void *host_array(size_t count, size_t bytes)
{
    void *array = calloc(count ? count : 1, bytes);
    assert_non_null(array);
    return array;
}
#define ARRAY(type, count) ((type *)host_array((size_t)(count), sizeof(type)))

/* Normal numbers, numbered by stream. */
static inline float *random_floats(uint64_t seed, uint64_t stream, size_t count)
{
    float *array = ARRAY(float, count);
    for (size_t i = 0; i < count; i++)
        array[i] = (float)motley__random_normal(seed, stream, i);
    return array;
}

/* 0 .. below-1 */
static inline int random_int(uint64_t seed, uint64_t stream, size_t index, int below)
{
    return (int)(motley__random_bits(seed, stream, index) % (uint64_t)below);
}

static inline int *random_permutation(uint64_t seed, uint64_t stream, int count)
{
    int *array = ARRAY(int, count);
    for (int i = 0; i < count; i++) {
        const int j = random_int(seed, stream, (size_t)i, i + 1);
        array[i] = array[j];
        array[j] = i;
    }
    return array;
}

static inline struct motley__buffer *to_device(struct motley__device *device, const void *host, size_t bytes)
{
    struct motley__buffer *buffer;
    SUCCEED(motley__buffer_create(device, bytes, &buffer, &error));
    if (bytes)
        SUCCEED(motley__buffer_write(buffer, 0, host, bytes, &error));
    return buffer;
}

/* A buffer of 0x7f7f7f7f, which no result is: what stays so was not written. */
static inline struct motley__buffer *unwritten(struct motley__device *device, size_t bytes)
{
    void *pattern = host_array(bytes, 1);
    memset(pattern, 0x7f, bytes);
    struct motley__buffer *buffer = to_device(device, pattern, bytes);
    free(pattern);
    return buffer;
}

static inline struct motley__buffer *unwritten_as(struct motley__device *device, enum motley_dtype dtype, size_t count)
{
    return unwritten(device, count * motley__storage_bytes(dtype));
}

/* The buffer's bytes in a new host array; the buffer is destroyed. */
static inline void *take_back(struct motley__buffer *buffer)
{
    void *host = host_array(buffer->bytes, 1);
    if (buffer->bytes)
        SUCCEED(motley__buffer_read(buffer, 0, host, buffer->bytes, &error));
    motley__buffer_destroy(buffer);
    return host;
}

/* Normal numbers that the storage type holds exactly. */
static inline float *random_stored(enum motley_dtype dtype, uint64_t seed, uint64_t stream, size_t count)
{
    float *array = random_floats(seed, stream, count);
    void *stored = host_array(count, motley__storage_bytes(dtype));
    motley__store(dtype, array, count, stored);
    motley__load(dtype, stored, count, array);
    free(stored);
    return array;
}

static inline struct motley__buffer *to_device_as(struct motley__device *device, enum motley_dtype dtype,
                                                  const float *host, size_t count)
{
    const size_t bytes = count * motley__storage_bytes(dtype);
    void *stored = host_array(bytes, 1);
    motley__store(dtype, host, count, stored);
    struct motley__buffer *buffer = to_device(device, stored, bytes);
    free(stored);
    return buffer;
}

/* The buffer's numbers in a new host array; the buffer is destroyed. */
static inline float *take_back_as(enum motley_dtype dtype, struct motley__buffer *buffer)
{
    const size_t count = buffer->bytes / motley__storage_bytes(dtype);
    void *stored = take_back(buffer);
    float *host = ARRAY(float, count);
    motley__load(dtype, stored, count, host);
    free(stored);
    return host;
}

/* The largest relative error of rounding to a storage type: what each rounding of a result costs a test. */
static inline double rounding(enum motley_dtype dtype)
{
    return dtype == MOTLEY_BF16 ? 0x1p-8 : dtype == MOTLEY_F16 ? 0x1p-11 : 0;
}

/* Run a test's body for each storage type, as on a CPU, then as on a GPU. */
static inline void on_both_maps_stored(struct motley__device *device,
                                       void (*body)(struct motley__device *device, enum motley_dtype dtype))
{
    const int is_gpu = device->info.is_gpu;
    for (device->info.is_gpu = 0; device->info.is_gpu < 2; device->info.is_gpu++)
        for (int dtype = MOTLEY_F32; dtype <= MOTLEY_F16; dtype++)
            body(device, (enum motley_dtype)dtype);
    device->info.is_gpu = is_gpu;
}

/* |a - b| <= relative |b| + absolute, element by element. */
static inline void assert_close(const float *a, const float *b, size_t count, double relative, double absolute)
{
    for (size_t i = 0; i < count; i++) {
        const double difference = (double)a[i] - b[i], size = b[i] < 0 ? -b[i] : b[i];
        if (!(difference <= relative * size + absolute && -difference <= relative * size + absolute))
            fail_msg("element %zu is %.9g, expected %.9g", i, a[i], b[i]);
    }
}

#endif
