/* Gate noise: against the twin; the same however tokens lie; normal.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/gate.h"
#include "layer/noise.h"
#include "layer/ref.h"
#include "routing.h"

/* Logits [T,E] as the gate has them, from floats that either type holds. */
static struct motley__buffer *logits_there(struct motley__device *device, int T, int E, int single, const float *logits)
{
    const size_t stride = (size_t)motley__gate_stride(E), count = (size_t)T * stride;
    double *wide = ARRAY(double, count);
    float *narrow = ARRAY(float, 2 * count);
    for (int n = 0; n < T * E; n++) {
        wide[(size_t)(n / E) * stride + (size_t)(n % E)] = logits[n];
        narrow[(size_t)(n / E) * stride + (size_t)(n % E)] = logits[n];
    }
    struct motley__buffer *there = single ? to_device(device, narrow, 8 * count) : to_device(device, wide, 8 * count);
    free(wide);
    free(narrow);
    return there;
}

/* What is left in a buffer of logits_there; it is destroyed. */
static double *logits_back(struct motley__buffer *there, int T, int E, int single)
{
    const size_t stride = (size_t)motley__gate_stride(E);
    double *logits = ARRAY(double, T * E);
    void *back = take_back(there);
    for (int n = 0; n < T * E; n++) {
        const size_t at = (size_t)(n / E) * stride + (size_t)(n % E);
        logits[n] = single ? ((const float *)back)[at] : ((const double *)back)[at];
    }
    free(back);
    return logits;
}

static double *noisy(struct motley__device *device, int T, int E, int single, int64_t first, const float *logits,
                     double sigma, uint64_t seed)
{
    struct motley__buffer *there = logits_there(device, T, E, single, logits);
    const struct motley__noise noise = {.sigma = sigma, .seed = seed, .first = first};
    SUCCEED(motley__noise_add(device, &noise, T, E, single, there, &error));
    return logits_back(there, T, E, single);
}

static void check_twin(struct motley__device *device, int T, int E, int single, int64_t first, uint64_t seed)
{
    const double sigma = 1.5 / E;
    float *logits = random_floats(seed, 1, (size_t)(T * E));
    double *found = noisy(device, T, E, single, first, logits, sigma, seed << 40 | 5), *wanted = ARRAY(double, T * E);
    for (int n = 0; n < T * E; n++)
        wanted[n] = logits[n];
    motley__ref_noise_add(T, E, (float)sigma, seed << 40 | 5, first, wanted);
    for (int n = 0; n < T * E; n++)
        assert_true(fabs(found[n] - wanted[n]) <= (single ? 2e-6 : 1e-13) * (1 + fabs(wanted[n])));
    free(wanted);
    free(found);
    free(logits);
}

static void logits_equal_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int single = !device->has_double; single < 2; single++) {
        check_twin(device, 0, 3, single, 0, seed);
        check_twin(device, 1, 1, single, 12, seed);
        check_twin(device, 9, 7, single, 0, seed);
        check_twin(device, 5, 130, single, INT64_C(5000000000), seed);
    }
}

static void logits_equal_twin(void **state)
{
    on_both_maps(*state, logits_equal_twin_on);
}

/* Tokens 3 .. 7 by themselves get what they get among all. */
static void a_part_gets_the_same_on(struct motley__device *device)
{
    enum { T = 8, E = 5 };
    float *logits = random_floats(2, 1, T * E);
    const int single = !device->has_double;
    double *whole = noisy(device, T, E, single, 0, logits, 1, 3);
    double *part = noisy(device, T - 3, E, single, 3, logits + 3 * E, 1, 3);
    assert_memory_equal(whole + 3 * E, part, (T - 3) * E * sizeof *part);
    free(whole);
    free(part);
    free(logits);
}

static void a_part_gets_the_same(void **state)
{
    on_both_maps(*state, a_part_gets_the_same_on);
}

/* Logits as they were, and their log sum exp. */
static void clean_logits_are_kept_on(struct motley__device *device)
{
    enum { T = 6, E = 70 };
    float *logits = random_floats(4, 1, T * E);
    const int single = !device->has_double;
    struct motley__buffer *there = logits_there(device, T, E, single, logits);
    const struct motley__noise noise = {.sigma = 0.5, .seed = 1, .clean = unwritten(device, T * E * 4),
        .lse = unwritten(device, T * 4), .last = unwritten(device, T * 4)};
    SUCCEED(motley__noise_add(device, &noise, T, E, single, there, &error));
    float *clean = take_back(noise.clean), *lse = take_back(noise.lse);
    assert_memory_equal(clean, logits, T * E * sizeof *clean);
    for (int t = 0; t < T; t++) {
        double sum = 0;
        for (int e = 0; e < E; e++)
            sum += exp(logits[t * E + e]);
        assert_true(fabs(lse[t] - log(sum)) <= 1e-6);
    }
    motley__buffer_destroy(noise.last);
    motley__buffer_destroy(there);
    free(clean);
    free(lse);
    free(logits);
}

static void clean_logits_are_kept(void **state)
{
    on_both_maps(*state, clean_logits_are_kept_on);
}

/* 4 standard errors of mean and variance of so many numbers. */
static void noise_is_normal(void **state)
{
    enum { T = 500, E = 20, N = T * E };
    struct motley__device *device = *state;
    float *nothing = ARRAY(float, N);
    if (!affordable(N))
        skip();
    double *numbers = noisy(device, T, E, !device->has_double, 0, nothing, 1, 8), sum = 0, squares = 0;
    for (int n = 0; n < N; n++) {
        sum += numbers[n];
        squares += numbers[n] * numbers[n];
    }
    assert_true(fabs(sum / N) < 4 / sqrt(N));
    assert_true(fabs(squares / N - 1) < 4 * sqrt(2.0 / N));
    free(numbers);
    free(nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_equal_twin),
        cmocka_unit_test(a_part_gets_the_same),
        cmocka_unit_test(clean_logits_are_kept),
        cmocka_unit_test(noise_is_normal),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
