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

/* One problem of the importance loss: clean logits, and the noisy logit of the last of K choices. */
struct noisy {
    int T, E, K;
    double sigma;
    float *clean, *lse, *last;
    int *indices;
};

static struct noisy noisy_create(int T, int E, int K, uint64_t seed)
{
    struct noisy n = {T, E, K, 1.5 / E, random_floats(seed, 1, (size_t)(T * E)), ARRAY(float, T), ARRAY(float, T),
                      ARRAY(int, T * K)};
    for (int t = 0; t < T; t++) {
        double sum = 0;
        for (int e = 0; e < E; e++)
            sum += exp(n.clean[t * E + e]);
        n.lse[t] = (float)log(sum);
        for (int k = 0; k < K; k++)
            n.indices[t * K + k] = random_int(seed, 2, (size_t)(t * K + k), E);
        n.last[t] = (float)(n.clean[t * E + n.indices[t * K + K - 1]] +
                            n.sigma * motley__random_normal(seed, 3, (uint64_t)t));
    }
    return n;
}

static void noisy_destroy(struct noisy *n)
{
    free(n->clean);
    free(n->lse);
    free(n->last);
    free(n->indices);
}

/* Sums and gradient of one problem by kernels and by twins. */
static void check_importance(struct motley__device *device, int T, int E, int K, uint64_t seed)
{
    struct noisy n = noisy_create(T, E, K, seed);
    const size_t numbers = (size_t)T * (size_t)E;
    float *slopes = random_floats(seed, 4, 2 * (size_t)E), *before = random_floats(seed, 5, numbers);
    struct motley__buffer *there[] = {to_device(device, n.clean, numbers * 4), to_device(device, n.lse, (size_t)T * 4),
        to_device(device, n.last, (size_t)T * 4), to_device(device, n.indices, (size_t)(T * K) * 4),
        to_device(device, slopes, 2 * (size_t)E * 4)};
    struct motley__buffer *sums_there = unwritten(device, (2 * (size_t)E + 2) * 4);
    struct motley__buffer *dlogits_there = to_device(device, before, numbers * 4);
    const struct motley__importance importance = {T, E, K, n.sigma, there[0], there[1], there[2], there[3]};
    SUCCEED(motley__importance_sums(device, &importance, sums_there, &error));
    SUCCEED(motley__importance_backward(device, &importance, there[4], dlogits_there, &error));
    float *sums = take_back(sums_there), *dlogits = take_back(dlogits_there);
    double *wanted = ARRAY(double, 2 * E + 2), *gradient = ARRAY(double, numbers);
    for (size_t i = 0; i < numbers; i++)
        gradient[i] = before[i];
    motley__ref_importance_sums(T, E, n.sigma, n.clean, n.lse, n.last, wanted);
    motley__ref_importance_backward(T, E, K, n.sigma, n.clean, n.lse, n.last, n.indices, slopes, gradient);
    for (int i = 0; i < 2 * E + 2; i++)
        assert_true(fabs(sums[i] - wanted[i]) <= 2e-6 * wanted[i] + 1e-9);
    for (size_t i = 0; i < numbers; i++)
        assert_true(fabs(dlogits[i] - gradient[i]) <= 1e-6 * E + 1e-6 * fabs(gradient[i]));
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        motley__buffer_destroy(there[i]);
    free(slopes);
    free(before);
    free(sums);
    free(dlogits);
    free(wanted);
    free(gradient);
    noisy_destroy(&n);
}

static void importance_equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    check_importance(device, 0, 3, 1, seed);
    check_importance(device, 1, 1, 1, seed);
    check_importance(device, 70, 17, 3, seed);
    check_importance(device, 9, 130, 2, seed);
}

static void importance_equals_twin(void **state)
{
    on_both_maps(*state, importance_equals_twin_on);
}

/* The loss of a problem whose logit number `at` is moved, noise held. */
static double importance_of(const struct noisy *n, const double *logits)
{
    double *sums = ARRAY(double, 2 * n->E), value;
    float *gradient = ARRAY(float, 2 * n->E);
    for (int t = 0; t < n->T; t++) {
        const int c = n->indices[t * n->K + n->K - 1];
        const double *l = logits + t * n->E, last = l[c] + ((double)n->last[t] - n->clean[t * n->E + c]);
        double sum = 0;
        for (int e = 0; e < n->E; e++)
            sum += exp(l[e]);
        for (int e = 0; e < n->E; e++) {
            sums[e] += exp(l[e]) / sum;
            sums[n->E + e] += erfc((last - l[e]) / n->sigma / sqrt(2)) / 2;
        }
    }
    value = motley__importance_value(n->E, sums, 1, gradient);
    free(sums);
    free(gradient);
    return value;
}

/* The twin's gradient, with the slopes of motley__importance_value, is that of the loss. */
static void importance_by_differences(void **state)
{
    enum { T = 6, E = 5, K = 2 };
    struct noisy n = noisy_create(T, E, K, 3);
    double sums[2 * E + 2], logits[T * E], gradient[T * E] = {0};
    float slopes[2 * E];
    (void)state;
    motley__ref_importance_sums(T, E, n.sigma, n.clean, n.lse, n.last, sums);
    motley__importance_value(E, sums, 1, slopes);
    motley__ref_importance_backward(T, E, K, n.sigma, n.clean, n.lse, n.last, n.indices, slopes, gradient);
    for (int i = 0; i < T * E; i++)
        logits[i] = n.clean[i];
    for (int i = 0; i < T * E; i++) {
        const double at = logits[i];
        logits[i] = at + 1e-5;
        double difference = importance_of(&n, logits);
        logits[i] = at - 1e-5;
        difference = (difference - importance_of(&n, logits)) / 2e-5;
        logits[i] = at;
        assert_true(fabs(difference - gradient[i]) <= 1e-6);
    }
    noisy_destroy(&n);
}

static void importance_of_even_sums(void **state)
{
    const double even[] = {3, 3, 5, 5, 0, 6}, nothing[6] = {0}, uneven[] = {1, 3, 5, 5, 0, 4};
    float slopes[4];
    (void)state;
    assert_true(motley__importance_value(2, even, 7, slopes) == 0);
    for (int i = 0; i < 4; i++)
        assert_true(slopes[i] == 0);
    assert_true(motley__importance_value(2, nothing, 7, slopes) == 0);
    for (int i = 0; i < 4; i++)
        assert_true(slopes[i] == 0);
    assert_true(motley__importance_value(2, uneven, 2, slopes) == 0.125); /* (1 / 2^2) / 2 */
    assert_true(slopes[0] == -0.375f && slopes[1] == 0.125f); /* ((x - 2) - 1 / 2) / 4 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_equal_twin),
        cmocka_unit_test(values_of_even_routing),
        cmocka_unit_test(values_of_one_expert),
        cmocka_unit_test(values_without_tokens),
        cmocka_unit_test(importance_equals_twin),
        cmocka_unit_test(importance_by_differences),
        cmocka_unit_test(importance_of_even_sums),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
