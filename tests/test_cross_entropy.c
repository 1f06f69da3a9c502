/* Cross-entropy on the device against its scalar twin, and the twin's gradient against finite differences.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "model.h"
#include "model/cross_entropy.h"
#include "model/ref.h"

static void compare(struct motley__device *device, enum motley_dtype dtype, int T, int C, double size,
                    uint64_t seed)
{
    const size_t n = (size_t)T * (size_t)C;
    const double scale = 0.37;
    float *logits = random_stored(dtype, seed, 1, n);
    int *target = ARRAY(int, T);
    for (size_t i = 0; i < n; i++)
        logits[i] *= (float)size; /* a power of two: as exact as before */
    for (int t = 0; t < T; t++)
        target[t] = random_int(seed, 2, (size_t)t, C);
    double *logitsd = doubles_of(logits, n), *lossd = ARRAY(double, T), *dlogitsd = ARRAY(double, n);
    motley__ref_cross_entropy(T, C, target, scale, logitsd, lossd, dlogitsd);
    for (int backward = 0; backward < 2; backward++) {
        struct motley__buffer *bl = to_device_as(device, dtype, logits, n),
            *bt = to_device(device, target, sizeof(int) * (size_t)T);
        struct motley__buffer *bloss = unwritten(device, 4 * (size_t)T);
        SUCCEED(motley__cross_entropy(device, dtype, T, C, bt, scale, backward, bl, bloss, &error));
        float *after = take_back_as(dtype, bl), *loss = take_back(bloss);
        ASSERT_NEAR(loss, lossd, (size_t)T, 1e-6);
        ASSERT_NEAR(after, backward ? dlogitsd : logitsd, n, 1e-6 + rounding(dtype));
        motley__buffer_destroy(bt);
        free(loss);
        free(after);
    }
    void *arrays[] = {logits, target, logitsd, lossd, dlogitsd};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

static void sizes(struct motley__device *device, enum motley_dtype dtype)
{
    const uint64_t seed = test_seed();
    compare(device, dtype, 0, 16, 1, seed);
    compare(device, dtype, 3, 3, 1, seed);
    compare(device, dtype, 17, 29, 4, seed);
    compare(device, dtype, 100, 256, 1, seed);
    compare(device, dtype, 9, 1008, 64, seed); /* exponentials of these would overflow */
}

static void test_against_twin(void **state)
{
    on_both_maps_stored(*state, sizes);
}

struct problem {
    const int *target;
    double *logits;
};

static double total(void *self)
{
    const struct problem *p = self;
    double loss[2];
    motley__ref_cross_entropy(2, 5, p->target, 1, p->logits, loss, NULL);
    return loss[0] + loss[1];
}

static void test_twin_gradient(void **state)
{
    (void)state;
    const int target[] = {3, 0};
    double logits[10], loss[2], dlogits[10];
    for (int i = 0; i < 10; i++)
        logits[i] = motley__random_normal(1, 1, (uint64_t)i);
    struct problem p = {target, logits};
    motley__ref_cross_entropy(2, 5, target, 1, logits, loss, dlogits);
    for (int i = 0; i < 10; i++)
        assert_true(fabs(slope(total, &p, &logits[i], 1e-3) - dlogits[i]) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_twin_gradient), cmocka_unit_test(test_against_twin)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
