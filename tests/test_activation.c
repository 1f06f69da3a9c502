/* The activation's backward: the twin against finite differences, the kernels against the twin.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "product_check.h"

static void slope_is_the_derivative(void **state)
{
    (void)state;
    const double step = 1e-5;
    for (int activation = MOTLEY__ACT_RELU; activation <= MOTLEY__ACT_NONE; activation++)
        for (double x = -8.05; x < 8; x += 0.1) {
            const double difference = (motley__ref_activation(x + step, activation) -
                                       motley__ref_activation(x - step, activation)) / (2 * step);
            assert_true(fabs(difference - motley__ref_activation_slope(x, activation)) < 1e-8);
        }
}

/* L = sum_pf w_p c_pf h_pf with u = dL/d(w h) = c: what backward makes of u must be dL/dpre, dL/dpre3 and dL/dw. */
static double loss(int F, int activation, float w, const float *c, const float *pre, const float *pre3)
{
    double sum = 0;
    for (int f = 0; f < F; f++)
        sum += w * (double)c[f] * motley__ref_activation(pre[f], activation) *
               (activation == MOTLEY__ACT_SWIGLU ? pre3[f] : 1);
    return sum;
}

static void twin_is_the_gradient(void **state)
{
    (void)state;
    enum { F = 6 };
    const uint64_t seed = test_seed();
    const float step = 0x1p-9f, w = 0.375f;
    for (int activation = MOTLEY__ACT_RELU; activation <= MOTLEY__ACT_SWIGLU; activation++) {
        float *c = random_floats(seed, 0, F), *pre = random_floats(seed, 1, F), *pre3 = random_floats(seed, 2, F);
        float *u = random_floats(seed, 0, F), *dpre3 = random_floats(seed, 2, F), h[F], dw;
        motley__ref_activation_backward(1, F, activation, &w, pre, dpre3, u, h, &dw);
        assert_true(fabs(dw - loss(F, activation, 1, c, pre, pre3)) < 1e-5);
        for (int f = 0; f < F; f++) {
            const float at = pre[f], at3 = pre3[f];
            double up, down;
            assert_true(fabs(h[f] - w * motley__ref_activation(at, activation) *
                                        (activation == MOTLEY__ACT_SWIGLU ? at3 : 1)) < 1e-6);
            pre[f] = at + step, up = loss(F, activation, w, c, pre, pre3);
            pre[f] = at - step, down = loss(F, activation, w, c, pre, pre3);
            pre[f] = at;
            assert_true(fabs((up - down) / (2 * step) - u[f]) < 1e-4);
            pre3[f] = at3 + step, up = loss(F, activation, w, c, pre, pre3);
            pre3[f] = at3 - step, down = loss(F, activation, w, c, pre, pre3);
            pre3[f] = at3;
            if (activation == MOTLEY__ACT_SWIGLU)
                assert_true(fabs((up - down) / (2 * step) - dpre3[f]) < 1e-4);
        }
        FREE(c, pre, pre3, u, dpre3);
    }
}

static void backward_on(struct motley__device *device)
{
    static const int sizes[][2] = {{1, 9}, {5, 15}, {3, 16}, {40, 333}, {7, 2816}, {0, 8}};
    const uint64_t seed = test_seed();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int activation = MOTLEY__ACT_RELU; activation <= MOTLEY__ACT_SWIGLU; activation++)
            if (affordable((double)sizes[s][0] * sizes[s][1]))
                check_activation(device, MOTLEY_F32, seed, sizes[s][0], sizes[s][1], activation);
}

static void dot_bias_on(struct motley__device *device)
{
    static const struct { int E, P, D; enum shape shape; } cases[] = {
        {1, 9, 5, SPREAD}, {6, 100, 77, SPREAD}, {5, 40, 1024, ALTERNATELY_EMPTY}, {3, 20, 31, ALL_ON_ONE},
        {2, 0, 4, SPREAD},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_dot_bias(device, MOTLEY_F32, seed + i, cases[i].E, cases[i].P, cases[i].D, cases[i].shape);
}

static void backward_equals_twin(void **state) { with_families(*state, backward_on); }
static void dot_bias_equals_twin(void **state) { with_families(*state, dot_bias_on); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slope_is_the_derivative),
        cmocka_unit_test(twin_is_the_gradient),
        cmocka_unit_test(backward_equals_twin),
        cmocka_unit_test(dot_bias_equals_twin),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
