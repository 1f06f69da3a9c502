/* Parts of `motley bench` that need no device: routings are what their names say, a team does every part once, and
 * the peers' vector loops compute what they must.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "bench/host.h"
#include "bench/routing.h"
#include "bench/team.h"

enum { T = 4000, K = 3, E = 20 };

/* Pairs of each expert, the most first. */
static int descending(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

static void draw(enum motley__routing routing, uint64_t seed, int *indices, int *count)
{
    struct motley_error error = {0};
    assert_int_equal(motley__routing_draw(routing, seed, T, K, E, indices, &error), 0);
    memset(count, 0, E * sizeof *count);
    for (int n = 0; n < T * K; n++) {
        assert_in_range(indices[n], 0, E - 1);
        count[indices[n]]++;
    }
    qsort(count, E, sizeof *count, descending);
}

static void test_even_counts_differ_by_one_at_most(void **state)
{
    static int indices[T * K], count[E];
    (void)state;
    draw(MOTLEY__ROUTING_EVEN, 1, indices, count);
    assert_true(count[0] - count[E - 1] <= 1);
    for (int t = 0; t < T; t++)
        for (int k = 1; k < K; k++)
            assert_int_not_equal(indices[t * K], indices[t * K + k]);
}

/* First choices fall on the expert of rank r with probability 1/r over the sum; a token's experts differ. */
static void test_zipf_has_exponent_one(void **state)
{
    static int indices[T * K], count[E];
    int first[E] = {0};
    double sum = 0;
    (void)state;
    draw(MOTLEY__ROUTING_ZIPF, 2, indices, count);
    for (int t = 0; t < T; t++) {
        first[indices[t * K]]++;
        for (int a = 0; a < K; a++)
            for (int b = a + 1; b < K; b++)
                assert_int_not_equal(indices[t * K + a], indices[t * K + b]);
    }
    qsort(first, E, sizeof *first, descending);
    for (int r = 1; r <= E; r++)
        sum += 1.0 / r;
    for (int r = 1; r <= 4; r++) {
        const double expected = T / (r * sum);
        assert_true(fabs(first[r - 1] - expected) < 5 * sqrt(expected));
    }
}

static void test_one_is_one(void **state)
{
    static int indices[T * K], count[E];
    (void)state;
    draw(MOTLEY__ROUTING_ONE, 3, indices, count);
    assert_int_equal(count[0], T * K);
}

static void test_llep_puts_its_share_on_four(void **state)
{
    static const int percent[] = {30, 50, 80, 95};
    static int indices[T * K], count[E];
    (void)state;
    for (int i = 0; i < 4; i++) {
        draw((enum motley__routing)(MOTLEY__ROUTING_LLEP30 + i), 4, indices, count);
        const double share = (double)(count[0] + count[1] + count[2] + count[3]) / (T * K);
        assert_true(fabs(share - percent[i] / 100.0) < 0.03);
    }
}

static void test_a_seed_repeats(void **state)
{
    static int a[T * K], b[T * K], c[T * K], count[E];
    (void)state;
    draw(MOTLEY__ROUTING_ZIPF, 5, a, count);
    draw(MOTLEY__ROUTING_ZIPF, 5, b, count);
    draw(MOTLEY__ROUTING_ZIPF, 6, c, count);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
}

static void touch(void *self, int first, int last)
{
    int *touched = self;
    for (int i = first; i < last; i++)
        touched[i]++;
}

static void test_a_team_does_every_part_once(void **state)
{
    enum { MOST = 1000, ROUNDS = 200 };
    struct motley_error error = {0};
    (void)state;
    for (int threads = 1; threads <= 5; threads += 2) {
        struct motley__team *team;
        int touched[MOST] = {0};
        assert_int_equal(motley__team_create(threads, &team, &error), 0);
        for (int round = 0; round < ROUNDS; round++)
            motley__team_run(team, touch, touched, round % 2 ? MOST : 2, round % 3 ? 1e9 : 0);
        motley__team_destroy(team);
        for (int i = 0; i < MOST; i++)
            assert_int_equal(touched[i], i < 2 ? ROUNDS : ROUNDS / 2);
    }
}

static float noise(uint64_t stream, size_t i)
{
    return (float)(6 * motley__random_uniform(1, stream, i) - 3);
}

static void assert_near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-5 * (1 + fabs(expected))))
        fail_msg("%.9g, expected %.9g", got, expected);
}

/* Forward and backward of both activations at a width that no vector divides, pairs in another order than weights. */
static void test_host_activations(void **state)
{
    enum { P = 5, F = 77 };
    float pre[P * F], pre3[P * F], u[P * F], dpre3[P * F], h[P * F], dweight[P], weight[P];
    int pair[P];
    struct motley__team *team;
    struct motley_error error = {0};
    (void)state;
    assert_int_equal(motley__team_create(2, &team, &error), 0);
    for (int swiglu = 0; swiglu < 2; swiglu++) {
        for (int i = 0; i < P * F; i++) {
            pre[i] = noise(1, (size_t)i);
            pre3[i] = noise(2, (size_t)i);
            u[i] = noise(3, (size_t)i);
        }
        for (int p = 0; p < P; p++) {
            pair[p] = P - 1 - p;
            weight[p] = noise(4, (size_t)p);
        }
        motley__host_activate(team, P, F, pre, swiglu ? pre3 : NULL, h);
        for (int i = 0; i < P * F; i++)
            assert_near(h[i], swiglu ? pre[i] / (1 + exp(-pre[i])) * pre3[i] : fmax(pre[i], 0));
        motley__host_activate_backward(team, &(struct motley__host_backward){.P = P, .F = F, .pair = pair,
            .weight = weight, .pre = pre, .pre3 = swiglu ? pre3 : NULL, .u = u, .dpre3 = dpre3, .h = h,
            .dweight = dweight});
        for (int p = 0; p < P; p++) {
            const double w = weight[pair[p]];
            double sum = 0;
            for (int f = 0; f < F; f++) {
                const int i = p * F + f;
                const double x = pre[i], s = 1 / (1 + exp(-x)), given = noise(3, (size_t)i);
                const double out = swiglu ? x * s * pre3[i] : fmax(x, 0);
                assert_near(h[i], w * out);
                assert_near(u[i], w * given * (swiglu ? pre3[i] * (s + s * (1 - s) * x) : x > 0));
                if (swiglu)
                    assert_near(dpre3[i], w * given * x * s);
                sum += given * out;
            }
            assert_near(dweight[p], sum);
        }
    }
    motley__team_destroy(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_even_counts_differ_by_one_at_most),
        cmocka_unit_test(test_zipf_has_exponent_one),
        cmocka_unit_test(test_one_is_one),
        cmocka_unit_test(test_llep_puts_its_share_on_four),
        cmocka_unit_test(test_a_seed_repeats),
        cmocka_unit_test(test_a_team_does_every_part_once),
        cmocka_unit_test(test_host_activations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
