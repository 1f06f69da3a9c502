/* Rotary positions on the device against the scalar twin, and back again.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "model.h"
#include "model/ref.h"
#include "model/rope.h"

static const double THETA = 10000;

static void compare(struct motley__device *device, enum motley_dtype dtype, int B, int S, int past, int heads, int d,
                    int back, uint64_t seed)
{
    const int T = B * S;
    const size_t n = (size_t)T * (size_t)(heads * d);
    float *x = random_stored(dtype, seed, 1, n);
    double *xd = doubles_of(x, n);
    motley__ref_rope(T, S, past, heads, d, THETA, back, xd);
    struct motley__buffer *table, *bx = to_device_as(device, dtype, x, n);
    SUCCEED(motley__rope_table(device, past + S + 3, d, THETA, &table, &error));
    SUCCEED(motley__rope(device, dtype, table, T, S, past, heads, d, back, bx, &error));
    float *y = take_back_as(dtype, bx);
    /* The angle's rounding grows with the position. */
    ASSERT_NEAR(y, xd, n, rounding(dtype) + 1e-6 + 1e-7 * (past + S));
    motley__buffer_destroy(table);
    free(y);
    free(xd);
    free(x);
}

static void sizes(struct motley__device *device, enum motley_dtype dtype)
{
    const uint64_t seed = test_seed();
    compare(device, dtype, 0, 5, 0, 2, 2, 0, seed);
    compare(device, dtype, 1, 1, 9, 1, 2, 0, seed);
    compare(device, dtype, 3, 7, 0, 2, 6, 0, seed);
    compare(device, dtype, 2, 33, 0, 3, 32, 1, seed);
    compare(device, dtype, 1, 5, 40, 70, 64, 0, seed);
}

static void test_against_twin(void **state)
{
    on_both_maps_stored(*state, sizes);
}

/* The gradient of a rotation is its inverse. */
static void test_back_undoes(void **state)
{
    (void)state;
    enum { T = 6, HEADS = 2, D = 8 };
    const uint64_t seed = test_seed();
    double x[T * HEADS * D], y[T * HEADS * D];
    for (int i = 0; i < T * HEADS * D; i++)
        y[i] = x[i] = motley__random_normal(seed, 1, (uint64_t)i);
    motley__ref_rope(T, 3, 2, HEADS, D, THETA, 0, y);
    motley__ref_rope(T, 3, 2, HEADS, D, THETA, 1, y);
    for (int i = 0; i < T * HEADS * D; i++)
        assert_true(fabs(x[i] - y[i]) < 1e-12);
}

/* The products of turned queries and keys depend on their distance alone: what rotary positions are for. */
static void test_depends_on_distance(void **state)
{
    (void)state;
    enum { D = 8 };
    double q[D], k[D], first = 0;
    for (int past = 0; past < 20; past += 5) {
        double product = 0;
        for (int i = 0; i < D; i++) {
            q[i] = motley__random_normal(3, 1, (uint64_t)i);
            k[i] = motley__random_normal(3, 2, (uint64_t)i);
        }
        motley__ref_rope(1, 1, past + 4, 1, D, THETA, 0, q);
        motley__ref_rope(1, 1, past, 1, D, THETA, 0, k);
        for (int i = 0; i < D; i++)
            product += q[i] * k[i];
        first = past == 0 ? product : first;
        assert_true(fabs(product - first) < 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_twin), cmocka_unit_test(test_back_undoes),
        cmocka_unit_test(test_depends_on_distance),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
