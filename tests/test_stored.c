/* The products and the passes between them with rows and weights in bf16 and f16, against the scalar twin on the same
 * rounded numbers.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/activation.h"
#include "layer/estmm.h"
#include "product.h"

/* Results in f32 are as good as f32's own; those in a storage type are rounded once, which changes a number by 2^-8 of
 * itself at most (bf16; f16: 2^-11). */
static const double SUM_LIMIT = 2e-6;
static const double LIMIT[] = {2e-6, 0x1p-8, 0x1p-11};

struct stored_case {
    int E, P, O, I;
    enum shape shape;
    int split, activation, accumulate;
};

static const struct stored_case CASES[] = {
    {1, 1, 1, 1, SPREAD, 0, MOTLEY__ACT_NONE, 0},
    {1, 13, 31, 17, SPREAD, 0, MOTLEY__ACT_NONE, 1},
    {3, 97, 64, 64, ALL_ON_ONE, 1, MOTLEY__ACT_RELU, 0},
    {7, 211, 130, 259, ALTERNATELY_EMPTY, 1, MOTLEY__ACT_SWIGLU, 0},
    {5, 40, 33, 65, SPREAD, 1, MOTLEY__ACT_GELU, 0},
    {64, 70, 9, 5, SPREAD, 1, MOTLEY__ACT_SILU, 0},
    {4, 150, 300, 3, SPREAD, 0, MOTLEY__ACT_NONE, 1},
    {4100, 70, 9, 5, SPREAD, 1, MOTLEY__ACT_NONE, 0}, /* more than the tables of some variants hold */
};
enum { CASES_COUNT = sizeof CASES / sizeof *CASES };

static void check_forward(struct motley__device *device, enum motley_dtype dtype, const struct stored_case *c)
{
    const uint64_t seed = test_seed();
    const size_t weights = (size_t)c->E * c->O * c->I, outputs = (size_t)c->P * c->O;
    const size_t bytes = outputs * motley__storage_bytes(dtype);
    const int swiglu = c->activation == MOTLEY__ACT_SWIGLU;
    struct ragged_problem ragged = make_ragged(device, seed, c->E, c->P, c->shape);
    struct row_problem x = make_rows_as(device, dtype, seed, 10, c->P, c->I, c->split);
    float *w = random_stored(dtype, seed, 1, weights), *w3 = random_stored(dtype, seed, 2, weights);
    float *bias = random_floats(seed, 3, (size_t)c->E * c->O), *y = random_stored(dtype, seed, 4, outputs);
    float *pre = ARRAY(float, outputs), *pre3 = ARRAY(float, outputs);
    struct motley__esmm esmm = {
        .w = matrix_there_as(device, dtype, dtype, c->E, c->O, c->I, w),
        .w3 = swiglu ? matrix_there_as(device, dtype, dtype, c->E, c->O, c->I, w3) : NULL,
        .bias = swiglu ? NULL : to_device(device, bias, sizeof(float) * c->E * c->O),
        .ragged = ragged.ragged, .x = x.rows, .dtype = dtype, .activation = c->activation, .accumulate = c->accumulate,
        .pre = unwritten(device, bytes), .pre3 = swiglu ? unwritten(device, bytes) : NULL,
        .y = to_device_as(device, dtype, y, outputs),
    };
    struct motley__ref_esmm ref = {
        .E = c->E, .P = c->P, .O = c->O, .I = c->I, .offsets = ragged.offsets, .x = x.ref, .w = w, .w3 = w3,
        .bias = swiglu ? NULL : bias, .activation = c->activation, .accumulate = c->accumulate, .pre = pre,
        .pre3 = pre3, .y = y,
    };
    SUCCEED(motley__esmm(device, &esmm, &error));
    motley__ref_esmm(&ref);
    float *got = take_back_as(dtype, esmm.y), *got_pre = take_back_as(dtype, esmm.pre);
    assert_near("y", got, y, outputs, LIMIT[dtype]);
    assert_near("pre", got_pre, pre, outputs, LIMIT[dtype]);
    free(got);
    free(got_pre);
    if (swiglu) {
        got = take_back_as(dtype, esmm.pre3);
        assert_near("pre3", got, pre3, outputs, LIMIT[dtype]);
        free(got);
    }
    motley__buffer_destroy((struct motley__buffer *)esmm.bias);
    motley__matrix_destroy((struct motley__matrix *)esmm.w);
    motley__matrix_destroy((struct motley__matrix *)esmm.w3);
    free_rows(&x);
    free_ragged(&ragged);
    free(w);
    free(w3);
    free(bias);
    free(y);
    free(pre);
    free(pre3);
}

static void check_transposed(struct motley__device *device, enum motley_dtype dtype, const struct stored_case *c)
{
    const uint64_t seed = test_seed();
    const size_t weights = (size_t)c->E * c->O * c->I, outputs = (size_t)c->P * c->I;
    struct ragged_problem ragged = make_ragged(device, seed, c->E, c->P, c->shape);
    struct row_problem g = make_rows_as(device, dtype, seed, 10, c->P, c->O, c->split);
    float *w = random_stored(dtype, seed, 1, weights), *y = random_stored(dtype, seed, 4, outputs);
    struct motley__esmm esmm = {
        .w = matrix_there_as(device, dtype, dtype, c->E, c->O, c->I, w), .ragged = ragged.ragged, .x = g.rows,
        .dtype = dtype, .activation = MOTLEY__ACT_NONE, .accumulate = c->accumulate,
        .y = to_device_as(device, dtype, y, outputs),
    };
    struct motley__ref_esmm ref = {.E = c->E, .P = c->P, .O = c->O, .I = c->I, .offsets = ragged.offsets, .x = g.ref,
                                   .w = w, .accumulate = c->accumulate, .y = y};
    SUCCEED(motley__esmm_transposed(device, &esmm, &error));
    motley__ref_esmm_transposed(&ref);
    float *got = take_back_as(dtype, esmm.y);
    assert_near("y", got, y, outputs, LIMIT[dtype]);
    motley__matrix_destroy((struct motley__matrix *)esmm.w);
    free_rows(&g);
    free_ragged(&ragged);
    free(got);
    free(w);
    free(y);
}

/* Gradients: ESTMM and ESS, in f32. */
static void check_gradients(struct motley__device *device, enum motley_dtype dtype, const struct stored_case *c)
{
    const uint64_t seed = test_seed();
    const size_t weights = (size_t)c->E * c->O * c->I, outputs = (size_t)c->E * c->O;
    struct ragged_problem ragged = make_ragged(device, seed, c->E, c->P, c->shape);
    struct row_problem a = make_rows_as(device, dtype, seed, 10, c->P, c->O, c->split);
    struct row_problem b = make_rows_as(device, dtype, seed, 20, c->P, c->I, c->split);
    float *dw = random_floats(seed, 1, weights), *db = random_floats(seed, 2, outputs);
    float *scale = random_floats(seed, 3, (size_t)c->P);
    struct motley__buffer *scale_there = to_device(device, scale, sizeof(float) * (size_t)c->P);
    struct motley__estmm estmm = {.ragged = ragged.ragged, .a = a.rows, .b = b.rows, .accumulate = c->accumulate,
                                  .dw = matrix_there_as(device, dtype, MOTLEY_F32, c->E, c->O, c->I, dw)};
    struct motley__ess ess = {.ragged = ragged.ragged, .a = a.rows, .scale = scale_there, .O = c->O,
                              .accumulate = c->accumulate, .db = to_device(device, db, outputs * sizeof(float))};
    SUCCEED(motley__estmm(device, &estmm, &error));
    SUCCEED(motley__ess(device, &ess, &error));
    motley__ref_estmm(c->E, c->P, c->O, c->I, ragged.offsets, &a.ref, &b.ref, c->accumulate, dw);
    motley__ref_ess(c->E, c->P, c->O, ragged.offsets, &a.ref, scale, c->accumulate, db);
    float *got = matrix_back(estmm.dw), *got_bias = take_back(ess.db);
    assert_near("dw", got, dw, weights, SUM_LIMIT);
    assert_near("db", got_bias, db, outputs, SUM_LIMIT);
    motley__matrix_destroy(estmm.dw);
    motley__buffer_destroy(scale_there);
    free_rows(&a);
    free_rows(&b);
    free_ragged(&ragged);
    free(got);
    free(got_bias);
    free(dw);
    free(db);
    free(scale);
}

static void check_activation(struct motley__device *device, enum motley_dtype dtype, int P, int F, int activation)
{
    const uint64_t seed = test_seed();
    const size_t count = (size_t)P * F;
    const int swiglu = activation == MOTLEY__ACT_SWIGLU;
    float *weight = random_floats(seed, 0, (size_t)P), *pre = random_stored(dtype, seed, 1, count);
    float *pre3 = random_stored(dtype, seed, 2, count), *u = random_stored(dtype, seed, 3, count);
    float *h = ARRAY(float, count), *dw = ARRAY(float, P);
    struct motley__activation_backward a = {
        .P = P, .F = F, .activation = activation, .dtype = dtype,
        .weight = to_device(device, weight, sizeof(float) * (size_t)P), .pre = to_device_as(device, dtype, pre, count),
        .pre3 = swiglu ? to_device_as(device, dtype, pre3, count) : NULL, .u = to_device_as(device, dtype, u, count),
        .h = unwritten(device, count * motley__storage_bytes(dtype)), .dw = unwritten(device, sizeof(float) * (size_t)P),
    };
    SUCCEED(motley__activation_backward(device, &a, &error));
    motley__ref_activation_backward(P, F, activation, weight, pre, pre3, u, h, dw);
    float *du = take_back_as(dtype, a.u), *dh = take_back_as(dtype, a.h), *ddw = take_back(a.dw);
    assert_near("u", du, u, count, LIMIT[dtype]);
    assert_near("h", dh, h, count, LIMIT[dtype]);
    assert_near("dw", ddw, dw, (size_t)P, SUM_LIMIT);
    if (swiglu) {
        float *dpre3 = take_back_as(dtype, a.pre3);
        assert_near("pre3", dpre3, pre3, count, LIMIT[dtype]);
        free(dpre3);
    }
    motley__buffer_destroy((struct motley__buffer *)a.weight);
    motley__buffer_destroy((struct motley__buffer *)a.pre);
    free(du);
    free(dh);
    free(ddw);
    free(weight);
    free(pre);
    free(pre3);
    free(u);
    free(h);
    free(dw);
}

static void check_dot_bias(struct motley__device *device, enum motley_dtype dtype)
{
    enum { E = 6, P = 100, D = 77 };
    const uint64_t seed = test_seed();
    struct ragged_problem ragged = make_ragged(device, seed, E, P, SPREAD);
    struct row_problem dy = make_rows_as(device, dtype, seed, 10, P, D, 1);
    float *b2 = random_floats(seed, 1, E * D), *dw = random_floats(seed, 2, P);
    struct motley__buffer *b2_there = to_device(device, b2, sizeof(float) * E * D);
    struct motley__buffer *dw_there = to_device(device, dw, sizeof(float) * P);
    SUCCEED(motley__dot_bias(device, &(struct motley__dot_bias){ragged.ragged, dy.rows, D, b2_there, dw_there}, &error));
    motley__ref_dot_bias(E, P, D, ragged.offsets, &dy.ref, b2, dw);
    float *got = take_back(dw_there);
    assert_near("dw", got, dw, P, SUM_LIMIT);
    motley__buffer_destroy(b2_there);
    free_rows(&dy);
    free_ragged(&ragged);
    free(got);
    free(b2);
    free(dw);
}

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
    free(x);
    free(w);
    free(y);
}

static void all_on(struct motley__device *device, enum motley_dtype dtype)
{
    for (int i = 0; i < CASES_COUNT; i++) {
        check_forward(device, dtype, &CASES[i]);
        check_transposed(device, dtype, &CASES[i]);
        check_gradients(device, dtype, &CASES[i]);
    }
    for (int activation = MOTLEY__ACT_RELU; activation <= MOTLEY__ACT_SWIGLU; activation++)
        check_activation(device, dtype, 40, 333, activation);
    check_dot_bias(device, dtype);
    check_nonfinite(device, dtype);
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
    free(got);
    free(got_slope);
    free(g);
    free(w);
    free(dx);
    free(x);
    free(dw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_equals_twin),
        cmocka_unit_test(f16_equals_twin),
        cmocka_unit_test(mixed_types_equal_twin),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
