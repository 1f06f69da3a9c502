/* RMSNorm on the device against its scalar twin, and the twin's gradient against finite differences.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "model.h"
#include "model/norm.h"
#include "model/ref.h"

static const double EPS = 1e-5;

static void compare(struct motley__device *device, enum motley_dtype dtype, int T, int D, int accumulate,
                    uint64_t seed)
{
    const size_t n = (size_t)T * (size_t)D;
    float *x = random_stored(dtype, seed, 1, n), *w = random_floats(seed, 2, (size_t)D);
    float *dy = random_stored(dtype, seed, 3, n), *start = random_stored(dtype, seed, 4, n);
    double *xd = doubles_of(x, n), *wd = doubles_of(w, (size_t)D), *dyd = doubles_of(dy, n);
    double *yd = ARRAY(double, n), *dxd = ARRAY(double, n), *dwd = ARRAY(double, D);
    motley__ref_norm(T, D, EPS, xd, wd, yd);
    motley__ref_norm_backward(T, D, EPS, xd, wd, dyd, dxd, dwd);
    for (size_t i = 0; accumulate && i < n; i++)
        dxd[i] += start[i];

    struct motley__buffer *bx = to_device_as(device, dtype, x, n), *bw = to_device(device, w, 4 * (size_t)D);
    struct motley__buffer *bdy = to_device_as(device, dtype, dy, n), *by = unwritten_as(device, dtype, n);
    struct motley__buffer *bdx = to_device_as(device, dtype, start, n), *bdw = unwritten(device, 4 * (size_t)D);
    struct motley__buffer *br = unwritten(device, 4 * (size_t)T);
    struct motley__buffer *scratch = unwritten(device, motley__norm_scratch_bytes(T, D));
    SUCCEED(motley__norm_forward(device, dtype, T, D, EPS, bx, bw, by, br, &error));
    SUCCEED(motley__norm_backward(device, dtype, T, D, bx, bw, br, bdy, accumulate, bdx, scratch, bdw, &error));
    float *y = take_back_as(dtype, by), *dx = take_back_as(dtype, bdx), *dw = take_back(bdw);
    ASSERT_NEAR(y, yd, n, 3e-7 + rounding(dtype));
    ASSERT_NEAR(dx, dxd, n, 2e-6 + rounding(dtype));
    ASSERT_NEAR(dw, dwd, (size_t)D, 1e-6);

    motley__buffer_destroy(scratch);
    motley__buffer_destroy(br);
    motley__buffer_destroy(bdy);
    motley__buffer_destroy(bw);
    motley__buffer_destroy(bx);
    void *arrays[] = {x, w, dy, start, xd, wd, dyd, yd, dxd, dwd, y, dx, dw};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

static void sizes(struct motley__device *device, enum motley_dtype dtype)
{
    const int T[] = {0, 1, 3, 64, 65, 200}, D[] = {6, 256, 48};
    const uint64_t seed = test_seed();
    for (int i = 0; i < 6; i++)
        compare(device, dtype, T[i], D[i % 3], i % 2, seed + (uint64_t)i);
    compare(device, dtype, 130, 6, 1, seed);
}

static void test_against_twin(void **state)
{
    on_both_maps_stored(*state, sizes);
}

struct problem {
    int T, D;
    double *x, *w, *dy, *y;
};

static double loss(void *self)
{
    const struct problem *p = self;
    double sum = 0;
    motley__ref_norm(p->T, p->D, EPS, p->x, p->w, p->y);
    for (int i = 0; i < p->T * p->D; i++)
        sum += p->y[i] * p->dy[i];
    return sum;
}

static void test_twin_gradient(void **state)
{
    (void)state;
    enum { T = 3, D = 5 };
    const uint64_t seed = test_seed();
    double x[T * D], w[D], dy[T * D], y[T * D], dx[T * D], dw[D];
    for (int i = 0; i < T * D; i++) {
        x[i] = motley__random_normal(seed, 1, (uint64_t)i);
        dy[i] = motley__random_normal(seed, 2, (uint64_t)i);
        w[i % D] = motley__random_normal(seed, 3, (uint64_t)i);
    }
    struct problem p = {T, D, x, w, dy, y};
    motley__ref_norm_backward(T, D, EPS, x, w, dy, dx, dw);
    for (int i = 0; i < T * D; i++)
        assert_true(fabs(slope(loss, &p, &x[i], 1e-3) - dx[i]) < 1e-8);
    for (int i = 0; i < D; i++)
        assert_true(fabs(slope(loss, &p, &w[i], 1e-3) - dw[i]) < 1e-8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_twin),
        cmocka_unit_test(test_twin_gradient),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
