/* Dense products on both paths against the scalar twin, and the choice between them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "device/gemm.h"
#include "product.h"
#include "product/linear.h"

static const double LIMIT = 2e-6;

struct linear_case {
    int T, O, I, accumulate;
    enum motley_dtype rows, weights;
};

static void check_linear(struct motley__device *device, enum motley__dense path, uint64_t seed,
                         const struct linear_case *c)
{
    const int T = c->T, O = c->O, I = c->I;
    const enum motley_dtype rows = c->rows, weights = c->weights;
    float *w = random_stored(weights, seed, 0, (size_t)O * I), *x = random_stored(rows, seed, 1, (size_t)T * I);
    float *dy = random_stored(weights, seed, 2, (size_t)T * O), *y = random_stored(weights, seed, 3, (size_t)T * O);
    float *dx = random_stored(rows, seed, 4, (size_t)T * I), *dw = random_floats(seed, 5, (size_t)O * I);
    struct motley__linear *linear;
    SUCCEED(motley__linear_create(device, path, rows, weights, O, I, 1, NULL, NULL, &linear, &error));
    SUCCEED(motley__matrix_set(linear->w, 0, w, &error));
    SUCCEED(motley__matrix_set(linear->dw, 0, dw, &error));
    struct motley__buffer *x_there = to_device_as(device, rows, x, (size_t)T * I);
    struct motley__buffer *dy_there = to_device_as(device, weights, dy, (size_t)T * O);
    struct motley__buffer *y_there = to_device_as(device, weights, y, (size_t)T * O);
    struct motley__buffer *dx_there = to_device_as(device, rows, dx, (size_t)T * I);
    SUCCEED(motley__linear_forward(linear, T, x_there, c->accumulate, y_there, &error));
    SUCCEED(motley__linear_backward(linear, T, dy_there, c->accumulate, dx_there, &error));
    SUCCEED(motley__linear_gradient(linear, T, dy_there, x_there, c->accumulate, &error));

    struct motley__ref_esmm ref = {.E = 1, .P = T, .O = O, .I = I, .x = {.own = x}, .w = w,
                                   .activation = MOTLEY__ACT_NONE, .accumulate = c->accumulate, .y = y};
    motley__ref_esmm(&ref);
    ref.x.own = dy;
    ref.y = dx;
    motley__ref_esmm_transposed(&ref);
    motley__ref_estmm(1, T, O, I, NULL, &(struct motley__ref_rows){.own = dy}, &(struct motley__ref_rows){.own = x},
                      c->accumulate, dw);
    float *got_y = take_back_as(weights, y_there), *got_dx = take_back_as(rows, dx_there);
    float *got_dw = matrix_back(linear->dw);
    assert_near("y", got_y, y, (size_t)T * O, LIMIT + rounding(weights));
    assert_near("dx", got_dx, dx, (size_t)T * I, LIMIT + rounding(rows));
    assert_near("dw", got_dw, dw, (size_t)O * I, LIMIT);
    motley__buffer_destroy(x_there);
    motley__buffer_destroy(dy_there);
    motley__linear_destroy(linear);
    float *const arrays[] = {w, x, dy, y, dx, dw, got_y, got_dx, got_dw};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

static const struct linear_case CASES[] = {
    {1, 1, 1, 0, MOTLEY_F32, MOTLEY_F32}, {37, 50, 29, 0, MOTLEY_F32, MOTLEY_F32},
    {130, 33, 300, 1, MOTLEY_F32, MOTLEY_F32}, {0, 8, 9, 0, MOTLEY_F32, MOTLEY_F32},
    {0, 8, 9, 1, MOTLEY_F32, MOTLEY_F32},
};

/* A gate: f32 weights of stored rows. */
static const struct linear_case GATE_CASES[] = {
    {1, 1, 1, 0, MOTLEY_BF16, MOTLEY_F32},  {37, 50, 29, 0, MOTLEY_BF16, MOTLEY_F32},
    {131, 33, 300, 1, MOTLEY_BF16, MOTLEY_F32}, {7, 3, 48, 0, MOTLEY_BF16, MOTLEY_F32},
    {100, 8, 272, 1, MOTLEY_F16, MOTLEY_F32}, {13, 5, 20, 0, MOTLEY_F16, MOTLEY_F32},
    {0, 8, 16, 0, MOTLEY_BF16, MOTLEY_F32}, {0, 8, 9, 1, MOTLEY_F16, MOTLEY_F32},
};

/* As on a CPU, then as on a GPU. */
static void gates_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof GATE_CASES / sizeof *GATE_CASES; i++)
        check_linear(device, MOTLEY__DENSE_ESMM, seed, &GATE_CASES[i]);
}

static void f32_weights_of_stored_rows_equal_twin(void **state) { on_both_maps(*state, gates_on); }

/* Everything stored but the gradient of the weights; that CLBlast was chosen for f32 must not matter. */
static void stored_on(struct motley__device *device, enum motley_dtype dtype)
{
    const struct linear_case cases[] = {
        {1, 1, 1, 0, dtype, dtype},  {37, 50, 29, 0, dtype, dtype}, {131, 33, 300, 1, dtype, dtype},
        {64, 256, 128, 1, dtype, dtype}, {0, 8, 9, 0, dtype, dtype},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_linear(device, i % 2 ? MOTLEY__DENSE_CLBLAST : MOTLEY__DENSE_ESMM, seed, &cases[i]);
}

static void stored_weights_equal_twin(void **state)
{
    with_variants(*state, MOTLEY_BF16, stored_on);
    with_variants(*state, MOTLEY_F16, stored_on);
}

static void esmm_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        check_linear(device, MOTLEY__DENSE_ESMM, seed, &CASES[i]);
}

static void esmm_path_equals_twin(void **state) { with_families(*state, esmm_on); }

static void clblast_path_equals_twin(void **state)
{
    if (!motley__gemm_available()) {
        print_message("built without CLBlast\n");
        skip();
    }
    const uint64_t seed = test_seed();
    SUCCEED(motley__admit(*state, &error));
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        check_linear(*state, MOTLEY__DENSE_CLBLAST, seed, &CASES[i]);
}

static void without_clblast_gemm_says_so(void **state)
{
    struct motley_error error = {0};
    if (motley__gemm_available())
        skip();
    assert_int_equal(motley__gemm(*state, &(struct motley__gemm){.M = 1, .N = 1, .K = 1}, &error),
                     MOTLEY_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "CLBlast"));
}

/* Weights and gradient in memory of the caller, as an optimizer keeps them. */
static void storage_is_borrowed(void **state)
{
    struct motley__device *device = *state;
    SUCCEED(motley__admit(device, &error));
    const size_t bytes = sizeof(float) * motley__linear_numbers(device, MOTLEY__DENSE_ESMM, MOTLEY_F32, MOTLEY_F32,
                                                              20, 10);
    struct motley__buffer *storage, *gradient;
    SUCCEED(motley__buffer_create(device, bytes, &storage, &error));
    SUCCEED(motley__buffer_create(device, bytes, &gradient, &error));
    const uint64_t used = device->used_bytes;
    struct motley__linear *linear;
    SUCCEED(motley__linear_create(device, MOTLEY__DENSE_ESMM, MOTLEY_F32, MOTLEY_F32, 20, 10, 1, storage, gradient,
                                  &linear, &error));
    assert_int_equal(device->used_bytes, used);
    assert_ptr_equal(linear->w->segment[0], storage);
    assert_ptr_equal(linear->dw->segment[0], gradient);
    motley__linear_destroy(linear);
    motley__linear_destroy(NULL);
    motley__buffer_destroy(storage);
    motley__buffer_destroy(gradient);
}

static void choose_takes_the_faster(void **state)
{
    struct motley__device *device = *state;
    enum motley__dense path;
    double esmm = -1, clblast = -1;
    SUCCEED(motley__admit(device, &error));
    const uint64_t used = device->used_bytes;
    SUCCEED(motley__linear_choose(device, 64, 96, 80, &path, &esmm, &clblast, &error));
    assert_true(esmm > 0);
    if (motley__gemm_available())
        assert_int_equal(path, clblast < esmm ? MOTLEY__DENSE_CLBLAST : MOTLEY__DENSE_ESMM);
    else
        assert_int_equal(path, MOTLEY__DENSE_ESMM);
    assert_int_equal(device->used_bytes, used);
    print_message("esmm %.3g s, CLBlast %.3g s\n", esmm, clblast);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_weights_of_stored_rows_equal_twin), cmocka_unit_test(stored_weights_equal_twin),
        cmocka_unit_test(esmm_path_equals_twin), cmocka_unit_test(clblast_path_equals_twin),
        cmocka_unit_test(without_clblast_gemm_says_so), cmocka_unit_test(storage_is_borrowed),
        cmocka_unit_test(choose_takes_the_faster),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
