/* ESMM, forward and transposed, against the scalar twin.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>

#include "product_check.h"

static const struct product_case SIZES[] = {
    {1, 1, 1, 1, SPREAD, 0, 0},
    {1, 13, 31, 17, SPREAD, 0, 0},
    {1, 300, 65, 33, SPREAD, 1, 0},
    {3, 97, 64, 64, ALL_ON_ONE, 1, 0},
    {7, 211, 130, 259, ALTERNATELY_EMPTY, 1, 0},
    {5, 700, 40, 520, SPREAD, 0, 0},
    {26, 325, 37, 83, RISING, 1, 0},
    {11, 55, 259, 130, RISING, 0, 1},
    {512, 600, 9, 5, SPREAD, 1, 0},
    {4, 150, 300, 3, SPREAD, 0, 1},
    {2, 40, 2816, 33, SPREAD, 0, 0},
    {2, 40, 33, 2816, SPREAD, 0, 0},
    {3, 4097, 65, 33, SPREAD, 1, 0},
};

static void forward_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        if (affordable((double)SIZES[i].P * SIZES[i].O * SIZES[i].I))
            check_forward(device, MOTLEY_F32, seed + i, &(struct forward_case){SIZES[i], MOTLEY__ACT_NONE, 0, 0});
}

static void transposed_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        if (affordable((double)SIZES[i].P * SIZES[i].O * SIZES[i].I))
            check_transposed(device, MOTLEY_F32, seed + i, &SIZES[i]);
}

static void activations_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int activation = MOTLEY__ACT_RELU; activation <= MOTLEY__ACT_NONE; activation++)
        for (int keep = 0; keep < 2; keep++) {
            const int bias = activation != MOTLEY__ACT_SWIGLU;
            const struct forward_case large = {{3, 170, 75, 41, SPREAD, 1, 0}, activation, bias, keep},
                                   small = {{3, 40, 19, 11, SPREAD, 1, 0}, activation, bias, keep};
            const struct forward_case c = simulated() ? small : large;
            check_forward(device, MOTLEY_F32, seed, &c);
        }
}

static void segments_on(struct motley__device *device)
{
    const uint64_t seed = test_seed(), limit = device->max_buffer_bytes;
    const struct forward_case plain = {{5, 120, 115, 90, SPREAD, 1, 0}, MOTLEY__ACT_GELU, 1, 1},
                           swiglu = {{5, 120, 115, 90, SPREAD, 1, 0}, MOTLEY__ACT_SWIGLU, 0, 1};
    if (!affordable(120.0 * 115 * 90))
        return;
    device->max_buffer_bytes = 2 * sizeof(float) *
                               motley__matrix_numbers(115, 90, motley__esmm_panel(device, MOTLEY_F32));
    check_forward(device, MOTLEY_F32, seed, &plain);
    check_forward(device, MOTLEY_F32, seed, &swiglu);
    check_transposed(device, MOTLEY_F32, seed, &plain.product);
    device->max_buffer_bytes = limit;
}

static void vectors_on(struct motley__device *device)
{
    const struct forward_case c = {{5, 170, 75, 41, SPREAD, 1, 0}, MOTLEY__ACT_GELU, 1, 1};
    const struct forward_case few = {{20, 190, 75, 41, RISING, 1, 1}, MOTLEY__ACT_NONE, 0, 0};
    const uint64_t seed = test_seed();
    check_forward(device, MOTLEY_F32, seed, &c);
    check_transposed(device, MOTLEY_F32, seed, &c.product);
    check_forward(device, MOTLEY_F32, seed, &few);
    check_transposed(device, MOTLEY_F32, seed, &few.product);
}

/* Columns in tiles of 128 and of 64, rows of 128, 64 and 32; rows of whole vectors and not. */
static void tiles_on(struct motley__device *device)
{
    static const struct forward_case CASES[] = {
        {{1, 253, 124, 131, SPREAD, 1, 1}, MOTLEY__ACT_NONE, 1, 0},
        {{1, 253, 124, 252, SPREAD, 1, 0}, MOTLEY__ACT_SWIGLU, 0, 1},
        {{2, 120, 250, 123, SPREAD, 1, 1}, MOTLEY__ACT_NONE, 1, 0},
        {{1, 60, 60, 124, SPREAD, 0, 0}, MOTLEY__ACT_SWIGLU, 0, 1},
        {{2, 97, 60, 40, ALL_ON_ONE, 1, 1}, MOTLEY__ACT_NONE, 1, 0},
        {{1, 27, 120, 123, SPREAD, 1, 0}, MOTLEY__ACT_NONE, 0, 0},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        check_forward(device, MOTLEY_F32, seed + i, &CASES[i]);
        check_transposed(device, MOTLEY_F32, seed + i, &CASES[i].product);
    }
}

/* No pair: nothing is launched, nothing written. */
static void no_pairs_on(struct motley__device *device)
{
    struct ragged_problem ragged = make_ragged(device, 1, 3, 0, SPREAD);
    struct motley__buffer *nothing = to_device(device, NULL, 0);
    float w[3 * 4 * 5] = {0};
    struct motley__matrix *matrix = matrix_there(device, 3, 4, 5, w);
    struct motley__esmm esmm = {.w = matrix, .ragged = ragged.ragged, .x = {.own = nothing},
                                .activation = MOTLEY__ACT_NONE, .y = nothing};
    SUCCEED(motley__esmm(device, &esmm, &error));
    SUCCEED(motley__esmm_transposed(device, &esmm, &error));
    motley__matrix_destroy(matrix);
    motley__buffer_destroy(nothing);
    free_ragged(&ragged);
}

/* NaN in one row shows in that row alone: both ways, through every activation, in tiles of few rows and of many. */
static void nan_of_rows(struct motley__device *device, int P)
{
    enum { O = 20, I = O };
    const int bad = P / 2;
    float *x = ARRAY(float, (size_t)P * I), w[O * I];
    for (int i = 0; i < P * I; i++)
        x[i] = i / I == bad ? NAN : 0.5f;
    for (int i = 0; i < O * I; i++)
        w[i] = 0.25f;
    struct motley__buffer *there = to_device(device, x, sizeof(float) * (size_t)P * I);
    struct motley__matrix *matrix = matrix_there(device, 1, O, I, w);
    for (int activation = MOTLEY__ACT_RELU; activation <= MOTLEY__ACT_NONE + 1; activation++) {
        const int transposed = activation > MOTLEY__ACT_NONE;
        struct motley__esmm esmm = {.w = matrix, .w3 = activation == MOTLEY__ACT_SWIGLU ? matrix : NULL,
                                    .ragged = {1, P, NULL}, .x = {.own = there, .own_rows = INT_MAX},
                                    .activation = transposed ? MOTLEY__ACT_NONE : activation,
                                    .y = unwritten(device, sizeof(float) * (size_t)P * O)};
        SUCCEED(transposed ? motley__esmm_transposed(device, &esmm, &error) : motley__esmm(device, &esmm, &error));
        float *y = take_back(esmm.y);
        for (int i = 0; i < P * O; i++)
            assert_int_equal(!isnan(y[i]), i / O != bad);
        free(y);
    }
    motley__matrix_destroy(matrix);
    motley__buffer_destroy(there);
    free(x);
}

static void propagates_nan_on(struct motley__device *device)
{
    static const int ROWS[] = {2, 7, 30, 170};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        nan_of_rows(device, ROWS[i]);
}

/* The same call twice gives the same bits. */
static void repeats_on(struct motley__device *device)
{
    enum { E = 4, P = 333, O = 100, I = 600 };
    const uint64_t seed = test_seed();
    if (!affordable((double)P * O * I))
        return;
    struct ragged_problem ragged = make_ragged(device, seed, E, P, SPREAD);
    struct row_problem x = make_rows(device, seed, 10, P, I, 1);
    float *w = random_floats(seed, 1, E * O * I), *y[2];
    struct motley__matrix *matrix = matrix_there(device, E, O, I, w);
    for (int turn = 0; turn < 2; turn++) {
        struct motley__esmm esmm = {.w = matrix, .ragged = ragged.ragged, .x = x.rows, .activation = MOTLEY__ACT_SILU,
                                    .y = unwritten(device, sizeof(float) * P * O)};
        SUCCEED(motley__esmm(device, &esmm, &error));
        y[turn] = take_back(esmm.y);
    }
    assert_memory_equal(y[0], y[1], sizeof(float) * P * O);
    motley__matrix_destroy(matrix);
    free_rows(&x);
    free_ragged(&ragged);
    free(y[0]);
    free(y[1]);
    free(w);
}

/* Products of few rows, here of any number: they are the same beside every variant with canonical weights. */
static void few_on(struct motley__device *device)
{
    if (device->variant[MOTLEY_F32] != &motley__variant_generic || simulated())
        return;
    device->few_pairs[MOTLEY_F32] = INT_MAX;
    forward_on(device);
    transposed_on(device);
    activations_on(device);
    segments_on(device);
    propagates_nan_on(device);
    device->few_pairs[MOTLEY_F32] = 0;
}

static void forward_equals_twin(void **state) { with_families(*state, forward_on); }
static void transposed_equals_twin(void **state) { with_families(*state, transposed_on); }
static void activations_equal_twin(void **state) { with_families(*state, activations_on); }
static void several_segments(void **state) { with_families(*state, segments_on); }
static void every_vector_width(void **state) { with_vectors(*state, vectors_on); }
static void every_tile(void **state) { with_tiles(*state, tiles_on); }
static void no_pairs(void **state) { with_families(*state, no_pairs_on); }
static void propagates_nan(void **state) { with_families(*state, propagates_nan_on); }
static void few_rows(void **state) { with_families(*state, few_on); }
static void repeats_bit_for_bit(void **state) { with_families(*state, repeats_on); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_equals_twin), cmocka_unit_test(transposed_equals_twin),
        cmocka_unit_test(activations_equal_twin), cmocka_unit_test(several_segments),
        cmocka_unit_test(every_vector_width), cmocka_unit_test(every_tile), cmocka_unit_test(no_pairs),
        cmocka_unit_test(propagates_nan), cmocka_unit_test(few_rows),
        cmocka_unit_test(repeats_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
