/* ESTMM and ESS against the scalar twin.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "product_check.h"

static const struct product_case SIZES[] = {
    {1, 1, 1, 1, SPREAD, 0, 0},           {1, 300, 33, 149, SPREAD, 1, 0},     {3, 97, 64, 144, ALL_ON_ONE, 1, 0},
    {6, 1100, 70, 145, SPREAD, 1, 0},     {7, 60, 5, 300, ALTERNATELY_EMPTY, 0, 0}, {4, 0, 20, 30, SPREAD, 0, 0},
    {64, 70, 13, 21, SPREAD, 1, 1},       {5, 200, 40, 20, ALTERNATELY_EMPTY, 1, 1}, {3, 0, 20, 30, SPREAD, 0, 1},
    {3, 4097, 65, 33, SPREAD, 1, 0},
};

static void estmm_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        if (affordable((double)SIZES[i].P * SIZES[i].O * SIZES[i].I))
            check_estmm(device, MOTLEY_F32, seed + i, &SIZES[i]);
}

static void ess_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        check_ess(device, MOTLEY_F32, seed + i, &SIZES[i], 0);
        if (SIZES[i].P > 0)
            check_ess(device, MOTLEY_F32, seed + i, &SIZES[i], 1);
    }
}

static void segments_on(struct motley__device *device)
{
    const uint64_t seed = test_seed(), limit = device->max_buffer_bytes;
    const struct product_case c = {5, 120, 115, 90, ALTERNATELY_EMPTY, 1, 0};
    if (!affordable((double)c.P * c.O * c.I))
        return;
    device->max_buffer_bytes = 2 * sizeof(float) *
                               motley__matrix_numbers(c.O, c.I, motley__esmm_panel(device, MOTLEY_F32));
    check_estmm(device, MOTLEY_F32, seed, &c);
    device->max_buffer_bytes = limit;
}

static void vectors_on(struct motley__device *device)
{
    const struct product_case c = {5, 170, 75, 41, SPREAD, 1, 0};
    const uint64_t seed = test_seed();
    check_estmm(device, MOTLEY_F32, seed, &c);
    check_ess(device, MOTLEY_F32, seed, &c, 1);
}

/* Tiles of 128 x 128, 64 x 128 and 64 x 64; rows of whole vectors and not. */
static void tiles_on(struct motley__device *device)
{
    static const struct product_case CASES[] = {
        {1, 41, 250, 123, SPREAD, 1, 0},           {3, 60, 124, 252, ALTERNATELY_EMPTY, 1, 1},
        {2, 33, 60, 124, ALL_ON_ONE, 1, 0},        {1, 50, 60, 63, SPREAD, 0, 1},
        {2, 50, 60, 64, SPREAD, 1, 0},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        check_estmm(device, MOTLEY_F32, seed + i, &CASES[i]);
}

/* Element-wise optimizers rely on it. */
static void padding_on(struct motley__device *device)
{
    enum { P = 50, O = 37, I = 6 };
    const int panel = motley__esmm_panel(device, MOTLEY_F32);
    struct ragged_problem ragged = make_ragged(device, 1, 1, P, SPREAD);
    struct row_problem a = make_rows(device, 1, 10, P, O, 0), b = make_rows(device, 1, 20, P, I, 0);
    struct motley__matrix *dw;
    SUCCEED(motley__matrix_create(device, MOTLEY_F32, 1, O, I, panel, NULL, &dw, &error));
    SUCCEED(motley__estmm(device, &(struct motley__estmm){.ragged = ragged.ragged, .a = a.rows, .b = b.rows, .dw = dw},
                          &error));
    const size_t floats = motley__matrix_numbers(O, I, panel);
    float *packed = ARRAY(float, floats);
    SUCCEED(motley__buffer_read(dw->segment[0], 0, packed, floats * sizeof(float), &error));
    for (size_t at = 0; at < floats; at++)
        if (at / ((size_t)panel * I) * panel + at % panel >= O)
            assert_true(packed[at] == 0);
    motley__matrix_destroy(dw);
    free_rows(&a);
    free_rows(&b);
    free_ragged(&ragged);
    free(packed);
}

static void estmm_equals_twin(void **state) { with_families(*state, estmm_on); }
static void ess_equals_twin(void **state) { with_families(*state, ess_on); }
static void several_segments(void **state) { with_families(*state, segments_on); }
static void every_vector_width(void **state) { with_vectors(*state, vectors_on); }
static void every_tile(void **state) { with_tiles(*state, tiles_on); }
static void padding_stays_zero(void **state) { with_families(*state, padding_on); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estmm_equals_twin),
        cmocka_unit_test(ess_equals_twin),
        cmocka_unit_test(several_segments),
        cmocka_unit_test(every_vector_width),
        cmocka_unit_test(every_tile),
        cmocka_unit_test(padding_stays_zero),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
