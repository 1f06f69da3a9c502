/* The products and the passes between them with rows and weights in bf16 and f16, against the scalar twin on the same
 * rounded numbers.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>

#include "product_check.h"

static const struct forward_case CASES[] = {
    {{1, 1, 1, 1, SPREAD, 0, 0}, MOTLEY__ACT_NONE, 1, 1},
    {{1, 13, 31, 17, SPREAD, 0, 1}, MOTLEY__ACT_NONE, 1, 1},
    {{3, 97, 64, 64, ALL_ON_ONE, 1, 0}, MOTLEY__ACT_RELU, 1, 1},
    {{7, 211, 130, 259, ALTERNATELY_EMPTY, 1, 0}, MOTLEY__ACT_SWIGLU, 0, 1},
    {{5, 40, 33, 65, SPREAD, 1, 0}, MOTLEY__ACT_GELU, 1, 1},
    {{64, 70, 9, 5, SPREAD, 1, 0}, MOTLEY__ACT_SILU, 1, 1},
    {{4, 150, 300, 3, SPREAD, 0, 1}, MOTLEY__ACT_NONE, 1, 1},
    {{3, 4097, 65, 33, SPREAD, 1, 0}, MOTLEY__ACT_SWIGLU, 0, 1},
    {{2, 4097, 33, 65, SPREAD, 1, 0}, MOTLEY__ACT_RELU, 1, 0},
    {{4100, 70, 9, 5, SPREAD, 1, 0}, MOTLEY__ACT_NONE, 1, 1}, /* more than the tables of some variants hold */
};
enum { CASES_COUNT = sizeof CASES / sizeof *CASES };

/* One row with a NaN, one with an infinity: they reach their own outputs and no other. */
static void check_nonfinite(struct motley__device *device, enum motley_dtype dtype)
{
    enum { E = 3, P = 50, O = 37, I = 45, NAN_ROW = 7, INFINITE_ROW = 31 };
    const uint64_t seed = test_seed();
    struct ragged_problem ragged = make_ragged(device, seed, E, P, SPREAD);
    float *x = random_stored(dtype, seed, 1, P * I), *w = random_stored(dtype, seed, 2, E * O * I);
    x[NAN_ROW * I + 3] = NAN;
    x[INFINITE_ROW * I + 44] = INFINITY;
    struct motley__buffer *x_there = to_device_as(device, dtype, x, P * I);
    struct motley__esmm esmm = {
        .w = matrix_there_as(device, dtype, dtype, E, O, I, w), .ragged = ragged.ragged,
        .x = {.own = x_there, .own_rows = P, .dtype = dtype}, .dtype = dtype, .activation = MOTLEY__ACT_NONE,
        .y = unwritten(device, P * O * motley__storage_bytes(dtype)),
    };
    SUCCEED(motley__esmm(device, &esmm, &error));
    float *y = take_back_as(dtype, esmm.y);
    for (int i = 0; i < P * O; i++) {
        if (i / O == NAN_ROW)
            assert_true(isnan(y[i]));
        else if (i / O == INFINITE_ROW)
            assert_true(!isfinite(y[i]));
        else
            assert_true(isfinite(y[i]));
    }
    motley__buffer_destroy(x_there);
    motley__matrix_destroy((struct motley__matrix *)esmm.w);
    free_ragged(&ragged);
    FREE(x, w, y);
}

static void all_on(struct motley__device *device, enum motley_dtype dtype)
{
    const uint64_t seed = test_seed();
    for (int i = 0; i < CASES_COUNT; i++) {
        check_forward(device, dtype, seed, &CASES[i]);
        check_transposed(device, dtype, seed, &CASES[i].product);
        check_estmm(device, dtype, seed, &CASES[i].product);
        check_ess(device, dtype, seed, &CASES[i].product, 1);
    }
    for (int activation = MOTLEY__ACT_RELU; activation <= MOTLEY__ACT_SWIGLU; activation++)
        check_activation(device, dtype, seed, 40, 333, activation);
    check_dot_bias(device, dtype, seed, 6, 100, 77, SPREAD);
    check_nonfinite(device, dtype);
}

/* Products of few rows, here of any number: they are the same beside every variant with canonical weights. */
static void few_on(struct motley__device *device, enum motley_dtype dtype)
{
    const uint64_t seed = test_seed();
    if (device->variant[dtype] != &motley__variant_generic)
        return;
    device->few_pairs[dtype] = INT_MAX;
    for (int i = 0; i < CASES_COUNT; i++) {
        check_forward(device, dtype, seed, &CASES[i]);
        check_transposed(device, dtype, seed, &CASES[i].product);
    }
    check_nonfinite(device, dtype);
    device->few_pairs[dtype] = 0;
}

static void few_rows_equal_twin(void **state)
{
    with_variants(*state, MOTLEY_BF16, few_on);
    with_variants(*state, MOTLEY_F16, few_on);
}

static void bf16_equals_twin(void **state)
{
    with_variants(*state, MOTLEY_BF16, all_on);
}

static void f16_equals_twin(void **state)
{
    with_variants(*state, MOTLEY_F16, all_on);
}

/* What the gate needs: f32 weights and slopes beside stored rows. */
static void mixed_types_equal_twin(void **state)
{
    enum { T = 70, O = 9, I = 133 };
    struct motley__device *device = *state;
    const uint64_t seed = test_seed();
    float *g = random_floats(seed, 1, T * O), *w = random_floats(seed, 2, O * I);
    float *dx = random_stored(MOTLEY_BF16, seed, 3, T * I), *x = random_stored(MOTLEY_BF16, seed, 4, T * I);
    float *dw = ARRAY(float, O * I);
    struct motley__matrix *there, *slope;
    SUCCEED(motley__matrix_create(device, MOTLEY_F32, 1, O, I, 1, NULL, &there, &error));
    SUCCEED(motley__matrix_create(device, MOTLEY_F32, 1, O, I, 1, NULL, &slope, &error));
    SUCCEED(motley__matrix_set(there, 0, w, &error));
    struct motley__buffer *g_there = to_device(device, g, sizeof(float) * T * O);
    struct motley__buffer *x_there = to_device_as(device, MOTLEY_BF16, x, T * I);
    struct motley__ragged ragged = {.E = 1, .P = T};
    struct motley__rows rows = {.own = g_there, .own_rows = T};
    struct motley__esmm esmm = {.w = there, .ragged = ragged, .x = rows, .dtype = MOTLEY_BF16, .accumulate = 1,
                                .activation = MOTLEY__ACT_NONE, .y = to_device_as(device, MOTLEY_BF16, dx, T * I)};
    struct motley__estmm estmm = {.ragged = ragged, .a = rows, .dw = slope,
                                  .b = {.own = x_there, .own_rows = T, .dtype = MOTLEY_BF16}};
    const int offsets[] = {0, T};
    struct motley__ref_rows g_rows = {.own = g}, x_rows = {.own = x};
    struct motley__ref_esmm ref = {.E = 1, .P = T, .O = O, .I = I, .offsets = offsets, .x = g_rows, .w = w,
                                   .accumulate = 1, .y = dx};
    SUCCEED(motley__esmm_transposed(device, &esmm, &error));
    SUCCEED(motley__estmm(device, &estmm, &error));
    motley__ref_esmm_transposed(&ref);
    motley__ref_estmm(1, T, O, I, offsets, &g_rows, &x_rows, 0, dw);
    float *got = take_back_as(MOTLEY_BF16, esmm.y), *got_slope = matrix_back(slope);
    assert_near("dx", got, dx, T * I, LIMIT[MOTLEY_BF16]);
    assert_near("dw", got_slope, dw, O * I, SUM_LIMIT);
    motley__buffer_destroy(g_there);
    motley__buffer_destroy(x_there);
    motley__matrix_destroy(there);
    motley__matrix_destroy(slope);
    FREE(got, got_slope, g, w, dx, x, dw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_equals_twin),
        cmocka_unit_test(f16_equals_twin),
        cmocka_unit_test(few_rows_equal_twin),
        cmocka_unit_test(mixed_types_equal_twin),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
