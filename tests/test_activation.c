/* The activation's backward: the twin against finite differences, the kernels against the twin.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/activation.h"
#include "product.h"

static const double LIMIT = 2e-6;

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
        free(c);
        free(pre);
        free(pre3);
        free(u);
        free(dpre3);
    }
}

static void check_backward(struct motley__device *device, uint64_t seed, int P, int F, int activation)
{
    const size_t count = (size_t)P * F, bytes = count * sizeof(float);
    const int swiglu = activation == MOTLEY__ACT_SWIGLU;
    float *weight = random_floats(seed, 0, (size_t)P), *pre = random_floats(seed, 1, count);
    float *pre3 = random_floats(seed, 2, count), *u = random_floats(seed, 3, count), *h = ARRAY(float, count);
    float *dw = ARRAY(float, P);
    for (size_t i = 0; i < count; i++)
        pre[i] *= 4; /* into the tails */
    struct motley__activation_backward a = {
        .P = P, .F = F, .activation = activation, .weight = to_device(device, weight, sizeof(float) * (size_t)P),
        .pre = to_device(device, pre, bytes), .pre3 = swiglu ? to_device(device, pre3, bytes) : NULL,
        .u = to_device(device, u, bytes), .h = unwritten(device, bytes),
        .dw = unwritten(device, sizeof(float) * (size_t)P),
    };
    SUCCEED(motley__activation_backward(device, &a, &error));
    motley__ref_activation_backward(P, F, activation, weight, pre, pre3, u, h, dw);
    float *du = take_back(a.u), *dh = take_back(a.h), *ddw = take_back(a.dw);
    assert_near("u", du, u, count, LIMIT);
    assert_near("h", dh, h, count, LIMIT);
    assert_near("dw", ddw, dw, (size_t)P, LIMIT);
    if (swiglu) {
        float *dpre3 = take_back(a.pre3);
        assert_near("pre3", dpre3, pre3, count, LIMIT);
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

static void backward_on(struct motley__device *device)
{
    static const int sizes[][2] = {{1, 9}, {5, 15}, {3, 16}, {40, 333}, {7, 2816}, {0, 8}};
    const uint64_t seed = test_seed();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int activation = MOTLEY__ACT_RELU; activation <= MOTLEY__ACT_SWIGLU; activation++)
            if (affordable((double)sizes[s][0] * sizes[s][1]))
                check_backward(device, seed, sizes[s][0], sizes[s][1], activation);
}

static void dot_bias_on(struct motley__device *device)
{
    static const struct { int E, P, D; enum shape shape; } cases[] = {
        {1, 9, 5, SPREAD}, {6, 100, 77, SPREAD}, {5, 40, 1024, ALTERNATELY_EMPTY}, {3, 20, 31, ALL_ON_ONE},
        {2, 0, 4, SPREAD},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int E = cases[i].E, P = cases[i].P, D = cases[i].D;
        struct ragged_problem ragged = make_ragged(device, seed + i, E, P, cases[i].shape);
        struct row_problem dy = make_rows(device, seed, 10, P, D, 1);
        float *b2 = random_floats(seed, 1, (size_t)E * D), *dw = random_floats(seed, 2, (size_t)P);
        struct motley__buffer *b2_there = to_device(device, b2, sizeof(float) * E * D);
        struct motley__buffer *dw_there = to_device(device, dw, sizeof(float) * (size_t)P);
        SUCCEED(motley__dot_bias(device, &(struct motley__dot_bias){ragged.ragged, dy.rows, D, b2_there, dw_there}, &error));
        motley__ref_dot_bias(E, P, D, ragged.offsets, &dy.ref, b2, dw);
        float *got = take_back(dw_there);
        assert_near("dw", got, dw, (size_t)P, LIMIT);
        motley__buffer_destroy(b2_there);
        free_rows(&dy);
        free_ragged(&ragged);
        free(got);
        free(b2);
        free(dw);
    }
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
