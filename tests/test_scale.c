/* Weights before the experts: scaled rows and their gradient, against the twin.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/ref.h"
#include "layer/scale.h"
#include "routing.h"

/* P pairs of `own` own rows and `received` others, of which those from `first` on are done. */
static void check(struct motley__device *device, enum motley_dtype dtype, int P, int first, int own, int received,
                  int D, uint64_t seed)
{
    const int rows = own + received, left = P - first;
    float *x = random_stored(dtype, seed, 1, (size_t)(rows * D)), *dx = random_stored(dtype, seed, 2, (size_t)(P * D));
    float *weight = random_floats(seed, 3, (size_t)P), *scaled = ARRAY(float, P * D), *dw = ARRAY(float, P);
    int *index = ARRAY(int, P);
    for (int p = 0; p < P; p++)
        index[p] = random_int(seed, 4, (size_t)p, rows);
    struct motley__buffer *own_there = to_device_as(device, dtype, x, (size_t)(own * D));
    struct motley__buffer *received_there = to_device_as(device, dtype, x + own * D, (size_t)(received * D));
    struct motley__buffer *index_there = to_device(device, index, (size_t)P * 4);
    struct motley__buffer *weight_there = to_device(device, weight, (size_t)P * 4);
    struct motley__buffer *scaled_there = unwritten_as(device, dtype, (size_t)(P * D));
    struct motley__buffer *ones = unwritten(device, (size_t)P * 4), *dw_there = unwritten(device, (size_t)P * 4);
    struct motley__buffer *dx_there = to_device_as(device, dtype, dx, (size_t)(P * D));
    const struct motley__scale scale = {.first = first, .P = left, .D = D, .weight = weight_there,
        .x = {own_there, received ? received_there : NULL, own, index_there, dtype}};
    SUCCEED(motley__scale(device, &scale, scaled_there, ones, &error));
    SUCCEED(motley__scale_backward(device, &scale, dx_there, dw_there, &error));
    motley__ref_scale(left, D, x, index + first, weight + first, scaled + first * D);
    motley__ref_scale_backward(left, D, x, index + first, weight + first, dx + first * D, dw + first);

    float *found = take_back_as(dtype, scaled_there), *found_dx = take_back_as(dtype, dx_there);
    float *found_dw = take_back(dw_there), *found_ones = take_back(ones);
    assert_close(found + first * D, scaled + first * D, (size_t)(left * D), rounding(dtype) + 1e-7, 1e-7);
    assert_close(found_dx, dx, (size_t)(P * D), rounding(dtype) + 1e-7, 1e-7);
    assert_close(found_dw + first, dw + first, (size_t)left, 1e-5, 1e-5 * sqrt(D));
    for (int p = first; p < P; p++)
        assert_true(found_ones[p] == 1);
    void *host[] = {x, dx, weight, scaled, dw, index, found, found_dx, found_dw, found_ones};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
    struct motley__buffer *there[] = {own_there, received_there, index_there, weight_there};
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        motley__buffer_destroy(there[i]);
}

static void rows_equal_twin_on(struct motley__device *device, enum motley_dtype dtype)
{
    const uint64_t seed = test_seed();
    check(device, dtype, 1, 0, 1, 0, 1, seed);
    check(device, dtype, 13, 4, 5, 3, 37, seed);
    check(device, dtype, 20, 0, 2, 9, 130, seed);
    check(device, dtype, 7, 7, 3, 0, 8, seed);
}

static void rows_equal_twin(void **state)
{
    on_both_maps_stored(*state, rows_equal_twin_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_equal_twin)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
