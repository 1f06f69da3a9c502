/* What the tests of the products share: ragged problems with rows in two places, and running a test with every
 * kernel family that the device can run.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PRODUCT_H
#define MOTLEY_TESTS_PRODUCT_H

#include "routing.h"

#include <math.h>

#include "product/admit.h"
#include "product/esmm.h"
#include "product/ref.h"
#include "product/variant.h"

/* 1: a simulator runs the tests (tests/check-oclgrind.sh).  It is no CPU but runs the kernels for CPUs too, and takes
 * variants without admission, whose sizes would keep it for minutes. */
static inline int simulated(void)
{
    return getenv("MOTLEY_TEST_STEPS") != NULL;
}

/* Run a test's body with each set of kernels that the device can run; nvidia/fma runs anywhere when asked for. */
static inline void with_families(struct motley__device *device, void (*body)(struct motley__device *device))
{
    static const char *const families[] = {"cpu", "generic", "nvidia/fma"};
    static const struct motley__variant *const variants[] = {&motley__variant_cpu, &motley__variant_generic,
                                                             &motley__variant_nvidia_fma};
    for (int f = 0; f < 3; f++) {
        assert_int_equal(setenv("MOTLEY_FAMILY", families[f], 1), 0);
        if (!(simulated() && f == 0) && !variants[f]->suits(device))
            continue;
        if (simulated()) {
            device->variant[MOTLEY_F32] = variants[f];
        } else {
            SUCCEED(motley__admit(device, &error));
            assert_ptr_equal(device->variant[MOTLEY_F32], variants[f]);
            print_message("%s\n", device->info.why);
        }
        memset(device->few_pairs, 0, sizeof device->few_pairs);   /* they have a test of their own */
        body(device);
    }
    unsetenv("MOTLEY_FAMILY");
}

/* Run a test's body with each variant that the device can run for a storage type. */
static inline void with_variants(struct motley__device *device, enum motley_dtype dtype,
                                 void (*body)(struct motley__device *device, enum motley_dtype dtype))
{
    for (int v = 0; v < motley__variants_count; v++) {
        const struct motley__variant *variant = motley__variants[v];
        char wanted[64];
        if (simulated() && (variant == &motley__variant_cpu || variant == &motley__variant_generic)) {
            device->variant[dtype] = variant;
            body(device, dtype);
            continue;
        }
        if (!(variant->dtypes & MOTLEY__DTYPE_BIT(dtype)) || !variant->suits(device))
            continue;
        snprintf(wanted, sizeof wanted, "%s/%s", variant->family, variant->name);
        assert_int_equal(setenv("MOTLEY_FAMILY", wanted, 1), 0);
        device->variant[dtype] = NULL;
        SUCCEED(motley__admit_dtype(device, dtype, &error));
        print_message("%s %s\n", motley__storage_name(dtype), device->why[dtype]);
        memset(device->few_pairs, 0, sizeof device->few_pairs);
        body(device, dtype);
    }
    unsetenv("MOTLEY_FAMILY");
}

/* Run a test's body with nvidia/fma as on a device of one multiprocessor, on which it picks its tiles by their fit. */
static inline void with_tiles(struct motley__device *device, void (*body)(struct motley__device *device))
{
    const int units = device->compute_units;
    assert_int_equal(setenv("MOTLEY_FAMILY", "nvidia/fma", 1), 0);
    if (simulated() || !motley__variant_nvidia_fma.suits(device)) {
        unsetenv("MOTLEY_FAMILY");
        skip();
    }
    SUCCEED(motley__admit(device, &error));
    device->compute_units = 1;
    body(device);
    device->compute_units = units;
    unsetenv("MOTLEY_FAMILY");
}

/* Run a test's body with the family cpu as on CPUs with vectors of 4, 8 and 16 floats. */
static inline void with_vectors(struct motley__device *device, void (*body)(struct motley__device *device))
{
    const int native = device->native_float;
    if (!device->is_cpu)
        skip();
    for (device->native_float = 4; device->native_float <= 16; device->native_float *= 2) {
        SUCCEED(motley__admit(device, &error));
        assert_string_equal(device->info.family, "cpu");
        body(device);
    }
    device->native_float = native;
}

/* The norm of the difference is at most `limit` times the norm of what was expected. */
static inline void assert_near(const char *what, const float *got, const float *expected, size_t count, double limit)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = (double)got[i] - expected[i];
        difference += d * d;
        norm += (double)expected[i] * expected[i];
    }
    if (!(sqrt(difference) <= limit * sqrt(norm)))
        fail_msg("%s: error %.3g of %.3g allowed", what, norm > 0 ? sqrt(difference / norm) : sqrt(difference), limit);
}

/* How the pairs of a problem fall on its experts. */
enum shape { SPREAD, ALL_ON_ONE, ALTERNATELY_EMPTY, RISING };

struct ragged_problem {
    int E, P;
    int *offsets;                       /* [E+1] */
    struct motley__ragged ragged;
};

static inline struct ragged_problem make_ragged(struct motley__device *device, uint64_t seed, int E, int P,
                                                enum shape shape)
{
    struct ragged_problem problem = {.E = E, .P = P, .offsets = ARRAY(int, E + 1)};
    int *counts = ARRAY(int, E);
    for (int p = 0; p < P; p++) {
        int e = random_int(seed, 100, (size_t)p, E);
        if (shape == ALL_ON_ONE)
            e = E / 2;
        else if (shape == ALTERNATELY_EMPTY)
            e = e / 2 * 2;
        else if (shape == RISING) /* expert e has e rows, the last one what is left */
            for (e = 1; e < E - 1 && p >= e * (e + 1) / 2;)
                e++;
        counts[e]++;
    }
    for (int e = 0; e < E; e++)
        problem.offsets[e + 1] = problem.offsets[e] + counts[e];
    free(counts);
    problem.ragged = (struct motley__ragged){E, P, to_device(device, problem.offsets, sizeof(int) * (size_t)(E + 1)),
                                             0};
    return problem;
}

static inline void free_ragged(struct ragged_problem *problem)
{
    motley__buffer_destroy((struct motley__buffer *)problem->ragged.offsets);
    free(problem->offsets);
}

/* P rows of a width.  split: a third are own rows, the others received, reached by an index that repeats some and
 * leaves others out; else pair p is own row p. */
struct row_problem {
    float *own, *received;
    int *index;
    struct motley__rows rows;
    struct motley__ref_rows ref;
};

static inline struct row_problem make_rows_as(struct motley__device *device, enum motley_dtype dtype, uint64_t seed,
                                              uint64_t stream, int P, int width, int split)
{
    const int own_rows = split ? P / 3 + 1 : P, received_rows = split ? P - P / 3 + 1 : 0;
    const size_t own = (size_t)own_rows * width, received = (size_t)received_rows * width;
    struct row_problem problem = {.own = random_stored(dtype, seed, stream, own)};
    problem.ref = (struct motley__ref_rows){.own = problem.own, .own_rows = own_rows};
    problem.rows = (struct motley__rows){.own = to_device_as(device, dtype, problem.own, own),
                                         .own_rows = own_rows, .dtype = dtype};
    if (split) {
        problem.received = random_stored(dtype, seed, stream + 1, received);
        problem.index = ARRAY(int, P);
        for (int p = 0; p < P; p++)
            problem.index[p] = random_int(seed, stream + 2, (size_t)p, own_rows + received_rows);
        problem.ref.received = problem.received;
        problem.ref.index = problem.index;
        problem.rows.received = to_device_as(device, dtype, problem.received, received);
        problem.rows.index = to_device(device, problem.index, sizeof(int) * (size_t)P);
    }
    return problem;
}

static inline struct row_problem make_rows(struct motley__device *device, uint64_t seed, uint64_t stream, int P,
                                           int width, int split)
{
    return make_rows_as(device, MOTLEY_F32, seed, stream, P, width, split);
}

static inline void free_rows(struct row_problem *problem)
{
    motley__buffer_destroy((struct motley__buffer *)problem->rows.own);
    motley__buffer_destroy((struct motley__buffer *)problem->rows.received);
    motley__buffer_destroy((struct motley__buffer *)problem->rows.index);
    free(problem->own);
    free(problem->received);
    free(problem->index);
}

/* E canonical matrices on the device, stored as `dtype` in the panels of the variant for `rows`. */
static inline struct motley__matrix *matrix_there_as(struct motley__device *device, enum motley_dtype rows,
                                                     enum motley_dtype dtype, int E, int O, int I, const float *w)
{
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(device, dtype, E, O, I, motley__esmm_panel(device, rows), NULL, &matrix, &error));
    for (int e = 0; e < E; e++)
        SUCCEED(motley__matrix_set(matrix, e, w + (size_t)e * O * I, &error));
    for (int s = 0; s < matrix->segments && simulated(); s++) {
        /* Oclgrind 21.10 takes only what the last write to a buffer covers as written, so all is written at once. */
        struct motley__buffer *whole = matrix->segment[s];
        void *bytes = host_array(whole->bytes, 1);
        SUCCEED(motley__buffer_read(whole, 0, bytes, whole->bytes, &error));
        SUCCEED(motley__buffer_write(whole, 0, bytes, whole->bytes, &error));
        free(bytes);
    }
    return matrix;
}

static inline struct motley__matrix *matrix_there(struct motley__device *device, int E, int O, int I, const float *w)
{
    return matrix_there_as(device, MOTLEY_F32, MOTLEY_F32, E, O, I, w);
}

static inline float *matrix_back(const struct motley__matrix *matrix)
{
    const size_t each = (size_t)matrix->O * matrix->I;
    float *w = ARRAY(float, each * matrix->E);
    for (int e = 0; e < matrix->E; e++)
        SUCCEED(motley__matrix_get(matrix, e, w + e * each, &error));
    return w;
}

#endif
