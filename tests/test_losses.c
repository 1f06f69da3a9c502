/* The sums of the auxiliary losses, and the losses and coefficients that follow from them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "routing.h"

#include "layer/losses.h"
#include "layer/ref.h"

static float *sums_of(struct motley__device *device, int T, int E, int K, const float *p, const float *lse,
                      const int *indices)
{
    struct motley__buffer *p_there = to_device(device, p, (size_t)T * (size_t)E * 4);
    struct motley__buffer *lse_there = to_device(device, lse, (size_t)T * 4);
    struct motley__buffer *indices_there = to_device(device, indices, (size_t)T * (size_t)K * 4);
    struct motley__buffer *sums = unwritten(device, (2 * (size_t)E + 2) * 4);
    SUCCEED(motley__losses_sums(device, T, E, K, p_there, lse_there, indices_there, sums, &error));
    motley__buffer_destroy(p_there);
    motley__buffer_destroy(lse_there);
    motley__buffer_destroy(indices_there);
    return take_back(sums);
}

static void sums_equal_twin_on(struct motley__device *device)
{
    static const struct { int T, E, K; } sizes[] = {
        {0, 5, 2}, {1, 1, 1}, {63, 16, 2}, {700, 17, 3}, {1025, 33, 1}, {300, 512, 2}, {5000, 8, 8},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int T = sizes[i].T, E = sizes[i].E, K = sizes[i].K;
        if (!affordable((double)T * E))
            continue;
        float *p = random_floats(seed, 1, (size_t)T * (size_t)E), *lse = random_floats(seed, 2, (size_t)T);
        int *indices = ARRAY(int, T * K);
        for (int n = 0; n < T * K; n++)
            indices[n] = random_int(seed, 3, (size_t)n, E);
        for (size_t n = 0; n < (size_t)T * (size_t)E; n++)
            p[n] = fabsf(p[n]);
        double *expected = ARRAY(double, 2 * E + 2);
        motley__ref_losses_sums(T, E, K, p, lse, indices, expected);
        float *sums = sums_of(device, T, E, K, p, lse, indices), *again = sums_of(device, T, E, K, p, lse, indices);
        for (int n = 0; n < 2 * E + 2; n++)
            assert_true(fabs(sums[n] - expected[n]) <= 1e-6 * expected[n]);
        assert_memory_equal(sums, again, (2 * (size_t)E + 2) * 4);
        free(p);
        free(lse);
        free(indices);
        free(expected);
        free(sums);
        free(again);
    }
}

static void sums_equal_twin(void **state)
{
    on_both_maps(*state, sums_equal_twin_on);
}

/* Everything even: both GShard's loss and its gradient have their least values. */
static void values_of_even_routing(void **state)
{
    (void)state;
    enum { E = 4 };
    const double sums[2 * E + 2] = {2, 2, 2, 2, 2, 2, 2, 2, 72, 8};
    double balance, z;
    float gradient[E];
    motley__losses_value(E, sums, 0.5, &balance, &z, gradient);
    assert_true(balance == 1);
    assert_true(z == 9);
    for (int e = 0; e < E; e++)
        assert_true(gradient[e] == 0.0625f); /* 0.5 * 4 * (2/8) / 8 */
}

/* All on expert 1 of 3. */
static void values_of_one_expert(void **state)
{
    (void)state;
    const double sums[] = {1, 8, 1, 0, 10, 0, 40, 10};
    double balance, z;
    float gradient[3];
    motley__losses_value(3, sums, 1, &balance, &z, gradient);
    assert_true(fabs(balance - 2.4) < 1e-15);
    assert_true(z == 4);
    assert_true(gradient[0] == 0 && gradient[1] == 0.3f && gradient[2] == 0);
}

static void values_without_tokens(void **state)
{
    (void)state;
    const double sums[6] = {0};
    double balance = 7, z = 7;
    float gradient[2] = {7, 7};
    motley__losses_value(2, sums, 1, &balance, &z, gradient);
    assert_true(balance == 0 && z == 0 && gradient[0] == 0 && gradient[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_equal_twin),
        cmocka_unit_test(values_of_even_routing),
        cmocka_unit_test(values_of_one_expert),
        cmocka_unit_test(values_without_tokens),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
