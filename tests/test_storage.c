/* Storage types: what the host rounds, and that kernels round alike.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "device/storage.h"
#include "product.h"
#include "product/estmm.h"

static const enum motley_dtype TYPES[] = {MOTLEY_BF16, MOTLEY_F16};

static float bits_to_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float loaded(enum motley_dtype dtype, uint16_t bits)
{
    float x;
    motley__load(dtype, &bits, 1, &x);
    return x;
}

static uint16_t stored(enum motley_dtype dtype, float x)
{
    uint16_t bits;
    motley__store(dtype, &x, 1, &bits);
    return bits;
}

static void known_numbers(void **state)
{
    (void)state;
    assert_int_equal(stored(MOTLEY_BF16, 1.0f), 0x3f80);
    assert_int_equal(stored(MOTLEY_BF16, -INFINITY), 0xff80);
    assert_int_equal(stored(MOTLEY_F16, 1.0f), 0x3c00);
    assert_int_equal(stored(MOTLEY_F16, -2.0f), 0xc000);
    assert_int_equal(stored(MOTLEY_F16, 65504.0f), 0x7bff);
    assert_int_equal(stored(MOTLEY_F16, 65519.9f), 0x7bff);
    assert_int_equal(stored(MOTLEY_F16, 65520.0f), 0x7c00);
    assert_int_equal(stored(MOTLEY_F16, 1e30f), 0x7c00);
    assert_int_equal(stored(MOTLEY_F16, 0x1p-24f), 1);
    assert_int_equal(stored(MOTLEY_F16, 0x1p-25f), 0);
    assert_int_equal(stored(MOTLEY_F16, 0x1.000002p-25f), 1);
    assert_int_equal(stored(MOTLEY_F16, -0.0f), 0x8000);
    assert_int_equal(stored(MOTLEY_BF16, 3.4e38f), 0x7f80); /* rounded up over the largest number */
}

/* Every pattern of a type is itself when it comes back; NaN stays some NaN. */
static void every_pattern_survives(void **state)
{
    (void)state;
    for (size_t t = 0; t < 2; t++)
        for (uint32_t bits = 0; bits < 0x10000; bits++) {
            const float x = loaded(TYPES[t], (uint16_t)bits);
            const uint16_t back = stored(TYPES[t], x);
            if (isnan(x))
                assert_true(isnan(loaded(TYPES[t], back)));
            else
                assert_int_equal(back, bits);
        }
}

/* Between two neighbours the nearer one is taken, at the middle the even one. */
static void rounds_to_nearest_even(void **state)
{
    (void)state;
    for (size_t t = 0; t < 2; t++)
        for (uint32_t bits = 0; bits < (TYPES[t] == MOTLEY_BF16 ? 0x7f7fu : 0x7bffu); bits++) {
            const float low = loaded(TYPES[t], (uint16_t)bits), high = loaded(TYPES[t], (uint16_t)(bits + 1));
            const float middle = (float)(((double)low + high) / 2);
            assert_int_equal(stored(TYPES[t], middle), bits + (bits & 1));
            assert_int_equal(stored(TYPES[t], nextafterf(middle, 0)), bits);
            assert_int_equal(stored(TYPES[t], nextafterf(middle, INFINITY)), bits + 1);
            assert_int_equal(stored(TYPES[t], -middle), 0x8000 + bits + (bits & 1));
        }
}

/* Numbers of all sizes, with NaN and infinity; f32 subnormals are left out, which devices may flush. */
static float *all_sorts(uint64_t seed, size_t count)
{
    float *x = ARRAY(float, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)motley__random_bits(seed, 0, i);
        if (i % 3 == 0)
            bits = (bits & 0x807fffff) | (96 + bits % 50) << 23; /* within f16's range and a little beyond */
        if (i % 7 == 0)
            bits &= 0xffff8000;                                  /* ties of bf16 */
        if ((bits & 0x7f800000) == 0)
            bits = 0;
        x[i] = bits_to_float(bits);
    }
    x[0] = NAN;
    x[1] = INFINITY;
    x[2] = -INFINITY;
    return x;
}

/* y = W 1: the kernel does nothing but write the weights.  A sum that starts from 0 makes -0 into 0. */
static uint16_t *written_by_kernel(struct motley__device *device, enum motley_dtype to, const float *w, int count)
{
    const float one = 1;
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(device, MOTLEY_F32, 1, count, 1, 1, NULL, &matrix, &error));
    SUCCEED(motley__matrix_set(matrix, 0, w, &error));
    struct motley__buffer *there = to_device(device, &one, sizeof one);
    struct motley__esmm esmm = {.w = matrix, .ragged = {.E = 1, .P = 1}, .x = {.own = there, .own_rows = 1},
                                .dtype = to, .activation = MOTLEY__ACT_NONE,
                                .y = unwritten(device, (size_t)count * motley__storage_bytes(to))};
    SUCCEED(motley__esmm(device, &esmm, &error));
    motley__buffer_destroy(there);
    motley__matrix_destroy(matrix);
    return take_back(esmm.y);
}

/* db = the sum of one row. */
static float *read_by_kernel(struct motley__device *device, enum motley_dtype from, const uint16_t *row, int count)
{
    struct motley__buffer *there = to_device(device, row, (size_t)count * motley__storage_bytes(from));
    struct motley__ess ess = {.ragged = {.E = 1, .P = 1}, .a = {.own = there, .own_rows = 1, .dtype = from}, .O = count,
                              .db = unwritten(device, (size_t)count * sizeof(float))};
    SUCCEED(motley__ess(device, &ess, &error));
    motley__buffer_destroy(there);
    return take_back(ess.db);
}

static void kernels_write_alike(void **state)
{
    const size_t count = 20000;
    float *x = all_sorts(test_seed(), count);
    for (size_t t = 0; t < 2; t++) {
        uint16_t *got = written_by_kernel(*state, TYPES[t], x, (int)count);
        for (size_t i = 0; i < count; i++) {
            const float expected = loaded(TYPES[t], stored(TYPES[t], x[i])), found = loaded(TYPES[t], got[i]);
            if (isnan(expected) ? !isnan(found) : found != expected)
                fail_msg("%s of %a is %a, expected %a", motley__storage_name(TYPES[t]), x[i], found, expected);
        }
        free(got);
    }
    free(x);
}

static void kernels_read_alike(void **state)
{
    const size_t count = 0x10000;
    uint16_t *patterns = ARRAY(uint16_t, count);
    for (size_t i = 0; i < count; i++)
        patterns[i] = (uint16_t)i;
    for (size_t t = 0; t < 2; t++) {
        float *got = read_by_kernel(*state, TYPES[t], patterns, (int)count);
        for (size_t i = 0; i < count; i++) {
            const float expected = loaded(TYPES[t], (uint16_t)i);
            if (expected != 0 && fabsf(expected) < 0x1p-126f)
                continue; /* an f32 subnormal: flushed or not */
            if (isnan(expected) ? !isnan(got[i]) : got[i] != expected)
                fail_msg("%s %04zx is %a, expected %a", motley__storage_name(TYPES[t]), i, got[i], expected);
        }
        free(got);
    }
    free(patterns);
}

static void names(void **state)
{
    enum motley_dtype dtype = MOTLEY_F32;
    (void)state;
    assert_int_equal(motley__storage_find("f16", &dtype), 1);
    assert_int_equal(dtype, MOTLEY_F16);
    assert_string_equal(motley__storage_name(MOTLEY_BF16), "bf16");
    assert_int_equal(motley__storage_find("f64", &dtype), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_numbers),       cmocka_unit_test(every_pattern_survives),
        cmocka_unit_test(rounds_to_nearest_even), cmocka_unit_test(kernels_write_alike),
        cmocka_unit_test(kernels_read_alike),  cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
