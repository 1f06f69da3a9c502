/* ESTMM and ESS against the scalar twin.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/estmm.h"
#include "product.h"

static const double LIMIT = 2e-6;

struct estmm_case {
    int E, P, O, I;
    enum shape shape;
    int split, accumulate;
};

static const struct estmm_case SIZES[] = {
    {1, 1, 1, 1, SPREAD, 0, 0},           {1, 300, 33, 149, SPREAD, 1, 0},     {3, 97, 64, 144, ALL_ON_ONE, 1, 0},
    {6, 1100, 70, 145, SPREAD, 1, 0},     {7, 60, 5, 300, ALTERNATELY_EMPTY, 0, 0}, {4, 0, 20, 30, SPREAD, 0, 0},
    {64, 70, 13, 21, SPREAD, 1, 1},       {5, 200, 40, 20, ALTERNATELY_EMPTY, 1, 1}, {3, 0, 20, 30, SPREAD, 0, 1},
};

/* What dW holds before: noise, which only `accumulate` may let through; an expert without rows must get zeros. */
static void check_estmm(struct motley__device *device, uint64_t seed, const struct estmm_case *c)
{
    const size_t weights = (size_t)c->E * c->O * c->I;
    struct ragged_problem ragged = make_ragged(device, seed, c->E, c->P, c->shape);
    struct row_problem a = make_rows(device, seed, 10, c->P, c->O, c->split);
    struct row_problem b = make_rows(device, seed, 20, c->P, c->I, c->split);
    float *dw = random_floats(seed, 1, weights);
    struct motley__estmm estmm = {.ragged = ragged.ragged, .a = a.rows, .b = b.rows, .accumulate = c->accumulate,
                                  .dw = matrix_there(device, c->E, c->O, c->I, dw)};
    SUCCEED(motley__estmm(device, &estmm, &error));
    motley__ref_estmm(c->E, c->P, c->O, c->I, ragged.offsets, &a.ref, &b.ref, c->accumulate, dw);
    float *got = matrix_back(estmm.dw);
    assert_near("dw", got, dw, weights, LIMIT);
    motley__matrix_destroy(estmm.dw);
    free_rows(&a);
    free_rows(&b);
    free_ragged(&ragged);
    free(got);
    free(dw);
}

static void check_ess(struct motley__device *device, uint64_t seed, const struct estmm_case *c, int scaled)
{
    const size_t outputs = (size_t)c->E * c->O;
    struct ragged_problem ragged = make_ragged(device, seed, c->E, c->P, c->shape);
    struct row_problem a = make_rows(device, seed, 10, c->P, c->O, c->split);
    float *db = random_floats(seed, 1, outputs), *scale = random_floats(seed, 2, (size_t)c->P);
    struct motley__buffer *scale_there = scaled ? to_device(device, scale, sizeof(float) * (size_t)c->P) : NULL;
    struct motley__ess ess = {.ragged = ragged.ragged, .a = a.rows, .scale = scale_there, .O = c->O,
                              .accumulate = c->accumulate, .db = to_device(device, db, outputs * sizeof(float))};
    SUCCEED(motley__ess(device, &ess, &error));
    motley__ref_ess(c->E, c->P, c->O, ragged.offsets, &a.ref, scaled ? scale : NULL, c->accumulate, db);
    float *got = take_back(ess.db);
    assert_near("db", got, db, outputs, LIMIT);
    motley__buffer_destroy(scale_there);
    free_rows(&a);
    free_ragged(&ragged);
    free(got);
    free(scale);
    free(db);
}

static void estmm_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        if (affordable((double)SIZES[i].P * SIZES[i].O * SIZES[i].I))
            check_estmm(device, seed + i, &SIZES[i]);
}

static void ess_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        check_ess(device, seed + i, &SIZES[i], 0);
        if (SIZES[i].P > 0)
            check_ess(device, seed + i, &SIZES[i], 1);
    }
}

static void segments_on(struct motley__device *device)
{
    const uint64_t seed = test_seed(), limit = device->max_buffer_bytes;
    const struct estmm_case c = {5, 120, 115, 90, ALTERNATELY_EMPTY, 1, 0};
    if (!affordable((double)c.P * c.O * c.I))
        return;
    device->max_buffer_bytes = 2 * sizeof(float) *
                               motley__matrix_numbers(c.O, c.I, motley__esmm_panel(device, MOTLEY_F32));
    check_estmm(device, seed, &c);
    device->max_buffer_bytes = limit;
}

static void vectors_on(struct motley__device *device)
{
    const struct estmm_case c = {5, 170, 75, 41, SPREAD, 1, 0};
    const uint64_t seed = test_seed();
    check_estmm(device, seed, &c);
    check_ess(device, seed, &c, 1);
}

/* Tiles of 128 x 128, 64 x 128 and 64 x 64; rows of whole vectors and not. */
static void tiles_on(struct motley__device *device)
{
    static const struct estmm_case CASES[] = {
        {1, 41, 250, 123, SPREAD, 1, 0},           {3, 60, 124, 252, ALTERNATELY_EMPTY, 1, 1},
        {2, 33, 60, 124, ALL_ON_ONE, 1, 0},        {1, 50, 60, 63, SPREAD, 0, 1},
        {2, 50, 60, 64, SPREAD, 1, 0},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        check_estmm(device, seed + i, &CASES[i]);
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
