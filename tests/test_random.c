/* Random numbers by position, and hashes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

enum { COUNT = 200000 };

/* Files and checkpoints depend on these numbers: they may never change. */
static void numbers_are_what_they_were(void **state)
{
    (void)state;
    assert_true(motley__random_bits(0, 0, 0) == UINT64_C(0x238275bc38fcbe91));
    assert_true(motley__random_bits(1, 2, 3) == UINT64_C(0xd0734750fde362b3));
}

static void seed_stream_and_index_all_count(void **state)
{
    (void)state;
    uint64_t bits[64];
    int count = 0;
    for (uint64_t seed = 0; seed < 4; seed++)
        for (uint64_t stream = 0; stream < 4; stream++)
            for (uint64_t index = 0; index < 4; index++)
                bits[count++] = motley__random_bits(seed, stream, index);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++)
            assert_true(bits[i] != bits[k]);
}

/* Mean and variance within five of their standard errors; neighbours uncorrelated. */
static void uniforms_are_uniform(void **state)
{
    (void)state;
    double sum = 0, squares = 0, products = 0, across = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        double x = motley__random_uniform(7, 3, i) - 0.5;
        assert_true(x >= -0.5 && x < 0.5);
        sum += x;
        squares += x * x;
        products += x * (motley__random_uniform(7, 3, i + 1) - 0.5);
        across += x * (motley__random_uniform(7, 4, i) - 0.5);
    }
    assert_true(fabs(sum / COUNT) < 5 * sqrt(1 / 12.0 / COUNT));
    assert_true(fabs(squares / COUNT - 1 / 12.0) < 5 * sqrt(1 / 180.0 / COUNT));
    assert_true(fabs(products / COUNT) < 5 * (1 / 12.0) / sqrt(COUNT));
    assert_true(fabs(across / COUNT) < 5 * (1 / 12.0) / sqrt(COUNT));
}

static void normals_are_normal(void **state)
{
    (void)state;
    double sum = 0, squares = 0, fourth = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        double x = motley__random_normal(11, 5, i);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    assert_true(fabs(sum / COUNT) < 5 / sqrt(COUNT));
    assert_true(fabs(squares / COUNT - 1) < 5 * sqrt(2.0 / COUNT));
    assert_true(fabs(fourth / COUNT - 3) < 5 * sqrt(96.0 / COUNT));
}

/* The published values of FNV-1a. */
static void hashes_are_fnv(void **state)
{
    (void)state;
    assert_true(motley__hash_text("") == UINT64_C(0xcbf29ce484222325));
    assert_true(motley__hash_text("a") == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(motley__hash_text("foobar") == UINT64_C(0x85944171f73967e8));
    assert_true(motley__hash_bytes(motley__hash_text("foo"), "bar", 3) == motley__hash_text("foobar"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_what_they_were), cmocka_unit_test(seed_stream_and_index_all_count),
        cmocka_unit_test(uniforms_are_uniform),       cmocka_unit_test(normals_are_normal),
        cmocka_unit_test(hashes_are_fnv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
